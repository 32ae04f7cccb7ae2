// Law: a trap of S or U whose medeleg bit is set goes to S and leaves M's trap registers alone; one of M never does. SRET undoes it.
#include "paging.h"
BEGIN
    // norm: medeleg_mideleg_op2, trap_del_S-mode, trap_del_S_mode_op, trap_horiz, sstatus_spp, sepc_op_trap_write
    // norm: scause, stval, stval_op_faulting_addr, stval_op_illegal_instr, stval_op_other_traps
    // norm: ecall_ebreak_epc_value
    // norm: stval_op_illegal_instr_format
    // Everything but the ECALL of S, with which the handler below hands its record up.
    li s0, 0x1234
    csrw mepc, s0
    csrw mtval, s0
    li s1, ~(1 << ECALL_S)
    csrw medeleg, s1

    .macro delegated mode, cause, tval, spp, insn:vararg
    la a0, 1f
    in_mode IN_\mode, 0
1:  \insn
    out_of_mode
    got \cause, S
    trap_field_is TRAP_EPC, a0
    trap_field_equals TRAP_TVAL, \tval
    check_csr sstatus, MSTATUS_SPP, \spp
    .endm
#define DELEGATED(...) li gp, __LINE__; delegated __VA_ARGS__
    DELEGATED(U, ILLEGAL, 0x0000000b, 0, .insn 0x0000000b)
    DELEGATED(S, ILLEGAL, 0x30002573, MSTATUS_SPP, csrr a0, mstatus)
    DELEGATED(U, ECALL_U, 0, 0, ecall)
    li a1, 8
    DELEGATED(U, LOAD_ACCESS, 8, 0, ld a2, (a1))
    DELEGATED(S, STORE_ACCESS, 8, MSTATUS_SPP, sd a2, (a1))
    la a0, 1f
    IN(U)
1:  ebreak
    OUT
    GOT(BREAKPOINT, S)
    EPC_IS(a0)
    // norm: stval_op_breakpoint
    li gp, __LINE__
    ld a2, trap + TRAP_TVAL
    beqz a2, 1f
    check_same a2, a0
1:
    // norm: trap_never_trans_lower
    // M-mode's own trap stays in M.
    TRAPS(ILLEGAL, M, csrw mhartid, x0)
    TRAPS(LOAD_ACCESS, M, ld a2, (a1))

    // norm: medeleg_enc_txt, trap_def_M_mode
    // Bit by bit: only what is delegated.
    csrw medeleg, zero
    li s1, 1 << ILLEGAL
    csrw medeleg, s1
    TRAPS_TO(ILLEGAL, S, U, csrr a0, mstatus)
    TRAPS(LOAD_ACCESS, U, ld a2, (a1))
    TRAPS(BREAKPOINT, U, ebreak)

    // norm: sstatus_spie, trap_del_S_mode_op, mstatus_xpie_xie_xpp_trap_op, mstatus_xret_op, stval_op_other_traps
    // SIE goes to SPIE and is cleared; the trap registers of M are not written. All by hand, for IN's OUT uses them.
    li gp, __LINE__
    li s1, 1 << ECALL_U
    csrw medeleg, s1
    la t0, in_s
    csrw stvec, t0
    csrsi sstatus, MSTATUS_SIE
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    la t0, 1f
    csrw mepc, t0
    li s2, 0x777
    csrw mtval, s2
    csrw mcause, zero
    mret
1:  ecall
    .balign 4
in_s:
    csrr s3, scause
    csrr s4, sepc
    csrr s5, sstatus
    csrr s6, stval
    // And back to U by SRET, behind the ECALL; SIE comes from SPIE.
    la t0, 2f
    csrw sepc, t0
    sret
2:  li s7, 1
    la t0, trap
    la t1, 3f
    sd t1, TRAP_RESUME(t0)
    ebreak
3:  GOT(BREAKPOINT)
    CHECK(s3, ECALL_U)
    la t0, 1b
    CHECK_SAME(s4, t0)
    li t0, MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP
    and s5, s5, t0
    CHECK(s5, MSTATUS_SPIE)
    CHECK(s6, 0)
    CHECK(s7, 1)
    MSTATUS_AT_TRAP(MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_MPP, MSTATUS_SIE | MSTATUS_SPIE)
    csrci sstatus, MSTATUS_SIE

    // norm: stval_op_faulting_addr, scause_interrupt
    // Page faults, delegated, with translation on.
    la t0, handle_s
    csrw stvec, t0
    PAGING(SV39)
    PAGING_ON(SV39)
    li s1, (1 << LOAD_PAGE) | (1 << STORE_PAGE) | (1 << INSN_PAGE)
    csrw medeleg, s1
    li a0, VA
    TRAPS_TO(LOAD_PAGE, S, U, ld a1, (a0))
    TVAL_IS(a0)
    TRAPS_TO(STORE_PAGE, S, S, sd a1, (a0))
    TVAL_IS(a0)
    TRAPS_TO(STORE_PAGE, S, U, amoadd.d a1, a1, (a0))
    TVAL_IS(a0)
    TRAPS_TO(INSN_PAGE, S, U, jr a0)
    TVAL_IS(a0)
    EPC_IS(a0)
    // norm: stval_op_load_store_fault
    // A misaligned load over a page's end names the part that faults.
    MAP(VA, SPARE, 0, PTE_RWX | PTE_U)
    sfence.vma
    li a0, VA + PAGE - 4
    li a1, VA + PAGE
    TRAPS_TO(LOAD_PAGE, S, U, ld a2, (a0))
    TVAL_IS(a1)
    TRAPS_TO(STORE_PAGE, S, U, sd a2, (a0))
    TVAL_IS(a1)
    // norm: stval_faulting_address_variable_instr
    // So does a 32-bit instruction across one: epc is its start, tval the second half.
    li gp, __LINE__
    li t0, SPARE + PAGE - 2
    li t1, 0x0513
    sh t1, (t0)
    fence.i
    li a0, VA + PAGE - 2
    TRAPS_TO(INSN_PAGE, S, U, jr a0)
    TVAL_IS(a1)
    EPC_IS(a0)
    // norm: mtval_varlen_wr, mepc_varlen_wr, mtval_vaddr_wr2
    // The same for M-mode.
    csrw medeleg, zero
    TRAPS(INSN_PAGE, U, jr a0)
    TVAL_IS(a1)
    EPC_IS(a0)
    li a0, VA + PAGE - 4
    TRAPS(LOAD_PAGE, U, ld a2, (a0))
    TVAL_IS(a1)
    PASS
