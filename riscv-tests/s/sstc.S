// Law: with menvcfg.STCE, STIP is time >= stimecmp, unsigned, and only that; S-mode reaches stimecmp if STCE and mcounteren.TM.
#include "test.h"
.macro wait_for
1:  csrr t5, sip
    andi t5, t5, BIT(STI)
    beqz t5, 1b
.endm
.macro wait_until_clear
1:  csrr t5, sip
    andi t5, t5, BIT(STI)
    bnez t5, 1b
.endm
BEGIN
    csrw menvcfg, zero
    csrwi mcounteren, COUNTEREN_TM
    li gp, __LINE__
    li s0, BIT(STI)
    csrw mideleg, s0
    // norm: menvcfg_stce_op2, mip_stip_no_stimecmp_acc
    // Without STCE: STIP is M's to write, stimecmp is M's alone.
    RUNS(M, csrr a0, stimecmp)
    TRAPS(ILLEGAL, S, csrr a0, stimecmp)
    TRAPS(ILLEGAL, U, csrr a0, stimecmp)
    csrw mip, s0
    CHECK_CSR(mip, BIT(STI), BIT(STI))
    csrw mip, zero
    CHECK_CSR(mip, BIT(STI), 0)

    // norm: stimecmp_exist, stce_bit_exist, menvcfg_stce_op1, stimecmp_stimecmph_sz_acc, mip_sip_stip_op
    // norm: mip_stip_stimecmp_acc, mip_stip_stimecmp_op2, sip_stip_sie_stie
    li s1, ENVCFG_STCE
    csrw menvcfg, s1
    li a0, -1
    csrw stimecmp, a0
    csrr a1, stimecmp
    CHECK_SAME(a0, a1)
    li gp, __LINE__
    wait_until_clear
    // M cannot write STIP any more.
    csrs mip, s0
    CHECK_CSR(mip, BIT(STI), 0)
    li gp, __LINE__
    csrw stimecmp, zero
    wait_for
    csrc mip, s0
    CHECK_CSR(mip, BIT(STI), BIT(STI))

    // norm: mcounteren_tm_clr, mcounteren_tm_set, menvcfg_stce_op2
    // The access: TM off, illegal in S.
    RUNS(S, csrw stimecmp, x0)
    csrw mcounteren, zero
    TRAPS(ILLEGAL, S, csrr a0, stimecmp)
    csrwi mcounteren, COUNTEREN_TM
    RUNS(S, csrr a0, stimecmp)

    // norm: sstc_purpose, mip_stip_stimecmp_clr, mip_sip_stip_op, supervisor_timer_scheduling
    // It interrupts S; setting stimecmp to the future takes it away.
    csrw mie, s0
    IN(U)
    nop
    OUT
    GOT(IRQ(STI), S)
    li gp, __LINE__
    li a0, -1
    csrw stimecmp, a0
    wait_until_clear
    RUNS(U, nop)

    // norm: mip_sip_stip_op
    // At its time, not before.
    li gp, __LINE__
    csrw mie, zero
    rdtime a0
    addi a0, a0, 300
    csrw stimecmp, a0
1:  csrr a1, sip
    rdtime a2
    andi a1, a1, BIT(STI)
    beqz a1, 1b
    bgeu a2, a0, 2f
    FAIL
2:
    // norm: mip_sip_stip_op
    // Compared without sign.
    li gp, __LINE__
    li a0, 1 << 63
    csrw stimecmp, a0
    wait_until_clear
    // norm: menvcfg_stce_op2, mip_stip_no_stimecmp_acc
    // STCE off: STIP is a plain bit again.
    csrw menvcfg, zero
    csrw mip, s0
    CHECK_CSR(mip, BIT(STI), BIT(STI))
    csrw mip, zero
    CHECK_CSR(mip, BIT(STI), 0)
    PASS
