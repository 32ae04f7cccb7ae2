// Law: a trap into M saves pc, mode and MIE and masks interrupts; MRET undoes it, leaves MPP = U and MPIE = 1, and clears MPRV below M.
#include "test.h"
BEGIN
    // norm: ecall_op2, ecall_ebreak_epc_value, mepc_op, mcause_op, mtval_other_traps_zero, mstatus_xpie_xpp_op
    // norm: trap_def_M_mode
    // norm: mcause_exccode_enc_img
    // ECALL names the mode it came from; mepc is its own address, tval 0.
    .macro ecall_from mode, cause, mpp
    la a0, 1f
    in_mode IN_\mode, 0
1:  ecall
    out_of_mode
    got \cause
    trap_field_is TRAP_EPC, a0
    trap_field_equals TRAP_TVAL, 0
    trap_field_masked TRAP_STATUS, MSTATUS_MPP | MSTATUS_MIE | MSTATUS_MPIE, \mpp
    .endm
#define ECALL_FROM(...) li gp, __LINE__; ecall_from __VA_ARGS__
    ECALL_FROM(M, ECALL_M, MSTATUS_MPP)
    ECALL_FROM(S, ECALL_S, MSTATUS_MPP_S)
    ECALL_FROM(U, ECALL_U, 0)

    // norm: mstatus_xpie_xie_xpp_trap_op, mstatus_xpie_xpp_op
    // MIE goes to MPIE and is cleared.
    IN_INTERRUPTIBLE(M)
    ecall
    OUT
    MSTATUS_AT_TRAP(MSTATUS_MIE | MSTATUS_MPIE, MSTATUS_MPIE)
    IN_INTERRUPTIBLE(U)
    ecall
    OUT
    MSTATUS_AT_TRAP(MSTATUS_MIE | MSTATUS_MPIE, MSTATUS_MPIE)

    // norm: ebreak_op2, ecall_ebreak_epc_value
    la a0, 1f
    IN(U)
1:  ebreak
    OUT
    GOT(BREAKPOINT)
    EPC_IS(a0)

    // norm: mtval_vaddr_wr1, mepc_op
    // A jump to where nothing can be fetched traps at the target, not at the jump, and has linked.
    li a0, 0x8
    la a2, 2f
    IN(M)
    jalr a1, (a0)
2:  nop
    OUT
    GOT(INSN_ACCESS)
    EPC_IS(a0)
    TVAL_IS(a0)
    CHECK_SAME(a1, a2)

    // The instruction that traps changes nothing else: rd keeps its value.
    li a0, 0x8
    li a1, 0x1234
    TRAPS(LOAD_ACCESS, M, ld a1, (a0))
    CHECK(a1, 0x1234)
    li a1, 8
    TRAPS(LOAD_ACCESS, M, ld a1, (a1))
    CHECK(a1, 8)

    // norm: mstatus_xret_op, xret_op, mret_presence
    // norm: xret_enc_img
    // MRET by hand: from MPP = M with MPIE = 0 and 1.
    li gp, __LINE__
    li a0, MSTATUS_MPP
    li a1, MSTATUS_MPIE | MSTATUS_MIE
    csrs mstatus, a0
    csrc mstatus, a1
    la a2, 1f
    csrw mepc, a2
    mret
    FAIL
1:  CHECK_CSR(mstatus, MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE, MSTATUS_MPIE)
    csrs mstatus, a0
    la a2, 1f
    csrw mepc, a2
    mret
    FAIL
1:  CHECK_CSR(mstatus, MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE, MSTATUS_MPIE | MSTATUS_MIE)
    csrc mstatus, a1

    // norm: mstatus_mprv_clr_mret_sret_less_priv, mstatus_xret_op
    // To M, MRET keeps MPRV; to S or U it clears it.
    li a3, MSTATUS_MPRV
    csrs mstatus, a0
    csrs mstatus, a3
    la a2, 1f
    csrw mepc, a2
    mret
1:  csrr a4, mstatus
    csrc mstatus, a3
    and a4, a4, a3
    CHECK_SAME(a4, a3)
    // MPRV is set behind IN's back: at the trap it must be gone.
    li s0, MSTATUS_MPRV
    li gp, __LINE__
    la t6, trap
    la t5, 3f
    sd t5, TRAP_RESUME(t6)
    sd zero, TRAP_OUT(t6)
    csrc mstatus, a0
    la a2, 2f
    csrw mepc, a2
    csrs mstatus, s0
    mret
2:  ecall
3:  GOT(ECALL_U)
    MSTATUS_AT_TRAP(MSTATUS_MPRV, 0)

    // norm: mepc_align, mepc_sz_acc
    // mepc holds any even address (IALIGN = 16), and only those.
    li gp, __LINE__
    li a0, -1
    csrw mepc, a0
    csrr a1, mepc
    andi a1, a1, 3
    CHECK(a1, 2)

    // norm: xret_in_lower_mode
    // MRET and SRET are illegal below their mode.
    TRAPS(ILLEGAL, S, mret)
    TVAL(0x30200073)
    TRAPS(ILLEGAL, U, mret)
    TRAPS(ILLEGAL, U, sret)
    TVAL(0x10200073)

    // norm: xret_in_higher_mode, mstatus_xret_op, mstatus_mprv_clr_mret_sret_less_priv, xret_op, sret_presence
    // norm: sstatus_spp
    // SRET in M: to SPP, with SPIE to SIE, SPP = U and SPIE = 1 after it; MPRV is cleared.
    li gp, __LINE__
    la t6, trap
    la t5, 3f
    sd t5, TRAP_RESUME(t6)
    li a0, MSTATUS_SPP | MSTATUS_SPIE
    csrs mstatus, a0
    li a1, MSTATUS_SIE
    csrc mstatus, a1
    la a2, 2f
    csrw sepc, a2
    csrs mstatus, s0
    sret
2:  ecall
3:  GOT(ECALL_S)
    MSTATUS_AT_TRAP(MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE | MSTATUS_MPRV, MSTATUS_SPIE | MSTATUS_SIE)
    PASS
