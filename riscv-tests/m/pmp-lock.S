// Law: a locked PMP entry binds M-mode too and cannot be changed until reset, nor can its address, nor the one below a locked TOR entry.
#include "test.h"
#define REST ((PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 56)
BEGIN
    li t0, -1
    csrw pmpaddr7, t0
    la s0, region
    srli s1, s0, 2
    csrw pmpaddr0, s1
    addi s2, s1, 16
    csrw pmpaddr2, s2
    addi s3, s1, 32
    csrw pmpaddr3, s3
    // norm: pmp_mmode_locking, pmp_l_bit_m_mode_enforcement, pmp_rwx_check
    // Entry 0: NA4, read only, locked. Entry 3: TOR, no access, locked. Entry 1 and 2: off.
    li s4, REST | (PMP_L | PMP_NA4 | PMP_R) | ((PMP_L | PMP_TOR) << 24)
    csrw pmpcfg0, s4
    csrr a0, pmpcfg0
    CHECK_SAME(a0, s4)
    RUNS(M, lw a0, (s0))
    TRAPS(STORE_ACCESS, M, sw a0, (s0))
    TVAL_IS(s0)
    TRAPS(LOAD_ACCESS, M, ld a0, (s0))
    TRAPS(STORE_ACCESS, S, sw a0, (s0))
    RUNS(M, sw a0, 4(s0))
    TRAPS(LOAD_ACCESS, M, lw a0, 64(s0))
    TRAPS(INSN_ACCESS, M, jalr 64(s0))
    RUNS(M, lw a0, 128(s0))

    // norm: pmp_l_bit_function, pmp_l_bit_write_protection
    // Writes to locked entries are ignored; those to others in the same register are not.
    li gp, __LINE__
    csrw pmpcfg0, zero
    csrr a0, pmpcfg0
    li a1, (PMP_L | PMP_NA4 | PMP_R) | ((PMP_L | PMP_TOR) << 24)
    check_same a0, a1
    csrw pmpcfg0, s4
    csrw pmpaddr0, zero
    csrr a0, pmpaddr0
    CHECK_SAME(a0, s1)
    csrw pmpaddr3, zero
    csrr a0, pmpaddr3
    CHECK_SAME(a0, s3)
    // Entry 2 is the lower end of the locked TOR entry 3.
    csrw pmpaddr2, zero
    csrr a0, pmpaddr2
    CHECK_SAME(a0, s2)
    csrw pmpaddr1, s2
    csrr a0, pmpaddr1
    CHECK_SAME(a0, s2)
    // But its configuration may still change.
    li a0, REST | (PMP_NA4 << 16)
    csrw pmpcfg0, a0
    csrr a0, pmpcfg0
    srli a0, a0, 16
    andi a0, a0, 0xff
    CHECK(a0, PMP_NA4)
    PASS

    .data
    .balign 4096
region:
    .fill 4096, 1, 0
