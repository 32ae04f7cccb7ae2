// Law: in a guest WFI ends by what is pending and enabled, whatever the delegation and the global enables; VTW makes it virtual, TW illegal.
#include "hyper.h"
#define VSI (BIT(VSSI) | BIT(VSTI) | BIT(VSEI))
// The guest's comparator, so many ticks from now.
.macro guest_timer_in ticks
    rdtime t5
    csrr t6, htimedelta
    add t5, t5, t6
    addi t5, t5, \ticks
    csrw vstimecmp, t5
.endm
BEGIN
    HYPERVISOR
    csrwi mcounteren, 7
    csrwi hcounteren, 7
    li s0, VSI
    li s1, MSTATUS_SIE
    // norm: wfi_unaffected_conditions, wfi_intr_dis, wfi_all_privileged_modes, wfi_no_intr_pc
    // Pending for the guest and enabled: it ends in the guest with its SIE off, and in HS and M, whom the interrupt does not concern.
    csrw hie, s0
    csrci sstatus, MSTATUS_SIE
    csrc vsstatus, s1
    .irp interrupt, VSSI, VSTI, VSEI
    li gp, __LINE__
    li a0, BIT(\interrupt)
    csrw hvip, a0
    csrw hideleg, s0
    traps NONE, M, VS, wfi
    traps NONE, M, S, wfi
    traps NONE, M, M, wfi
    // Not delegated either.
    csrw hideleg, zero
    traps NONE, M, S, wfi
    traps NONE, M, M, wfi
    .endr
    csrw hvip, zero

    // norm: wfi_op, wfi_mepc_val, hip_vstip_enable, hideleg_trans
    // The guest waits for its comparator, and is interrupted behind the WFI.
    li t0, ENVCFG_STCE
    csrw menvcfg, t0
    csrw henvcfg, t0
    li t0, 1 << 40
    csrw htimedelta, t0
    csrw hideleg, s0
    csrs vsstatus, s1
    guest_timer_in 300
    la a1, 1f
    IN(VS)
    wfi
1:  nop
    OUT
    GOT(IRQ(STI), VS)
    EPC_IS(a1)
    // HS waits for it as well; what it takes is VSTI, with SPV = 0.
    csrw hideleg, zero
    csrs sstatus, s1
    guest_timer_in 300
    la a1, 2f
    IN(S)
    wfi
2:  nop
    OUT
    GOT(IRQ(VSTI), S)
    EPC_IS(a1)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_GVA, 0)
    csrc sstatus, s1
    // A guest with nothing enabled waits until HS's own interrupt takes the hart away from it.
    csrw hideleg, s0
    csrw hie, zero
    li t0, -1
    csrw vstimecmp, t0
    li t0, BIT(STI)
    csrw mideleg, t0
    csrs mie, t0
    rdtime t5
    addi t5, t5, 300
    csrw stimecmp, t5
    la a1, 3f
    IN(VS)
    wfi
3:  nop
    OUT
    GOT(IRQ(STI), S)
    EPC_IS(a1)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_SPVP, HSTATUS_SPV | HSTATUS_SPVP)
    csrw mie, zero
    li t0, -1
    csrw stimecmp, t0

    // norm: hstatus_vtw_op, vtw_virtinstr, H_virtinst_wfi_vtw1_tw0
    // VTW: virtual in VS, even where it would have ended at once. HS and M are not concerned.
    csrw hie, s0
    csrw hvip, s0
    csrc vsstatus, s1
    li s2, HSTATUS_VTW
    csrs hstatus, s2
    TRAPS(VIRTUAL, VS, wfi)
    TVAL(0x10500073)
    RUNS(S, wfi)
    RUNS(M, wfi)
    csrc hstatus, s2
    RUNS(VS, wfi)
    // norm: H_virtinst_vu_wfi_tw0
    // Virtual in VU in any case. (What is pending would interrupt VU.)
    csrw hvip, zero
    TRAPS(VIRTUAL, VU, wfi)
    csrs hstatus, s2
    TRAPS(VIRTUAL, VU, wfi)
    csrc hstatus, s2
    // norm: mstatus_tw_op, mstatus_modes, mstatus_tw_umode_op
    // TW: illegal below M, and stronger than VTW.
    li s3, MSTATUS_TW
    csrs mstatus, s3
    .irp mode, S, U, VS, VU
    li gp, __LINE__
    traps ILLEGAL, M, \mode, wfi
    csrs hstatus, s2
    traps ILLEGAL, M, \mode, wfi
    csrc hstatus, s2
    .endr
    csrw hvip, s0
    RUNS(M, wfi)
    csrw hvip, zero
    csrc mstatus, s3
    TRAPS(ILLEGAL, U, wfi)
    PASS
