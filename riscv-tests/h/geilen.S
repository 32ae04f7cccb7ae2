// Law: hgeip shows the guest external interrupt lines; hstatus.VGEIN picks one for VSEIP, hgeie those for SGEIP; a hart without lines has no trace of them.
// Most of it needs --geilen 2 or more and --test-device, which drives the lines; without them the rest is checked.
#include "hyper.h"
#define LINE(n) (1 << (n))
.macro lines bits
    li a0, GUEST_LINES
    li a1, \bits
    sd a1, (a0)
.endm
.macro vgein n
    li t5, HSTATUS_VGEIN
    csrc hstatus, t5
    li t5, (\n) << HSTATUS_VGEIN_SHIFT
    csrs hstatus, t5
.endm
BEGIN
    HYPERVISOR
    // norm: geilen, hgeie_sz_acc_op
    // The lines are 1 to GEILEN, without a gap.
    li t0, -1
    csrw hgeie, t0
    csrr s0, hgeie
    csrw hgeie, zero
    andi a0, s0, 1
    CHECK(a0, 0)
    addi a0, s0, 2
    and a0, a0, s0
    CHECK(a0, 0)
    // norm: hgeip_sz_acc_op
    TRAPS(ILLEGAL, M, csrw hgeip, x0)
    // norm: mideleg_acc_h, mideleg_hroz, hip_sgeip_sgeie_acc_op
    // Bit 12 of mideleg and of the enables is one only if there are lines.
    snez s1, s0
    slli s1, s1, SGEI
    li s2, BIT(SGEI)
    csrw mideleg, zero
    csrr a0, mideleg
    and a0, a0, s2
    CHECK_SAME(a0, s1)
    csrw mie, s2
    csrr a0, hie
    CHECK_SAME(a0, s1)
    csrw hie, zero
    CHECK_CSR(mie, BIT(SGEI), 0)
    bnez s0, 1f
    // No lines: VGEIN is zero, nothing is pending.
    csrr a0, hgeip
    CHECK(a0, 0)
    CHECK_CSR(hstatus, HSTATUS_VGEIN, 0)
    j end
    // norm: hstatus_vgein_op
    // VGEIN holds 0 to GEILEN.
1:  li s3, 0
2:  addi s3, s3, 1
    srl a0, s0, s3
    andi a0, a0, 1
    bnez a0, 2b
    addi s3, s3, -1
    slli s4, s3, HSTATUS_VGEIN_SHIFT
    li t0, HSTATUS_VGEIN
    csrc hstatus, t0
    csrs hstatus, s4
    csrr a0, hstatus
    and a0, a0, t0
    CHECK_SAME(a0, s4)
    csrc hstatus, t0
    li t0, 2
    blt s3, t0, end
    // The device that drives the lines may be missing.
    IN(M)
    lines LINE(1)
    OUT
    ld t0, trap + TRAP_CAUSE
    li t1, STORE_ACCESS
    beq t0, t1, end
    GOT(NONE)

    // norm: hgeip_hgeie_fields, hgeie_op
    // A line is in hgeip by its number; hgeie decides about SGEIP alone.
    CHECK_CSR(hgeip, -1, LINE(1))
    CHECK_CSR(hip, BIT(SGEI) | BIT(VSEI), 0)
    vgein 1
    CHECK_CSR(hip, BIT(SGEI) | BIT(VSEI), BIT(VSEI))
    CHECK_CSR(mip, BIT(SGEI) | BIT(VSEI), BIT(VSEI))
    // norm: hip_vseip_vseie_op
    // hvip is another source, and shows nothing of this one.
    CHECK_CSR(hvip, BIT(VSEI), 0)
    vgein 2
    CHECK_CSR(hip, BIT(SGEI) | BIT(VSEI), 0)
    csrwi hgeie, LINE(1)
    CHECK_CSR(hip, BIT(SGEI) | BIT(VSEI), BIT(SGEI))
    csrwi hgeie, LINE(2)
    CHECK_CSR(hip, BIT(SGEI) | BIT(VSEI), 0)
    lines LINE(1) | LINE(2)
    CHECK_CSR(hgeip, -1, LINE(1) | LINE(2))
    CHECK_CSR(hip, BIT(SGEI) | BIT(VSEI), BIT(SGEI) | BIT(VSEI))
    // Lines that the hart does not have, and line 0, do not show.
    lines -1
    csrr a0, hgeip
    CHECK_SAME(a0, s0)
    lines LINE(2)

    // norm: hip_sgeip_sgeie_acc_op, hideleg_acc
    // SGEIP cannot be written, nor be delegated further.
    li t0, BIT(SGEI)
    csrc hip, t0
    csrc mip, t0
    CHECK_CSR(hip, BIT(SGEI), BIT(SGEI))
    csrw hideleg, t0
    CHECK_CSR(hideleg, -1, 0)

    // norm: hideleg_hs, H_cause
    // HS takes it, from the guest in any case, in HS by SIE; never M.
    vgein 0
    csrw hie, t0
    IN_INTERRUPTIBLE(M)
    nop
    OUT
    GOT(NONE)
    csrci sstatus, MSTATUS_SIE
    RUNS(S, nop)
    IN(VS)
    nop
    OUT
    GOT(IRQ(SGEI), S)
    IN(U)
    nop
    OUT
    GOT(IRQ(SGEI), S)
    csrsi sstatus, MSTATUS_SIE
    IN(S)
    nop
    OUT
    GOT(IRQ(SGEI), S)
    csrci sstatus, MSTATUS_SIE

    // norm: hsint_priority
    // SGEI before VSEI, behind STI; once VSEI is delegated, it is the guest's as SEI.
    vgein 2
    li t0, BIT(SGEI) | BIT(VSEI)
    csrw hie, t0
    IN(VU)
    nop
    OUT
    GOT(IRQ(SGEI), S)
    csrw hgeie, zero
    IN(VU)
    nop
    OUT
    GOT(IRQ(VSEI), S)
    // norm: hideleg_trans
    li t1, BIT(VSEI)
    csrw hideleg, t1
    CHECK_CSR(vsip, -1, BIT(SEI))
    IN(VU)
    nop
    OUT
    GOT(IRQ(SEI), VS)
    // The guest cannot clear it; the line can.
    IN(VS)
    csrw sip, x0
    csrr a2, sip
    OUT
    GOT(NONE)
    CHECK(a2, BIT(SEI))
    lines 0
    CHECK_CSR(hgeip, -1, 0)
    CHECK_CSR(vsip, -1, 0)
    IN(VU)
    nop
    OUT
    GOT(NONE)
end:
    PASS
