// Law: what a guest may not do but HS may raises a virtual-instruction exception: by VTW, VTVM, VTSR, hcounteren, henvcfg and hstateen0.
#include "hyper.h"
BEGIN
    HYPERVISOR
    // norm: hstatus_vtvm_op, H_virtinst_vs_sfence_sinval_satp_vtvm1, H_virtinst_xtval, H_cause_virtual_instruction
    // norm: Svinval_virtual_instruction_vtvms, Svinval_sfence_w_inval_inval_s_vs_mode
    // VTVM: satp and the fences of VS. Those of VU are virtual in any case.
    li s0, HSTATUS_VTVM
    RUNS(VS, csrr a0, satp)
    RUNS(VS, sfence.vma)
    RUNS(VS, sinval.vma a0, a1)
    csrs hstatus, s0
    TRAPS(VIRTUAL, VS, csrr a0, satp)
    TVAL(0x18002573)
    TRAPS(VIRTUAL, VS, csrw satp, x0)
    TRAPS(VIRTUAL, VS, sfence.vma)
    TRAPS(VIRTUAL, VS, sinval.vma a0, a1)
    RUNS(VS, sfence.w.inval)
    RUNS(VS, sfence.inval.ir)
    RUNS(S, csrr a0, satp)
    csrc hstatus, s0
    // norm: H_virtinst_vu_sret_sfence, Svinval_sfence_w_inval_inval_vu_mode
    TRAPS(VIRTUAL, VU, sfence.vma)
    TRAPS(VIRTUAL, VU, sfence.w.inval)
    // norm: mstatus_modes, mstatus_tvm_hs, hgatp_tvm_illegal, hfence-gvma_op, hfence-vvma_tvm
    // norm: hfence-vvma_hfence-gvma_exceptions, Svinval_illegal_instruction_tvm
    // TVM of M does not reach into the guest.
    li s1, MSTATUS_TVM
    csrs mstatus, s1
    RUNS(VS, csrr a0, satp)
    RUNS(VS, sfence.vma)
    TRAPS(ILLEGAL, S, csrr a0, hgatp)
    TRAPS(ILLEGAL, S, hfence.gvma)
    TRAPS(ILLEGAL, S, hinval.gvma a0, a1)
    RUNS(S, hfence.vvma)
    RUNS(S, hinval.vvma a0, a1)
    RUNS(S, csrr a0, vsatp)
    csrc mstatus, s1
    // norm: H_virtinst_vu_vs_hinst, hfence-vvma_hfence-gvma_exceptions, hfence-vvma_mode, hlsv_virtinst
    // norm: hlsv_illegalinst, Svinval_virtual_instruction_vu_vs
    // The hypervisor's own instructions.
    TRAPS(VIRTUAL, VS, hfence.vvma)
    TRAPS(VIRTUAL, VS, hfence.gvma)
    TRAPS(VIRTUAL, VS, hinval.vvma a0, a1)
    TRAPS(VIRTUAL, VU, hfence.gvma)
    TRAPS(VIRTUAL, VS, hlv.w a0, (a1))
    TRAPS(VIRTUAL, VU, hsv.w a0, (a1))
    TRAPS(ILLEGAL, U, hfence.vvma)
    TRAPS(ILLEGAL, U, hlv.w a0, (a1))

    // norm: hstatus_vtsr_op, H_virtinst_vs_sret_vtsr1, H_virtinst_vu_sret_sfence, xret_in_lower_mode
    // VTSR and TSR.
    li s0, HSTATUS_VTSR
    csrs hstatus, s0
    TRAPS(VIRTUAL, VS, sret)
    csrc hstatus, s0
    TRAPS(VIRTUAL, VU, sret)
    TRAPS(ILLEGAL, VS, mret)

    // norm: hstatus_vtw_op, H_virtinst_wfi_vtw1_tw0, H_virtinst_vu_wfi_tw0, mstatus_modes
    // VTW and TW: TW is stronger and makes it illegal.
    li s0, HSTATUS_VTW
    csrs hstatus, s0
    csrw mie, zero
    TRAPS(VIRTUAL, VS, wfi)
    TRAPS(VIRTUAL, VU, wfi)
    li s1, MSTATUS_TW
    csrs mstatus, s1
    TRAPS(ILLEGAL, VS, wfi)
    TRAPS(ILLEGAL, VU, wfi)
    csrc hstatus, s0
    TRAPS(ILLEGAL, VS, wfi)
    csrc mstatus, s1
    TRAPS(VIRTUAL, VU, wfi)

    // norm: hcounteren_op, H_virtinst_vs_nonhighctr_h0_m1, H_virtinst_vu_nonhighctr_h0_s0_m1, H_scsrs_nomatch
    // norm: mcounteren_clr_ill_inst_exc
    // Counters: M's bit off is illegal everywhere; then hcounteren for the guest, scounteren (VS's own) for VU.
    csrw mcounteren, zero
    li t0, 7
    csrw hcounteren, t0
    csrw scounteren, t0
    TRAPS(ILLEGAL, VS, rdcycle a0)
    TRAPS(ILLEGAL, VU, rdcycle a0)
    csrw mcounteren, t0
    RUNS(VS, rdcycle a0)
    RUNS(VU, rdinstret a0)
    csrwi hcounteren, COUNTEREN_TM
    TRAPS(VIRTUAL, VS, rdcycle a0)
    TRAPS(VIRTUAL, VU, rdcycle a0)
    RUNS(VS, rdtime a0)
    RUNS(S, rdcycle a0)
    csrwi hcounteren, 7
    csrw scounteren, zero
    RUNS(VS, rdcycle a0)
    TRAPS(VIRTUAL, VU, rdcycle a0)
    TRAPS(ILLEGAL, U, rdcycle a0)

    // norm: henvcfg_stce, hcounteren_acc, menvcfg_stce_op2, H_cause_virtual_instruction
    // stimecmp in VS is vstimecmp: menvcfg, henvcfg and both TM bits.
    li s1, ENVCFG_STCE
    csrw menvcfg, s1
    csrw henvcfg, s1
    li t0, -1
    csrw vstimecmp, t0
    RUNS(VS, csrr a0, stimecmp)
    csrw henvcfg, zero
    TRAPS(VIRTUAL, VS, csrr a0, stimecmp)
    csrw henvcfg, s1
    csrw hcounteren, zero
    TRAPS(VIRTUAL, VS, csrr a0, stimecmp)
    csrwi hcounteren, 7
    // VU's is virtual where HS could, illegal where HS could not.
    TRAPS(VIRTUAL, VU, csrr a0, stimecmp)
    csrw menvcfg, zero
    TRAPS(ILLEGAL, VS, csrr a0, stimecmp)
    TRAPS(ILLEGAL, VU, csrr a0, stimecmp)

    // norm: hstateen0_envcfg_op, hstateen0_SE0_op, hstateen_bit_63_op, mstateen0_envcfg_op, mstateen0_se0_op
    // norm: mstateen_bit_63_op, stateen_illegal_state_access, stateen_op
    // hstateen0: what HS may but the guest may not. M's zero makes it illegal.
    li s0, STATEEN_ENVCFG | STATEEN_SE
    csrw mstateen0, s0
    csrw hstateen0, zero
    TRAPS(VIRTUAL, VS, csrr a0, senvcfg)
    TRAPS(VIRTUAL, VS, csrr a0, sstateen0)
    RUNS(S, csrr a0, senvcfg)
    RUNS(S, csrr a0, henvcfg)
    csrw hstateen0, s0
    RUNS(VS, csrr a0, senvcfg)
    RUNS(VS, csrr a0, sstateen0)
    csrw mstateen0, zero
    TRAPS(ILLEGAL, VS, csrr a0, senvcfg)
    TRAPS(ILLEGAL, VS, csrr a0, sstateen0)
    TRAPS(ILLEGAL, S, csrr a0, henvcfg)
    TRAPS(ILLEGAL, S, csrr a0, hstateen0)
    PASS
