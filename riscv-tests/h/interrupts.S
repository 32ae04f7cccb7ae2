// Law: hvip's interrupts are VS's: taken in HS below hideleg, in VS as SSI, STI, SEI when vsstatus.SIE or VU; vstimecmp drives VSTIP.
#include "hyper.h"
#define VSI (BIT(VSSI) | BIT(VSTI) | BIT(VSEI))
BEGIN
    HYPERVISOR
    // norm: hideleg_hs, H_cause
    // Pending and enabled in HS terms, not delegated: HS takes it, from the guest always, in HS by SIE.
    li s0, BIT(VSSI)
    csrw hvip, s0
    csrw hie, s0
    csrci sstatus, MSTATUS_SIE
    IN_INTERRUPTIBLE(M)
    nop
    OUT
    GOT(NONE)
    RUNS(S, nop)
    // norm: hstatus_gva_op
    IN(VS)
    nop
    OUT
    GOT(IRQ(VSSI), S)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_GVA, HSTATUS_SPV | HSTATUS_SPVP)
    csrsi sstatus, MSTATUS_SIE
    IN(S)
    nop
    OUT
    GOT(IRQ(VSSI), S)
    csrci sstatus, MSTATUS_SIE

    // norm: hideleg_op, hideleg_trans, hideleg_hs
    // Delegated to VS: VS takes it as 1, 5 or 9, by its own SIE; HS never.
    li s1, VSI
    csrw hideleg, s1
    csrw hie, s1
    csrw hvip, s1
    RUNS(S, nop)
    csrsi sstatus, MSTATUS_SIE
    RUNS(S, nop)
    RUNS(U, nop)
    csrci sstatus, MSTATUS_SIE
    li s2, MSTATUS_SIE
    csrc vsstatus, s2
    RUNS(VS, nop)
    csrs vsstatus, s2
    la a0, 1f
    IN(VS)
1:  nop
    OUT
    GOT(IRQ(SEI), VS)
    EPC_IS(a0)
    CHECK_CSR(vsstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPP | MSTATUS_SPIE)
    IN(VU)
    nop
    OUT
    GOT(IRQ(SEI), VS)
    li t0, BIT(VSSI) | BIT(VSTI)
    csrw hvip, t0
    IN(VU)
    nop
    OUT
    GOT(IRQ(SSI), VS)
    li t0, BIT(VSTI)
    csrw hvip, t0
    IN(VU)
    nop
    OUT
    GOT(IRQ(STI), VS)
    // norm: vsip_vsie_sz_acc_op, vsip_vsie_sei, vsip_vsie_sti, vsip_vsie_ssi, hip_vssip_vssie_op
    // VS masks and clears its software interrupt itself.
    csrw hvip, s1
    IN(VS)
    csrr a0, sip
    csrr a1, sie
    csrw sip, x0
    csrr a2, sip
    li a3, BIT(STI)
    csrw sie, a3
    OUT
    GOT(NONE)
    CHECK(a0, BIT(SSI) | BIT(STI) | BIT(SEI))
    CHECK(a1, BIT(SSI) | BIT(STI) | BIT(SEI))
    CHECK(a2, BIT(STI) | BIT(SEI))
    CHECK_CSR(hvip, 0x1fff, BIT(VSTI) | BIT(VSEI))
    CHECK_CSR(hie, VSI, BIT(VSTI))
    csrw hvip, zero
    csrw hie, zero

    // norm: s_interrupt_priority
    // HS's own interrupts come before VS's and reach it from the guest.
    li t0, BIT(SSI)
    csrw mideleg, t0
    csrw hvip, s1
    csrw hie, s1
    csrs mie, t0
    csrs mip, t0
    IN(VU)
    nop
    OUT
    GOT(IRQ(SSI), S)
    HSTATUS_AT_TRAP(HSTATUS_SPV, HSTATUS_SPV)
    csrc mip, t0
    csrw mie, zero
    csrw hvip, zero

    // norm: wfi_unaffected_conditions
    // WFI in VS ends by what is pending for VS.
    csrw hie, s1
    csrw hvip, s1
    csrc vsstatus, s2
    RUNS(VS, wfi)
    csrw hvip, zero

    // norm: hip_vstip_op, hip_vstip_clear, hip_vstip_vstie_acc_op, vstimecmp_exist, sstc_vs_facility
    // vstimecmp: VSTIP is time + htimedelta >= vstimecmp, or hvip's bit.
    li gp, __LINE__
    li t0, ENVCFG_STCE
    csrw menvcfg, t0
    csrw henvcfg, t0
    li t0, -1
    csrw vstimecmp, t0
    csrw htimedelta, zero
1:  csrr t1, hip
    andi t1, t1, BIT(VSTI)
    bnez t1, 1b
    csrw vstimecmp, zero
1:  csrr t1, hip
    andi t1, t1, BIT(VSTI)
    beqz t1, 1b
    // hvip does not show it.
    CHECK_CSR(hvip, BIT(VSTI), 0)
    // norm: hip_vstip_enable
    li t0, BIT(VSTI)
    csrw hie, t0
    IN(VU)
    nop
    OUT
    GOT(IRQ(STI), VS)
    // norm: htimedelta_sz_acc_op, hip_vstip_op, time_htimedelta_req
    // The guest sees its own time; a delta into the past makes it small.
    li gp, __LINE__
    csrwi mcounteren, 7
    csrwi hcounteren, 7
    rdtime a1
    li t0, 1 << 60
    csrw htimedelta, t0
    csrw hie, zero
    IN(VS)
    rdtime a0
    OUT
    GOT(NONE)
    srli a0, a0, 60
    CHECK(a0, 1)
    li t0, 1 << 61
    csrw vstimecmp, t0
1:  csrr t1, hip
    andi t1, t1, BIT(VSTI)
    bnez t1, 1b
    li t0, 1 << 61
    csrw htimedelta, t0
1:  csrr t1, hip
    andi t1, t1, BIT(VSTI)
    beqz t1, 1b
    PASS
