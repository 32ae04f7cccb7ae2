// Law: mstateen0 withholds senvcfg and the lower stateen registers from S-mode, sstateen0 reads as far as mstateen0 allows.
#include "test.h"
BEGIN
    // norm: mstateen0_envcfg_op, mstateen0_se0_op, mstateen_bit_63_op, stateen_op, stateen_illegal_state_access
    // norm: mstateen_rv64_csrs, sstateen_rv64_csrs
    // All clear at first: set by hand, so that the reset value does not matter.
    csrw mstateen0, zero
    TRAPS(ILLEGAL, S, csrr a0, senvcfg)
    TRAPS(ILLEGAL, S, csrw senvcfg, zero)
    TRAPS(ILLEGAL, S, csrr a0, sstateen0)
    TRAPS(ILLEGAL, S, csrr a0, sstateen1)
    RUNS(M, csrr a0, senvcfg)
    RUNS(M, csrr a0, sstateen0)
    TRAPS(ILLEGAL, U, csrr a0, sstateen0)
    TRAPS(ILLEGAL, S, csrr a0, mstateen0)

    li s0, STATEEN_ENVCFG
    csrw mstateen0, s0
    RUNS(S, csrr a0, senvcfg)
    TRAPS(ILLEGAL, S, csrr a0, sstateen0)
    li s0, STATEEN_SE
    csrw mstateen0, s0
    TRAPS(ILLEGAL, S, csrr a0, senvcfg)
    RUNS(S, csrr a0, sstateen0)
    RUNS(S, csrw sstateen0, zero)
    // norm: mstateen_bit_63_op
    // Each of the four has its own SE bit.
    csrw mstateen1, zero
    TRAPS(ILLEGAL, S, csrr a0, sstateen1)
    csrw mstateen1, s0
    RUNS(S, csrr a0, sstateen1)

    // norm: mstateen_lower_priv_roz, mstateen_bit_correspondence
    // A bit that is zero in mstateen0 is read-only zero in sstateen0.
    li gp, __LINE__
    li a0, -1
    csrw sstateen0, a0
    csrr a1, mstateen0
    csrr a0, sstateen0
    not a1, a1
    and a0, a0, a1
    check_reg a0, 0
    // The upper half of sstateen is for no one: it has 32 bits.
    li a1, -1
    csrw mstateen0, a1
    csrw sstateen0, a1
    csrr a0, sstateen0
    srli a0, a0, 32
    check_reg a0, 0
    csrw sstateen0, zero
    PASS
