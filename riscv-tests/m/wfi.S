// Law: WFI ends when an enabled interrupt is pending, taken or not; global enables and delegation do not matter to it.
#include "test.h"
BEGIN
    csrw mie, zero
    csrw mip, zero
    // norm: wfi_unaffected_conditions, wfi_intr_dis, wfi_no_intr_pc
    // Already pending and enabled, with MIE = 0: it falls through.
    li gp, __LINE__
    li s0, BIT(SSI)
    csrw mip, s0
    csrw mie, s0
    wfi
    // Delegated makes no difference.
    csrw mideleg, s0
    wfi
    csrw mideleg, zero

    // The trap of a WFI that was interrupted returns behind it.
    la a0, 1f
    IN_INTERRUPTIBLE(M)
    nop
    OUT
    GOT(IRQ(SSI))
    csrw mie, zero
    csrw mip, zero

    // norm: wfi_op, wfi_no_intr_pc
    // norm: wfi_enc_img
    // The timer wakes it. Time goes on while the hart waits.
    li gp, __LINE__
    li s1, CLINT_MTIMECMP
    li s2, CLINT_MTIME
    ld a0, (s2)
    addi a0, a0, 200
    sd a0, (s1)
    li a1, BIT(MTI)
    csrw mie, a1
1:  wfi
    csrr a2, mip
    and a2, a2, a1
    beqz a2, 1b
    ld a2, (s2)
    bgeu a2, a0, 2f
    FAIL
2:
    // norm: wfi_mepc_val
    // Interrupted in WFI: mepc is the instruction after it, for the WFI has retired.
    li gp, __LINE__
    ld a0, (s2)
    addi a0, a0, 200
    sd a0, (s1)
1:  csrr a2, mip
    and a2, a2, a1
    bnez a2, 1b
    la a3, 2f
    la a4, 1f
    li a5, 0
    IN_INTERRUPTIBLE(M)
1:  wfi
2:  addi a5, a5, 1
    j 1b
    OUT
    GOT(IRQ(MTI))
    // It may also have been taken elsewhere in the loop, if WFI ended early.
    ld a2, trap + TRAP_EPC
    bgeu a2, a4, 3f
    FAIL
3:  li a0, -1
    sd a0, (s1)

    // norm: wfi_all_privileged_modes, mstatus_tw_op, wfi_unaffected_conditions
    // In S-mode with TW = 0, too.
    li gp, __LINE__
    csrw mie, zero
    li s0, BIT(SSI)
    csrw mip, s0
    csrw mideleg, s0
    csrw mie, s0
    // sstatus.SIE = 0: it falls through.
    RUNS(S, wfi)
    PASS
