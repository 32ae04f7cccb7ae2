// Law: time is mtime, also after mtime was written; mtimecmp and stimecmp compare with what it was set to.
#include "test.h"
// What comes from the board may take a while to be seen.
.macro wait_for csr, bit
    li t6, BIT(\bit)
1:  csrr t5, \csr
    and t5, t5, t6
    beqz t5, 1b
.endm
.macro wait_until_clear csr, bit
    li t6, BIT(\bit)
1:  csrr t5, \csr
    and t5, t5, t6
    bnez t5, 1b
.endm
BEGIN
    li s0, CLINT_MTIME
    li s1, CLINT_MTIMECMP
    // norm: time_op_rdonly, time_timeh_visibility_mtime
    // It lies between two reads of mtime, and moves on.
    li gp, __LINE__
    ld a0, (s0)
    rdtime a1
    ld a2, (s0)
    bgtu a0, a1, 9f
    bgtu a1, a2, 9f
1:  rdtime a3
    bleu a3, a1, 1b
    // norm: mtime_acc, mtime_sz, mtime_mtimecmp_rv64_wr, time_op_rdonly, time_timeh_visibility_mtime
    // Set to a time of 64 bits, forward and back; time follows.
    .irp start, 0x123456789abcdef0, 0x1000
    li gp, __LINE__
    li a4, \start
    sd a4, (s0)
    li a5, \start + 0x1000000
1:  rdtime a1
    bltu a1, a4, 1b
    bgeu a1, a5, 1b
    ld a2, (s0)
    bgtu a1, a2, 9f
    bgeu a2, a5, 9f
    .endr

    // norm: mtime_intr_pending, mtimecmp_sz, mip_mtip_mie_mtie_op, mtime_intr_mtip_visibility
    // MTIP compares all 64 bits, without sign.
    li gp, __LINE__
    li a0, -1
    sd a0, (s1)
    wait_until_clear mip, MTI
    li a0, 1 << 63
    sd a0, (s1)
    rdtime a1
1:  rdtime a2
    sub a2, a2, a1
    li a3, 50
    bltu a2, a3, 1b
    wait_until_clear mip, MTI
    addi a0, a0, -1
    sd a0, (s0)
    wait_for mip, MTI
    // norm: mtime_intr_taken
    // It is taken only where MTIE is set, and interrupts are on.
    csrw mie, zero
    IN_INTERRUPTIBLE(M)
    nop
    OUT
    GOT(NONE)
    li a0, BIT(MTI)
    csrw mie, a0
    RUNS(M, nop)
    IN_INTERRUPTIBLE(M)
    nop
    OUT
    GOT(IRQ(MTI))
    csrw mie, zero

    // norm: mtime_wrap
    // It wraps around, and is below mtimecmp then.
    li gp, __LINE__
    li a0, -20
    sd a0, (s0)
1:  rdtime a1
    srli a1, a1, 63
    bnez a1, 1b
    wait_until_clear mip, MTI

    // norm: mip_sip_stip_op
    // stimecmp compares with the time as it was set.
    li gp, __LINE__
    li a0, ENVCFG_STCE
    csrw menvcfg, a0
    li a0, 1 << 40
    csrw stimecmp, a0
    wait_until_clear mip, STI
    addi a1, a0, -50
    sd a1, (s0)
    wait_for mip, STI
    rdtime a1
    bltu a1, a0, 9f
    // In WFI as well.
    li gp, __LINE__
    li a1, BIT(STI)
    csrw mie, a1
    rdtime a0
    addi a0, a0, 500
    csrw stimecmp, a0
1:  wfi
    rdtime a1
    bltu a1, a0, 1b
    wait_for mip, STI
    PASS
9:  j fail
