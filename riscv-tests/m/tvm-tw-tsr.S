// Law: mstatus.TVM traps S-mode's satp and SFENCE.VMA, TSR its SRET, TW its WFI (in U too); M-mode feels none of them.
#include "test.h"
BEGIN
    // norm: mstatus_tvm_warl_op
    // All clear: S may.
    RUNS(S, csrr a0, satp)
    RUNS(S, csrw satp, zero)
    RUNS(S, sfence.vma)
    RUNS(S, sfence.vma a0, a1)
    RUNS(S, sinval.vma a0, a1)
    // norm: Svinval_illegal_instruction_u_mode, Svinval_sfence_w_inval_inval_u_mode
    // U may never.
    TRAPS(ILLEGAL, U, csrr a0, satp)
    TRAPS(ILLEGAL, U, sfence.vma)
    TRAPS(ILLEGAL, U, sinval.vma a0, a1)
    TRAPS(ILLEGAL, U, sfence.w.inval)
    TRAPS(ILLEGAL, U, sfence.inval.ir)

    // norm: mstatus_tvm_warl_op, Svinval_illegal_instruction_tvm, Svinval_sfence_w_inval_inval_s_vs_mode
    li s0, MSTATUS_TVM
    csrs mstatus, s0
    TRAPS(ILLEGAL, S, csrr a0, satp)
    TVAL(0x18002573)
    TRAPS(ILLEGAL, S, csrw satp, zero)
    TRAPS(ILLEGAL, S, sfence.vma)
    TVAL(0x12000073)
    TRAPS(ILLEGAL, S, sfence.vma a0, a1)
    TRAPS(ILLEGAL, S, sinval.vma a0, a1)
    // The ordering halves of Svinval are not fences by themselves.
    RUNS(S, sfence.w.inval)
    RUNS(S, sfence.inval.ir)
    RUNS(M, csrr a0, satp)
    RUNS(M, sfence.vma)
    csrc mstatus, s0

    // norm: mstatus_tsr_warl, mstatus_tsr_op, sret_ill_inst_exc_rst
    li s0, MSTATUS_TSR
    csrs mstatus, s0
    TRAPS(ILLEGAL, S, sret)
    TVAL(0x10200073)
    // M-mode may SRET.
    li gp, __LINE__
    la a0, 1f
    csrw sepc, a0
    li a0, MSTATUS_SPP
    csrs mstatus, a0
    la t6, trap
    la t5, 2f
    sd t5, TRAP_RESUME(t6)
    sret
1:  ecall
2:  GOT(ECALL_S)
    csrc mstatus, s0

    // norm: mstatus_tw_warl, mstatus_tw_op, wfi_ill_exc, mstatus_tw_umode_op
    // WFI with nothing pending. A hart that ended it in bounded time would not have to trap; this one waits.
    csrw mie, zero
    li s0, MSTATUS_TW
    csrs mstatus, s0
    TRAPS(ILLEGAL, S, wfi)
    TVAL(0x10500073)
    TRAPS(ILLEGAL, U, wfi)
    csrc mstatus, s0
    // Without TW, U-mode's WFI is still illegal where S-mode exists.
    TRAPS(ILLEGAL, U, wfi)
    PASS
