// Law: a delegated interrupt is taken in U always, in S when SIE is on, never in M; in the order SEI, SSI, STI.
#include "test.h"
#define ALL (BIT(SSI) | BIT(STI) | BIT(SEI))
BEGIN
    // norm: medeleg_mideleg_op2, trap_del_intr_priv_lvl, sie_sip_supervisor_strap, sstatus_sie
    // norm: sip_sie_priority_bit_order, scause_interrupt, stval_op_other_traps
    li s0, ALL
    csrw mideleg, s0
    csrw mie, s0
    csrw mip, s0
    IN_INTERRUPTIBLE(M)
    nop
    OUT
    GOT(NONE)
    csrci sstatus, MSTATUS_SIE
    RUNS(S, nop)
    csrsi sstatus, MSTATUS_SIE
    la a0, 1f
    IN(S)
1:  nop
    OUT
    GOT(IRQ(SEI), S)
    EPC_IS(a0)
    TVAL(0)
    CHECK_CSR(sstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPP | MSTATUS_SPIE)
    IN(U)
    nop
    OUT
    GOT(IRQ(SEI), S)
    CHECK_CSR(sstatus, MSTATUS_SPP, 0)
    li a0, BIT(SEI)
    csrc mip, a0
    IN(U)
    nop
    OUT
    GOT(IRQ(SSI), S)
    li a0, BIT(SSI)
    csrc sie, a0
    IN(U)
    nop
    OUT
    GOT(IRQ(STI), S)
    // norm: sip_ssip_sie_ssie, sip_seip_sie_seie, sip_op
    // S-mode clears its own software interrupt; the others it cannot clear.
    csrw mip, s0
    li a1, ALL
    IN(S)
    csrc sip, a1
    OUT
    GOT(NONE)
    CHECK_CSR(sip, ALL, BIT(STI) | BIT(SEI))

    // norm: sie_sip_strap_time_constraint
    // SIE set in S-mode takes it before the next instruction.
    csrw mie, s0
    la a0, 1f
    li a1, 0
    csrci sstatus, MSTATUS_SIE
    IN(S)
    csrsi sstatus, MSTATUS_SIE
1:  li a1, 1
    OUT
    GOT(IRQ(SEI), S)
    EPC_IS(a0)
    CHECK(a1, 0)

    // norm: intr_mip_mie_op
    // Not delegated: to M, even if S has it masked.
    csrw mideleg, zero
    csrci sstatus, MSTATUS_SIE
    IN(S)
    nop
    OUT
    GOT(IRQ(SEI))
    PASS
