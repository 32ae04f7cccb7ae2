// Law: menvcfg.ADUE governs A and D of the G-stage, henvcfg.ADUE those of the VS-stage; a refused update of a VS-stage PTE is a store's implicit access, 0x3020.
#include "hyper.h"
#define RWX (PTE_V | PTE_R | PTE_W | PTE_X)
#define RWXU (PTE_RWX | PTE_U)

.macro leaf which, bits
    la t5, \which
    ld t5, (t5)
    ld t6, (t5)
    srli t6, t6, 10
    slli t6, t6, 10
    ori t6, t6, \bits
    sd t6, (t5)
    hfence.gvma
    hfence.vvma
.endm
.macro leaf_is which, bits
    la t5, \which
    ld t5, (t5)
    lhu t5, (t5)
    andi t5, t5, 0xff
    li t6, \bits
    check_same t5, t6
.endm
#define VS_LEAF(bits) leaf vs_leaf_address, bits
#define G_LEAF(bits) leaf g_leaf_address, bits
#define VS_LEAF_IS(bits) li gp, __LINE__; leaf_is vs_leaf_address, bits
#define G_LEAF_IS(bits) li gp, __LINE__; leaf_is g_leaf_address, bits

BEGIN
    HYPERVISOR
    GSTAGE(SV39)
    page_at SPARE, 0x1111
    GMAP(GPA, SPARE, 0, RWXU)
    la t0, g_leaf_address
    sd a0, (t0)
    GSTAGE_ON(SV39)
    PAGING(SV39)
    MAP(VA, GPA, 0, PTE_RWX)
    la t0, vs_leaf_address
    sd a0, (t0)
    VSSTAGE_ON(SV39)

    // norm: menvcfg_adue_op, henvcfg_adue_op, Svadu_disabled_hw_update_falls_back_to_svade, svade_access_ad_bit_clear
    // norm: nw:walk_ad_svade
    // Neither: a page fault of its stage.
    csrw menvcfg, zero
    csrw henvcfg, zero
    VS_LEAF(RWX)
    LOAD_FAULTS(VS, VA + 8, LOAD_PAGE)
    VS_LEAF(RWX | PTE_A)
    STORE_FAULTS(VS, VA + 8, STORE_PAGE)
    VS_LEAF(RWX | PTE_A | PTE_D)
    G_LEAF(RWX | PTE_U)
    GUEST_LOAD_FAULTS(VS, VA + 8, GPA + 8)
    GUEST_FETCH_FAULTS(VS, VA, GPA)
    G_LEAF(RWX | PTE_U | PTE_A)
    GUEST_STORE_FAULTS(VS, VA + 8, GPA + 8)
    G_LEAF_IS(RWX | PTE_U | PTE_A)

    // norm: menvcfg_adue_op, henvcfg_adue_op, Svadu_hw_update_a_d_bits
    // menvcfg alone: the G-stage updates, the VS-stage does not.
    li s0, ENVCFG_ADUE
    csrw menvcfg, s0
    csrw henvcfg, zero
    G_LEAF(RWX | PTE_U)
    LOADS(VS, VA + 8, 0x1111)
    G_LEAF_IS(RWX | PTE_U | PTE_A)
    STORES(VS, VA + 8, 0x1112)
    G_LEAF_IS(RWX | PTE_U | PTE_A | PTE_D)
    VS_LEAF(RWX)
    LOAD_FAULTS(VS, VA + 8, LOAD_PAGE)
    VS_LEAF_IS(RWX)

    // norm: henvcfg_adue_op, Svadu_hypervisor_adue_writable, nw:ad_update
    // Both: the VS-stage too.
    csrw henvcfg, s0
    VS_LEAF(RWX)
    LOADS(VS, VA + 8, 0x1112)
    VS_LEAF_IS(RWX | PTE_A)
    STORES(VS, VA + 8, 0x1113)
    VS_LEAF_IS(RWX | PTE_A | PTE_D)
    // HLV and HSV as well.
    VS_LEAF(RWX)
    li t0, HSTATUS_SPVP
    csrs hstatus, t0
    li a0, VA + 8
    RUNS(S, hlv.d a1, (a0))
    VS_LEAF_IS(RWX | PTE_A)
    RUNS(S, hsv.d a1, (a0))
    VS_LEAF_IS(RWX | PTE_A | PTE_D)

    // norm: H_vm_gpapriv, H_trap_xtinst_guestpage, H_trap_xtinst_guestpage_rw, nw:tinst_pseudo
    // norm: mtval2_trapval_vstrans
    // The page of the VS-stage's table may be read only: reading works, updating is a guest-page fault of the original access.
    li gp, __LINE__
    la t0, vs_leaf_address
    ld s1, (t0)
    // The table moves to SPARE + PAGE, which the guest has at GPA + PAGE.
    li t0, SPARE + PAGE
    ld t1, (s1)
    li t2, ((VA >> 12) & 0x1ff) * 8
    add t0, t0, t2
    sd t1, (t0)
    la t1, vs_leaf_address
    sd t0, (t1)
    ld t1, pt + PT_ROOT
    ld t1, (VA >> 30) * 8(t1)
    srli t1, t1, 10
    slli t1, t1, 12
    li t2, ((VA >> 21) & 0x1ff) * 8
    add t1, t1, t2
    li t2, ((GPA + PAGE) >> 2) | PTE_V
    sd t2, (t1)
    GMAP(GPA + PAGE, SPARE + PAGE, 0, PTE_V | PTE_R | PTE_A | PTE_D | PTE_U)
    VS_LEAF(RWX | PTE_A | PTE_D)
    LOADS(VS, VA + 8, 0x1113)
    VS_LEAF(RWX | PTE_A)
    LOADS(VS, VA + 8, 0x1113)
    li a0, VA + 8
    li s2, (GPA + PAGE + ((VA >> 12) & 0x1ff) * 8) >> 2
    IN(VS)
    sd a1, (a0)
    OUT
    GOT(STORE_GUEST_PAGE)
    TVAL_IS(a0)
    TVAL2_IS(s2)
    TINST(0x3020)
    VS_LEAF(RWX)
    IN(VS)
    ld a1, (a0)
    OUT
    GOT(LOAD_GUEST_PAGE)
    TVAL_IS(a0)
    TVAL2_IS(s2)
    TINST(0x3020)
    li a0, VA
    IN(VS)
    jr a0
    OUT
    GOT(INSN_GUEST_PAGE)
    TVAL2_IS(s2)
    TINST(0x3020)
    VS_LEAF_IS(RWX)
    PASS

    .data
    .balign 8
vs_leaf_address:
    .dword 0
g_leaf_address:
    .dword 0
