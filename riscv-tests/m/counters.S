// Law: cycle and instret count and can be written, inhibited and withheld: below M by mcounteren, in U by scounteren as well.
#include "test.h"
BEGIN
    csrw mcountinhibit, zero
    // norm: minstret_op
    // instret counts each retired instruction by one; the read itself is not yet counted.
    li gp, __LINE__
    csrr a0, minstret
    nop
    nop
    csrr a1, minstret
    sub a1, a1, a0
    check_reg a1, 3
    // norm: mcycle_minstret_wr, mcycle_minstret_rst
    // A written value is what the next instruction sees.
    li a0, 1000
    csrw minstret, a0
    csrr a1, minstret
    nop
    csrr a2, minstret
    check_reg a1, 1000
    check_reg a2, 1002
    // norm: ecall_ebreak_no_minstret_inc, minstret_op
    // A trapping instruction does not retire: from one read to the next, 2 go by.
    la a3, 1f
    csrw mtvec, a3
    csrr a0, minstret
    csrw mhartid, zero
    .balign 4
1:  csrr a1, minstret
    sub a1, a1, a0
    check_reg a1, 1
    la a3, 1f
    csrw mtvec, a3
    csrr a0, minstret
    ecall
    .balign 4
1:  csrr a1, minstret
    sub a1, a1, a0
    check_reg a1, 1
    la a3, handle_m
    csrw mtvec, a3

    // norm: mcycle_minstret_sz
    // 64 bits, wrapping.
    li a0, -2
    csrw minstret, a0
    nop
    nop
    nop
    csrr a1, minstret
    CHECK(a1, 1)

    // norm: mcycle_op, cycle_instret_hpmcounter_op_rdonly
    // cycle never runs backwards and moves on.
    li gp, __LINE__
    csrr a0, mcycle
    .rept 10
    nop
    .endr
    csrr a1, mcycle
    sltu a2, a0, a1
    check_reg a2, 1
    csrr a0, cycle
    sltu a2, a0, a1
    check_reg a2, 0

    // norm: mcountinhibit_sz_warl_op1, mcountinhibit_op2, mcountinhibit_only_inc, cycle_instret_hpmcounter_op_rdonly
    // norm: mcountinhibit_enc_img
    // Inhibited counters stand still, and can be written.
    li gp, __LINE__
    li a0, COUNTEREN_CY | COUNTEREN_IR
    csrw mcountinhibit, a0
    csrr a0, minstret
    nop
    csrr a1, minstret
    check_same a0, a1
    csrr a0, mcycle
    nop
    csrr a1, mcycle
    check_same a0, a1
    li a0, 77
    csrw mcycle, a0
    csrw minstret, a0
    csrr a1, mcycle
    check_reg a1, 77
    csrr a1, minstret
    check_reg a1, 77
    csrr a1, instret
    check_reg a1, 77
    csrw mcountinhibit, zero

    // norm: mhpmcounter_num, mhpmevent_enc, mhpmcounter_mandatory
    // hpm counters and events exist from 3 to 31; an event 0 counts nothing.
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    li gp, __LINE__
    csrw mhpmevent\n, zero
    csrr a0, mhpmcounter\n
    nop
    csrr a1, mhpmcounter\n
    check_same a0, a1
    .endr

    // norm: mcounteren_op, mcounteren_clr_ill_inst_exc, mcounteren_set_nxt_priv, scounteren, scounteren_op
    // Enables: bit by bit for S, and for U only where both say yes.
    .macro readable mode, insn:vararg
    traps NONE, M, \mode, \insn
    .endm
    .macro withheld mode, insn:vararg
    traps ILLEGAL, M, \mode, \insn
    .endm
#define READABLE(mode, ...) li gp, __LINE__; readable mode, __VA_ARGS__
#define WITHHELD(mode, ...) li gp, __LINE__; withheld mode, __VA_ARGS__
    csrw mcounteren, zero
    li s0, -1
    csrw scounteren, s0
    READABLE(M, rdcycle a0)
    READABLE(M, rdtime a0)
    WITHHELD(S, rdcycle a0)
    WITHHELD(S, rdtime a0)
    WITHHELD(S, rdinstret a0)
    WITHHELD(U, rdcycle a0)
    WITHHELD(S, csrr a0, hpmcounter3)
    csrwi mcounteren, COUNTEREN_CY
    READABLE(S, rdcycle a0)
    READABLE(U, rdcycle a0)
    WITHHELD(S, rdtime a0)
    WITHHELD(U, rdinstret a0)
    csrwi mcounteren, COUNTEREN_TM
    READABLE(U, rdtime a0)
    WITHHELD(U, rdcycle a0)
    csrwi mcounteren, COUNTEREN_IR
    READABLE(U, rdinstret a0)
    csrwi mcounteren, 7
    csrwi scounteren, COUNTEREN_TM
    READABLE(S, rdcycle a0)
    WITHHELD(U, rdcycle a0)
    READABLE(U, rdtime a0)
    WITHHELD(U, rdinstret a0)
    csrw scounteren, zero
    READABLE(S, rdtime a0)
    WITHHELD(U, rdtime a0)
    // norm: mcounteren_inc_inaccessible
    // Withheld, they count on.
    csrw mcounteren, zero
    csrr a0, minstret
    RUNS(S, nop)
    csrr a1, minstret
    sub a1, a1, a0
    sltiu a1, a1, 3
    CHECK(a1, 0)
    csrwi mcounteren, 7
    // S-mode's own register does not change what S may read.
    IN(S)
    csrwi scounteren, 7
    OUT
    READABLE(U, rdcycle a0)
    PASS
