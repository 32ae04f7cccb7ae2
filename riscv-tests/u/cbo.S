// Law: CBO.ZERO clears its naturally aligned block; CLEAN and FLUSH keep data; each obeys the envcfg bits of every level above it.
#include "test.h"
#define BLOCK 64

.macro fill
    la a0, block
    addi a1, a0, 4 * BLOCK
    li a2, -1
1:  sd a2, (a0)
    addi a0, a0, 8
    bltu a0, a1, 1b
    la a0, block + BLOCK
.endm
.macro is_zero from, to
    la a1, \from
    la a2, \to
1:  ld a3, (a1)
    beqz a3, 2f
    j fail
2:  addi a1, a1, 8
    bltu a1, a2, 1b
.endm

BEGIN
    // Any address in the block stands for the block; the neighbours keep their bytes.
    .irp offset, 0, 1, 31, 63
    li gp, __LINE__
    fill
    addi a0, a0, \offset
    cbo.zero 0(a0)
    is_zero block + BLOCK, block + 2 * BLOCK
    ld a1, block + BLOCK - 8
    check_reg a1, -1
    ld a1, block + 2 * BLOCK
    check_reg a1, -1
    .endr
    li gp, __LINE__
    fill
    cbo.clean 0(a0)
    cbo.flush 0(a0)
    ld a1, (a0)
    CHECK(a1, -1)
    // INVAL after CLEAN loses nothing.
    cbo.clean 0(a0)
    cbo.inval 0(a0)
    ld a1, (a0)
    CHECK(a1, -1)

    // norm: menvcfg_cbze_op, menvcfg_cbcfe_op, menvcfg_cbie_warl_op, senvcfg_cbze, senvcfg_cbcfe, senvcfg_cbie
    // Below M-mode, menvcfg; below S-mode, senvcfg too.
    csrw menvcfg, zero
    csrw senvcfg, zero
    .macro forbidden mode
    traps ILLEGAL, M, \mode, cbo.zero 0(a0)
    traps ILLEGAL, M, \mode, cbo.clean 0(a0)
    traps ILLEGAL, M, \mode, cbo.flush 0(a0)
    traps ILLEGAL, M, \mode, cbo.inval 0(a0)
    .endm
    .macro allowed mode
    traps NONE, M, \mode, cbo.zero 0(a0)
    traps NONE, M, \mode, cbo.clean 0(a0)
    traps NONE, M, \mode, cbo.flush 0(a0)
    traps NONE, M, \mode, cbo.inval 0(a0)
    .endm
#define FORBIDDEN(mode) li gp, __LINE__; forbidden mode
#define ALLOWED(mode) li gp, __LINE__; allowed mode
    ALLOWED(M)
    FORBIDDEN(S)
    FORBIDDEN(U)
    li s0, ENVCFG_CBZE | ENVCFG_CBCFE | ENVCFG_CBIE_INVAL
    csrw menvcfg, s0
    ALLOWED(S)
    FORBIDDEN(U)
    csrw senvcfg, s0
    ALLOWED(U)
    csrw menvcfg, zero
    FORBIDDEN(U)

    // norm: menvcfg_cbze_op, menvcfg_cbcfe_op, menvcfg_cbie_cbo-inval_op_list
    // Each bit is its own.
    li s1, ENVCFG_CBZE
    csrw menvcfg, s1
    RUNS(S, cbo.zero 0(a0))
    TRAPS(ILLEGAL, S, cbo.clean 0(a0))
    TRAPS(ILLEGAL, S, cbo.inval 0(a0))
    li s1, ENVCFG_CBCFE
    csrw menvcfg, s1
    TRAPS(ILLEGAL, S, cbo.zero 0(a0))
    RUNS(S, cbo.flush 0(a0))
    TRAPS(ILLEGAL, S, cbo.inval 0(a0))
    li s1, ENVCFG_CBIE_FLUSH
    csrw menvcfg, s1
    // norm: menvcfg_cbie_cbo-inval_op_lead-in
    // CBIE = 1: INVAL is performed as FLUSH, so a store stays.
    li a1, 0x77
    sd a1, (a0)
    RUNS(S, cbo.inval 0(a0))
    ld a1, (a0)
    CHECK(a1, 0x77)
    // CBIE = 2 is reserved and not held.
    li s1, 2 << 4
    csrw menvcfg, s1
    csrr a1, menvcfg
    andi a1, a1, ENVCFG_CBIE
    addi a1, a1, -(2 << 4)
    snez a1, a1
    CHECK(a1, 1)
    csrw menvcfg, s0

    // A fault is a store fault and names the address given.
    li a0, 0x9
    TRAPS(STORE_ACCESS, M, cbo.zero 0(a0))
    TRAPS(STORE_ACCESS, M, cbo.clean 0(a0))
    // Neighbours in the encoding are illegal: CBO 3 and 5, and a destination.
    ILLEGAL_BITS(0x0035200f)
    ILLEGAL_BITS(0x0055200f)
    ILLEGAL_BITS(0x0045208f)
    PASS

    .data
    .balign 64
block:
    .fill 4 * BLOCK, 1, 0
