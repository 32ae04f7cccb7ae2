// Law: an interrupt is taken when it is pending, enabled and not masked at its target's level: MEI, MSI, MTI, SEI, SSI, STI, in this order.
#include "test.h"
#define ALL (BIT(SSI) | BIT(STI) | BIT(SEI) | BIT(MSI) | BIT(MTI))

.macro msip value
    li t5, CLINT_MSIP
    li t6, \value
    sw t6, (t5)
.endm
.macro mtimecmp value
    li t5, CLINT_MTIMECMP
    li t6, \value
    sd t6, (t5)
.endm
// What comes from the board may take a while to be seen in mip.
.macro wait_for bits
    li t6, \bits
1:  csrr t5, mip
    and t5, t5, t6
    bne t5, t6, 1b
.endm
.macro wait_until_clear bits
    li t6, \bits
1:  csrr t5, mip
    and t5, t5, t6
    bnez t5, 1b
.endm

BEGIN
    li gp, __LINE__
    mtimecmp -1
    msip 0
    wait_until_clear BIT(MTI) | BIT(MSI)

    // norm: mip_msip_mie_msie_op, mip_msip_rdonly, msip_enc, msip_sz_acc, mip_mtip_mie_mtie_op, mip_mtip_rdonly
    // norm: mtime_intr_pending, mip_bits_rdonly_op
    // norm: msip_update_max_time, mtime_intr_mtip_visibility, mcause_exccode_enc_img
    // MSIP and MTIP follow the board; only bit 0 of the CLINT's register counts.
    msip 1
    wait_for BIT(MSI)
    msip 0xfffffffe
    wait_until_clear BIT(MSI)
    li t5, CLINT_MSIP
    lw a0, (t5)
    CHECK(a0, 0)
    mtimecmp 0
    wait_for BIT(MTI)
    mtimecmp -1
    wait_until_clear BIT(MTI)

    // norm: intr_mip_mie_op, mstatus_mie_sie_op2, mip_mie_enc_txt
    // Pending without enable, and enabled without MIE, in M-mode: nothing happens.
    msip 1
    wait_for BIT(MSI)
    IN_INTERRUPTIBLE(M)
    nop
    OUT
    GOT(NONE)
    li s0, BIT(MSI)
    csrs mie, s0
    IN(M)
    nop
    OUT
    GOT(NONE)
    // norm: intr_mip_mie_op, mepc_op, mcause_op, mcause_intr_op, mcause_exccode_op, mtval_op
    // norm: mstatus_xpie_xie_xpp_trap_op, mtval_other_traps_zero, mtvec_mode_direct_op
    // With both it comes before the first instruction; mepc is that instruction, tval 0, MPIE says it was on.
    la a0, 1f
    li a1, 0
    IN_INTERRUPTIBLE(M)
1:  li a1, 1
    OUT
    GOT(IRQ(MSI))
    EPC_IS(a0)
    TVAL(0)
    CHECK(a1, 0)
    MSTATUS_AT_TRAP(MSTATUS_MPP | MSTATUS_MIE | MSTATUS_MPIE, MSTATUS_MPP | MSTATUS_MPIE)
    // norm: mstatus_xie_intr_en_dis, intr_mip_mie_op
    // Below M-mode MIE does not matter.
    IN(S)
    nop
    OUT
    GOT(IRQ(MSI))
    MSTATUS_AT_TRAP(MSTATUS_MPP | MSTATUS_MPIE, MSTATUS_MPP_S)
    IN(U)
    nop
    OUT
    GOT(IRQ(MSI))
    csrw mie, zero
    msip 0
    wait_until_clear BIT(MSI)

    // norm: intr_mip_mie_xret_csrwr
    // Setting mie or MIE with an interrupt pending takes it before the next instruction.
    li gp, __LINE__
    li a0, BIT(SSI)
    csrw mip, a0
    la a1, 1f
    li a2, 0
    IN_INTERRUPTIBLE(M)
    csrw mie, a0
1:  li a2, 1
    OUT
    GOT(IRQ(SSI))
    EPC_IS(a1)
    CHECK(a2, 0)
    la a1, 1f
    IN(M)
    csrsi mstatus, MSTATUS_MIE
1:  li a2, 1
    OUT
    GOT(IRQ(SSI))
    EPC_IS(a1)
    CHECK(a2, 0)
    // Clearing it takes none.
    csrw mie, zero
    csrw mip, zero

    // norm: intr_M_mode_pri
    // Order of priority: the strongest of what is pending and enabled.
    msip 1
    mtimecmp 0
    wait_for BIT(MSI) | BIT(MTI)
    li a0, BIT(SSI) | BIT(STI) | BIT(SEI)
    csrs mip, a0
    .macro strongest enabled, expected
    li a0, \enabled
    csrw mie, a0
    in_mode IN_M, MSTATUS_MPIE
    nop
    out_of_mode
    got IRQ(\expected)
    .endm
#define STRONGEST(...) li gp, __LINE__; strongest __VA_ARGS__
    STRONGEST(ALL, MSI)
    STRONGEST(ALL & ~BIT(MSI), MTI)
    STRONGEST(ALL & ~(BIT(MSI) | BIT(MTI)), SEI)
    STRONGEST(BIT(SSI) | BIT(STI), SSI)
    STRONGEST(BIT(STI), STI)

    // norm: trap_del_intr_priv_lvl, intr_M_mode_highest_pri, intr_mip_mie_op, medeleg_mideleg_op2
    // A delegated one is not taken in M-mode, however enabled; one for M beats every delegated one.
    li a0, BIT(SEI) | BIT(SSI)
    csrw mideleg, a0
    li a0, ALL & ~(BIT(MSI) | BIT(MTI))
    csrw mie, a0
    IN_INTERRUPTIBLE(M)
    nop
    OUT
    GOT(IRQ(STI))
    IN(U)
    nop
    OUT
    GOT(IRQ(STI))
    li a0, BIT(SEI) | BIT(SSI)
    csrw mie, a0
    IN_INTERRUPTIBLE(M)
    nop
    OUT
    GOT(NONE)
    IN(U)
    nop
    OUT
    GOT(IRQ(SEI), S)
    PASS
