// Law: in S-mode satp takes effect at once; misaligned and atomic accesses, SC, and code patching work through translation; U runs on its own pages.
#include "paging.h"
BEGIN
    PAGING(SV39)
    page_at SPARE, 0x1111
    page_at SPARE + PAGE, 0x2222
    // Two pages in the wrong order, so that neighbours in VA are not neighbours in memory.
    MAP(VA, SPARE + PAGE, 0, PTE_RWX | PTE_U)
    MAP(VA + PAGE, SPARE, 0, PTE_RWX | PTE_U)
    MAP(VA + 2 * PAGE, SPARE, 0, PTE_RWX | PTE_U)
    satp_value s0, SV39
    sfence.vma

    // norm: sfence_vma_mode_effect
    // S turns it on itself, and off; the code's page is mapped to itself.
    li a0, VA + 8
    li s1, MSTATUS_SUM
    csrs mstatus, s1
    IN(S)
    csrw satp, s0
    ld a1, (a0)
    csrw satp, zero
    OUT
    GOT(NONE)
    CHECK(a1, 0x2222)
    csrw satp, s0

    // Misaligned, across the two pages.
    li a0, VA + PAGE - 3
    li a1, 0x8877665544332211
    IN(U)
    sd a1, (a0)
    ld a2, (a0)
    OUT
    GOT(NONE)
    CHECK_SAME(a1, a2)
    li gp, __LINE__
    li a3, SPARE + 2 * PAGE - 3
    lbu a4, 2(a3)
    check_reg a4, 0x33
    li a3, SPARE
    lbu a4, (a3)
    check_reg a4, 0x44

    // LR and SC through two addresses of one page of memory: the reservation is on memory.
    li a0, VA + PAGE + 64
    li a1, VA + 2 * PAGE + 64
    IN(U)
    amoswap.d x0, x0, (a0)
1:  lr.d a2, (a0)
    addi a2, a2, 5
    sc.d a3, a2, (a0)
    bnez a3, 1b
    amoadd.d a4, a2, (a1)
    ld a5, (a0)
    OUT
    GOT(NONE)
    CHECK(a4, 5)
    CHECK(a5, 10)

    // Code written through one address and run through another.
    li a0, VA + PAGE + 256
    li a1, VA + 2 * PAGE + 256
    la a2, code
    lw a3, (a2)
    lw a4, 4(a2)
    lw a5, 8(a2)
    IN(U)
    sw a3, (a0)
    sw a5, 4(a0)
    fence.i
    jalr a1
    mv a6, a7
    sw a4, (a0)
    fence.i
    jalr a1
    OUT
    GOT(NONE)
    CHECK(a6, 1)
    CHECK(a7, 2)

    // A loop that runs from one page into the next: 4-byte instruction across the boundary.
    li gp, __LINE__
    li t0, SPARE + 2 * PAGE - 2
    lhu t1, (a2)
    sh t1, (t0)
    li t0, SPARE
    lhu t1, 2(a2)
    sh t1, (t0)
    sh a5, 2(t0)
    srli t1, a5, 16
    sh t1, 4(t0)
    fence.i
    li a0, VA + PAGE - 2
    IN(U)
    li a7, 0
    jalr a0
    OUT
    GOT(NONE)
    CHECK(a7, 1)

    // norm: nw:pte_user_fetch
    // S cannot run U's page even with SUM.
    IN(S)
    jr a0
    OUT
    GOT(INSN_PAGE)
    PASS

    .balign 4
code:
    li a7, 1
    li a7, 2
    ret
