// Law: with mtvec.MODE = 1 interrupts enter at BASE + 4 * cause, exceptions at BASE; so for stvec in S-mode.
#include "test.h"
BEGIN
    // norm: mtvec_mode_vectored_op, mtvec_mode_enc
    la a0, table
    addi a0, a0, 1
    csrw mtvec, a0
    csrr a1, mtvec
    CHECK_SAME(a0, a1)

    li gp, __LINE__
    la s1, 1f
    ecall
1:  CHECK(s0, 0)
    li gp, __LINE__
    la s1, 1f
    .insn 0
1:  CHECK(s0, 0)

    // The software interrupt of S, taken in M, and M's own from the CLINT.
    li gp, __LINE__
    la s1, 1f
    li a0, BIT(SSI)
    csrs mip, a0
    csrs mie, a0
    csrsi mstatus, MSTATUS_MIE
    FAIL
1:  CHECK(s0, SSI)
    csrc mip, a0
    csrw mie, zero

    li gp, __LINE__
    la s1, 1f
    li a0, BIT(MSI)
    csrs mie, a0
    csrsi mstatus, MSTATUS_MIE
    li a1, CLINT_MSIP
    li a2, 1
    sw a2, (a1)
    // norm: intr_mip_mie_bounded_time
    // The store may take a while to arrive.
2:  wfi
    j 2b
1:  CHECK(s0, MSI)
    sw zero, (a1)
    csrw mie, zero

    // norm: stvec_op
    // S-mode's table: the interrupt is delegated, so it enters there; an ECALL of U enters at its base.
    la a0, handle_m
    csrw mtvec, a0
    la a0, table_s
    addi a0, a0, 1
    csrw stvec, a0
    li a0, BIT(SSI) | BIT(STI)
    csrw mideleg, a0
    csrw mie, a0
    li a0, 1 << ECALL_U
    csrw medeleg, a0
    li s0, -1
    li a1, BIT(STI)
    csrw mip, a1
    IN(U)
    nop
    ecall
    OUT
    CHECK(s0, STI)
    csrw mip, zero
    li s0, -1
    IN(U)
    ecall
    OUT
    CHECK(s0, 0)
    PASS

    // Each entry is one jump to a stub that notes its number.
    .macro table_of name, entries, tail
    .balign 256
\name:
    .irp n, \entries
    j \name\()_\n
    .endr
    .irp n, \entries
\name\()_\n: li s0, \n
    j \tail
    .endr
    .endm
    table_of table, "0,1,2,3,4,5,6,7,8,9,10,11,12,13", go_on
    table_of table_s, "0,1,2,3,4,5,6,7,8,9,10,11,12,13", handle_s_up

go_on:
    csrw mepc, s1
    li t5, MSTATUS_MPIE
    csrc mstatus, t5
    li t5, MSTATUS_MPP
    csrs mstatus, t5
    mret
