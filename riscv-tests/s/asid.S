// Law: a translation that is not global belongs to its ASID; changing satp alone changes the space, with no fence.
#include "paging.h"

// Loads satp with the first or the second root and an ASID. `which` is s8 or s9.
.macro space root, asid
    li t6, (SV39 << ATP_MODE_SHIFT) | ((\asid) << ATP_TAG_SHIFT)
    or t6, t6, \root
    csrw satp, t6
.endm
#define SPACE(...) space __VA_ARGS__

BEGIN
    // norm: asidlen, satp
    // How many ASIDs there are; the rest needs two.
    li gp, __LINE__
    li a0, 0xffff << ATP_TAG_SHIFT
    li t0, SV39 << ATP_MODE_SHIFT
    or a0, a0, t0
    csrw satp, a0
    csrr a1, satp
    csrw satp, zero
    slli a1, a1, 4
    srli a1, a1, 48
    // The implemented bits are the low ones.
    addi a2, a1, 1
    and a2, a2, a1
    check_reg a2, 0
    bnez a1, 1f
    PASS
1:
    PAGING(SV39)
    page_at SPARE + 1 * PAGE, 1
    page_at SPARE + 2 * PAGE, 2
    MAP(VA, SPARE + PAGE, 0, PTE_RWX)
    // The second root shares the program's gigapage and has its own lower tables for VA.
    li gp, __LINE__
    ld s0, pt + PT_ROOT
    la t0, second_root
    srli s8, s0, 12
    srli s9, t0, 12
    ld t1, (RAM >> 30) * 8(s0)
    sd t1, (RAM >> 30) * 8(t0)
    ld t1, (RAM >> 30) * 8 + 8(s0)
    sd t1, (RAM >> 30) * 8 + 8(t0)
    // VA is in gigabyte 0, index VA >> 21.
    la t2, second_middle
    srli t1, t2, 2
    ori t1, t1, PTE_V
    sd t1, (t0)
    la t3, second_last
    srli t1, t3, 2
    ori t1, t1, PTE_V
    li t4, (VA >> 21) * 8
    add t2, t2, t4
    sd t1, (t2)
    li t1, ((SPARE + 2 * PAGE) >> 2) | PTE_RWX
    sd t1, (t3)
    sfence.vma

    // norm: sfence_vma_asid_effect, nw:cache_tag, satp
    .rept 3
    li gp, __LINE__
    space s8, 0
    loads S, VA + 8, 1
    space s9, 1
    loads S, VA + 8, 2
    .endr

    // norm: sfence_vma_asid_only
    // A fence for one ASID leaves the other usable, whether it is kept or not.
    li gp, __LINE__
    la s7, second_last
    li t1, ((SPARE + 1 * PAGE) >> 2) | PTE_RWX
    sd t1, (s7)
    li s1, 1
    space s8, 0
    RUNS(S, sfence.vma x0, s1)
    LOADS(S, VA + 8, 1)
    SPACE(s9, 1)
    LOADS(S, VA + 8, 1)

    // norm: sfence_vma_all_asid_va, sfence_vma_va_all_asid
    // Global: the same in every space; removed by a fence that names no ASID.
    li gp, __LINE__
    li t1, ((SPARE + 2 * PAGE) >> 2) | PTE_RWX | PTE_G
    sd t1, (s7)
    ld t0, pt + PT_ROOT
    RUNS(S, sfence.vma)
    MAP(VA, SPARE + 2 * PAGE, 0, PTE_RWX | PTE_G)
    mv s6, a0
    RUNS(S, sfence.vma)
    SPACE(s9, 1)
    LOADS(S, VA + 8, 2)
    SPACE(s8, 0)
    LOADS(S, VA + 8, 2)
    li t1, ((SPARE + 1 * PAGE) >> 2) | PTE_RWX | PTE_G
    sd t1, (s6)
    sd t1, (s7)
    li s0, VA
    RUNS(S, sfence.vma s0)
    LOADS(S, VA + 8, 1)
    SPACE(s9, 1)
    LOADS(S, VA + 8, 1)

    // norm: sfence_vma_mode_effect, satp_mode
    // Bare and back again, no fence.
    csrw satp, zero
    li a0, SPARE + PAGE
    IN(S)
    ld a1, 8(a0)
    OUT
    GOT(NONE)
    CHECK(a1, 1)
    SPACE(s9, 1)
    LOADS(S, VA + 8, 1)
    PASS

    .bss
    .balign 4096
second_root:
    .skip 4096
second_middle:
    .skip 4096
second_last:
    .skip 4096
