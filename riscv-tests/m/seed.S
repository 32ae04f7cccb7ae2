// Law: seed is read by CSRRW only, in S and U only if mseccfg says so; a read-only access is illegal everywhere.
#include "test.h"
#define USEED (1 << 8)
#define SSEED (1 << 9)
BEGIN
    // norm: mseccfg_sseed_useed_op_tbl, mseccfg_useed_U-mode_op, mseccfg_sseed_SorHS-mode_op
    // norm: mseccfg_sseed_useed_presence, mseccfg_presence
    csrw mseccfg, zero
    RUNS(M, csrrw a0, seed, x0)
    TRAPS(ILLEGAL, M, csrrs a0, seed, x0)
    TRAPS(ILLEGAL, M, csrrc a0, seed, x0)
    TRAPS(ILLEGAL, M, csrrsi a0, seed, 0)
    TRAPS(ILLEGAL, M, csrrci a0, seed, 0)
    RUNS(M, csrrwi a0, seed, 0)
    TRAPS(ILLEGAL, S, csrrw a0, seed, x0)
    TRAPS(ILLEGAL, U, csrrw a0, seed, x0)
    li s0, USEED
    csrw mseccfg, s0
    RUNS(U, csrrw a0, seed, x0)
    TRAPS(ILLEGAL, S, csrrw a0, seed, x0)
    TRAPS(ILLEGAL, U, csrrs a0, seed, x0)
    li s0, SSEED
    csrw mseccfg, s0
    RUNS(S, csrrw a0, seed, x0)
    TRAPS(ILLEGAL, U, csrrw a0, seed, x0)
    TRAPS(ILLEGAL, S, csrrs a0, seed, x0)
    csrw mseccfg, zero

    // OPST: while it is not ES16 there is no entropy in the low bits; ES16 comes in the end.
    li gp, __LINE__
    li s0, 100000
1:  csrrw a0, seed, x0
    srli a1, a0, 30
    li a2, 2
    beq a1, a2, 2f
    slli a3, a0, 48
    bnez a3, 3f
    // DEAD.
    li a2, 3
    beq a1, a2, 3f
    addi s0, s0, -1
    bnez s0, 1b
3:  FAIL
2:  PASS
