// Law: after HFENCE.VVMA, HFENCE.GVMA, HINVAL.* with their ends, or SFENCE.VMA in VS, no guest access uses what the tables of that stage said before.
#include "hyper.h"
#define RWXU (PTE_RWX | PTE_U)

.macro vs_leaf n
    la t5, vs_leaf_address
    ld t5, (t5)
    li t6, ((GPA + \n * PAGE) >> 2) | PTE_RWX
    sd t6, (t5)
.endm
.macro g_leaf page, n
    la t5, g_leaf_address
    ld t5, (t5)
    li t6, ((SPARE + \n * PAGE) >> 2) | RWXU
    sd t6, \page * 8(t5)
.endm
.macro use value
    loads VS, VA + 8, \value
    stores VS, VA + 16, \value
    fetches VS, VA
.endm
#define VS_LEAF(...) vs_leaf __VA_ARGS__
#define G_LEAF(...) g_leaf __VA_ARGS__
#define USE(...) li gp, __LINE__; use __VA_ARGS__
#define FENCE(...) RUNS(S, __VA_ARGS__)

BEGIN
    HYPERVISOR
    GSTAGE(SV39)
    page_at SPARE + 1 * PAGE, 1
    page_at SPARE + 2 * PAGE, 2
    page_at SPARE + 3 * PAGE, 3
    GMAP(GPA + 3 * PAGE, SPARE + 3 * PAGE, 0, RWXU)
    GMAP(GPA + 2 * PAGE, SPARE + 2 * PAGE, 0, RWXU)
    GMAP(GPA + 1 * PAGE, SPARE + 1 * PAGE, 0, RWXU)
    GMAP(GPA, SPARE, 0, RWXU)
    la t0, g_leaf_address
    sd a0, (t0)
    GSTAGE_ON(SV39, 1)
    PAGING(SV39)
    MAP(VA, GPA + PAGE, 0, PTE_RWX)
    la t0, vs_leaf_address
    sd a0, (t0)
    VSSTAGE_ON(SV39, 1)
    li s0, VA
    li s1, 1
    li s2, (GPA + PAGE) >> 2

    // norm: hfence-vvma_mode, hfence-vvma_hfence-gvma_op, sfence_vma_v1
    // The VS-stage, from HS and from VS.
    USE(1)
    .irp fence, "hfence.vvma", "hfence.vvma s0", "hfence.vvma x0, s1", "hfence.vvma s0, s1"
    li gp, __LINE__
    vs_leaf 2
    traps NONE, M, S, \fence
    use 2
    vs_leaf 1
    traps NONE, M, S, \fence
    use 1
    .endr
    .irp fence, "sfence.vma", "sfence.vma s0", "sfence.vma x0, s1", "sfence.vma s0, s1"
    li gp, __LINE__
    vs_leaf 3
    traps NONE, M, VS, \fence
    use 3
    vs_leaf 1
    traps NONE, M, VS, \fence
    use 1
    .endr

    // norm: hfence-gvma_op, hfence-vvma_hfence-gvma_op, nw:hfence_gvma_combined
    // The G-stage: by everything, by guest-physical address (shifted by 2 in rs1), by VMID, by both.
    .irp fence, "hfence.gvma", "hfence.gvma s2", "hfence.gvma x0, s1", "hfence.gvma s2, s1"
    li gp, __LINE__
    g_leaf 1, 2
    traps NONE, M, S, \fence
    use 2
    g_leaf 1, 1
    traps NONE, M, S, \fence
    use 1
    .endr
    // norm: hfence-gvma_op
    // With the VS-stage off, the same.
    VSSTAGE_OFF
    LOADS(VS, GPA + PAGE + 8, 1)
    G_LEAF(1, 3)
    FENCE(hfence.gvma s2)
    LOADS(VS, GPA + PAGE + 8, 3)
    G_LEAF(1, 1)
    FENCE(hfence.gvma)
    VSSTAGE_ON(SV39, 1)
    li t5, USER_BIAS
    la t6, trap
    sd t5, TRAP_USER_BIAS(t6)
    USE(1)

    // norm: hfence-gvma_op
    // Write protection, as for dirty logging: W gone at the G-stage, then back.
    li gp, __LINE__
    la t0, g_leaf_address
    ld t0, (t0)
    ld t1, 8(t0)
    andi t2, t1, ~PTE_W
    sd t2, 8(t0)
    FENCE(hfence.gvma s2)
    LOADS(VS, VA + 8, 1)
    GUEST_STORE_FAULTS(VS, VA + 8, GPA + PAGE + 8)
    la t0, g_leaf_address
    ld t0, (t0)
    ld t1, 8(t0)
    ori t1, t1, PTE_W
    sd t1, 8(t0)
    FENCE(hfence.gvma s2)
    USE(1)

    // norm: Svinval_hinval_vvma_gvma, Svinval_hinval_gvma_uses_vmid, Svinval_sequence_rs1_rs2
    // Svinval's forms.
    .irp operands, "x0, x0", "s0, x0", "x0, s1", "s0, s1"
    li gp, __LINE__
    vs_leaf 2
    in_mode IN_S, 0
    sfence.w.inval
    hinval.vvma \operands
    sfence.inval.ir
    out_of_mode
    got NONE
    use 2
    vs_leaf 1
    in_mode IN_VS, 0
    sfence.w.inval
    sinval.vma \operands
    sfence.inval.ir
    out_of_mode
    got NONE
    use 1
    .endr
    .irp operands, "x0, x0", "s2, x0", "x0, s1", "s2, s1"
    li gp, __LINE__
    g_leaf 1, 2
    in_mode IN_S, 0
    sfence.w.inval
    hinval.gvma \operands
    sfence.inval.ir
    out_of_mode
    got NONE
    use 2
    g_leaf 1, 1
    traps NONE, M, S, hfence.gvma
    use 1
    .endr

    // norm: hgatp_sz_acc_op
    // Two VMIDs over the same tables of the VS-stage: each has its own G-stage, no fence between.
    li gp, __LINE__
    csrr s3, hgatp
    la t0, second_root
    srli s4, t0, 12
    li t1, (SV39 << ATP_MODE_SHIFT) | (2 << ATP_TAG_SHIFT)
    or s4, s4, t1
    ld t2, gpt + PT_ROOT
    ld t1, (RAM >> 30) * 8(t2)
    sd t1, (RAM >> 30) * 8(t0)
    la t3, second_middle
    srli t1, t3, 2
    ori t1, t1, PTE_V
    sd t1, (GPA >> 30) * 8(t0)
    // A megapage, of which page 1 is SPARE + 1 * MEGA + PAGE.
    li t1, ((SPARE + MEGA) >> 2) | RWXU
    li t4, ((GPA >> 21) & 0x1ff) * 8
    add t3, t3, t4
    sd t1, (t3)
    page_at SPARE + MEGA + PAGE, 7
    hfence.gvma
    .rept 3
    li gp, __LINE__
    csrw hgatp, s3
    use 1
    csrw hgatp, s4
    use 7
    .endr
    // A fence of one VMID is enough for it; the other goes on as it was.
    li gp, __LINE__
    csrw hgatp, s3
    G_LEAF(1, 3)
    FENCE(hfence.gvma x0, s1)
    USE(3)
    csrw hgatp, s4
    USE(7)
    // norm: hfence-gvma_vmid, hfence-gvma_op
    // Splitting the megapage into pages: one address within it removes all of it.
    li gp, __LINE__
    la t0, second_last
    li t1, 512
    li t2, ((SPARE + MEGA) >> 2) | RWXU
1:  sd t2, (t0)
    addi t0, t0, 8
    addi t2, t2, 1 << 10
    addi t1, t1, -1
    bnez t1, 1b
    la t0, second_last
    li t2, ((SPARE + 2 * PAGE) >> 2) | RWXU
    sd t2, 8(t0)
    srli t1, t0, 2
    ori t1, t1, PTE_V
    la t3, second_middle
    li t4, ((GPA >> 21) & 0x1ff) * 8
    add t3, t3, t4
    sd t1, (t3)
    li s5, 2
    li s6, (GPA + 8 * PAGE) >> 2
    FENCE(hfence.gvma s6, s5)
    USE(2)
    PASS

    .data
    .balign 8
vs_leaf_address:
    .dword 0
g_leaf_address:
    .dword 0
    .bss
    .balign 0x4000
second_root:
    .skip 0x4000
second_middle:
    .skip 4096
second_last:
    .skip 4096
