// Law: the lowest-numbered PMP entry that matches any byte of an access decides it, must match all its bytes, and binds S and U; no match denies.
#include "test.h"

// Entry 7 admits everything; entries 0 to 3 are under test.
#define REST ((PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 56)
.macro cfg e0=0, e1=0, e2=0, e3=0
    li t6, REST | (\e0) | ((\e1) << 8) | ((\e2) << 16) | ((\e3) << 24)
    csrw pmpcfg0, t6
    sfence.vma
.endm
.macro addr entry, address, napot_bits=0
    la t6, \address
    srli t6, t6, 2
    ori t6, t6, \napot_bits
    csrw pmpaddr\entry, t6
.endm
#define CFG(...) li gp, __LINE__; cfg __VA_ARGS__
#define ADDR(...) addr __VA_ARGS__

BEGIN
    li t0, -1
    csrw pmpaddr7, t0
    CFG(0)
    la s0, region
    RUNS(S, lw a0, (s0))
    RUNS(U, sw a0, (s0))

    // norm: pmp_a_field_napot_na4, pmp_check_priv_modes, pmp_access_fault_exception, pmp_l_bit_m_mode_enforcement
    // norm: pmp_granularity
    // NA4: four bytes. No permission at all: every access of S and U that touches them fails; M's do not.
    ADDR(0, region)
    CFG(PMP_NA4)
    TRAPS(LOAD_ACCESS, S, lw a0, (s0))
    TVAL_IS(s0)
    TRAPS(STORE_ACCESS, U, sw a0, (s0))
    TRAPS(LOAD_ACCESS, U, lb a0, 3(s0))
    RUNS(U, lw a0, 4(s0))
    RUNS(S, lw a0, -4(s0))
    RUNS(M, lw a0, (s0))
    RUNS(M, sw a0, (s0))
    // norm: pmp_full_match_required
    // Matching only a part of an access denies it, even where each part alone would be admitted.
    TRAPS(LOAD_ACCESS, S, ld a0, (s0))
    CFG(PMP_NA4 | PMP_R | PMP_W)
    RUNS(S, lw a0, (s0))
    TRAPS(LOAD_ACCESS, S, ld a0, (s0))
    TRAPS(STORE_ACCESS, S, sd a0, (s0))
    // That holds for M-mode as well, whatever L says.
    TRAPS(LOAD_ACCESS, M, ld a0, (s0))
    TRAPS(STORE_ACCESS, M, sd a0, (s0))

    // norm: pmp_cfg_permissions, pmp_load_fault, pmp_store_fault, pmp_exec_fault, pmp_rwx_check
    // norm: pmp_violation_precise_trap
    // R, W and X each by itself. W without R is reserved and not held.
    CFG(PMP_NA4 | PMP_R)
    RUNS(S, lw a0, (s0))
    TRAPS(STORE_ACCESS, S, sw a0, (s0))
    TRAPS(STORE_ACCESS, S, amoadd.w a0, a1, (s0))
    TRAPS(STORE_ACCESS, S, sc.w a0, a1, (s0))
    RUNS(S, lr.w a0, (s0))
    CFG(PMP_NA4 | PMP_X)
    TRAPS(LOAD_ACCESS, S, lw a0, (s0))
    TRAPS(LOAD_ACCESS, S, lr.w a0, (s0))
    TRAPS(STORE_ACCESS, S, amoadd.w a0, a1, (s0))
    // norm: mstatus_mxr_sum_op_acc_fault, mstatus_sum_op_no-vm
    // MXR and SUM are about page tables: here they change nothing.
    li s2, MSTATUS_MXR | MSTATUS_SUM
    csrs mstatus, s2
    TRAPS(LOAD_ACCESS, S, lw a0, (s0))
    RUNS(S, lw a0, 4(s0))
    csrc mstatus, s2
    la s1, code
    ADDR(0, code)
    CFG(PMP_NA4 | PMP_R | PMP_W)
    TRAPS(INSN_ACCESS, S, jalr s1)
    EPC_IS(s1)
    TVAL_IS(s1)
    TRAPS(INSN_ACCESS, U, jalr s1)
    RUNS(M, jalr s1)
    CFG(PMP_NA4 | PMP_X)
    RUNS(S, jalr s1)

    // norm: pmp_napot_encoding_low_bits, pmp_a_field_napot_na4
    // NAPOT: 8 bytes, 16 bytes and 4 KiB, naturally aligned.
    ADDR(0, region, 0)
    CFG(PMP_NAPOT)
    TRAPS(LOAD_ACCESS, S, lw a0, 4(s0))
    TRAPS(LOAD_ACCESS, S, ld a0, (s0))
    RUNS(S, lw a0, 8(s0))
    RUNS(S, lw a0, -4(s0))
    ADDR(0, region, 1)
    CFG(PMP_NAPOT)
    TRAPS(LOAD_ACCESS, S, lw a0, 12(s0))
    RUNS(S, lw a0, 16(s0))
    ADDR(0, region, 511)
    CFG(PMP_NAPOT)
    li a1, 4092
    add a1, a1, s0
    TRAPS(LOAD_ACCESS, S, lw a0, (a1))
    TRAPS(LOAD_ACCESS, S, lw a0, (s0))
    RUNS(S, lw a0, 4(a1))
    RUNS(S, lw a0, -4(s0))

    // norm: pmp_a_field_tor, pmp_a_field_encoding
    // TOR: from the address below it (0 for entry 0) to its own, exclusive; an empty range matches nothing.
    ADDR(0, region)
    ADDR(1, region + 64)
    CFG(0, PMP_TOR)
    RUNS(S, lw a0, -4(s0))
    TRAPS(LOAD_ACCESS, S, lw a0, (s0))
    TRAPS(LOAD_ACCESS, S, lw a0, 60(s0))
    RUNS(S, lw a0, 64(s0))
    ADDR(1, region)
    CFG(0, PMP_TOR)
    RUNS(S, lw a0, (s0))
    ADDR(1, region - 8)
    CFG(0, PMP_TOR)
    RUNS(S, lw a0, -8(s0))
    // Entry 0 as TOR starts at 0: all programs run inside it.
    ADDR(0, region)
    CFG(PMP_TOR | PMP_R | PMP_X)
    RUNS(S, lw a0, -4(s0))
    TRAPS(STORE_ACCESS, S, sw a0, -4(s0))
    RUNS(S, sw a0, (s0))

    // norm: pmp_entry_priority
    // The lowest number wins, both ways.
    ADDR(0, region)
    ADDR(1, region, 511)
    CFG(PMP_NA4 | PMP_R, PMP_NAPOT)
    RUNS(S, lw a0, (s0))
    TRAPS(LOAD_ACCESS, S, lw a0, 4(s0))
    CFG(PMP_NA4, PMP_NAPOT | PMP_R | PMP_W)
    TRAPS(LOAD_ACCESS, S, lw a0, (s0))
    RUNS(S, lw a0, 4(s0))

    // norm: pmp_no_entry_match, pmp_a_field_off
    // Where nothing matches, S and U are denied and M is not.
    li a3, PMP_NAPOT | PMP_R | PMP_W | PMP_X
    li a0, -1
    csrw pmpaddr0, a0
    csrw pmpcfg0, a3
    csrw pmpcfg0, zero
    sfence.vma
    TRAPS(INSN_ACCESS, S, nop)
    TRAPS(INSN_ACCESS, U, nop)
    RUNS(M, lw a0, (s0))
    csrw pmpcfg0, a3

    // norm: pmp_cfg_rv64_layout, pmp_entry_structure, pmp_addr_registers
    // Entries 8 to 15 are in pmpcfg2, a byte each, with pmpaddr8 to pmpaddr15.
    csrw pmpaddr7, zero
    csrw pmpcfg0, zero
    .irp n, 8, 11, 15
    li gp, __LINE__
    la t0, region
    srli t0, t0, 2
    csrw pmpaddr\n, t0
    li t0, PMP_NA4 << ((\n - 8) * 8)
    // What follows it admits everything, for which 15 has no place.
    .if \n != 15
    li t1, -1
    csrw pmpaddr15, t1
    li t1, (PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 56
    or t0, t0, t1
    csrw pmpcfg2, t0
    sfence.vma
    traps LOAD_ACCESS, M, S, lw a0, (s0)
    traps NONE, M, S, lw a0, 4(s0)
    .else
    csrw pmpcfg2, t0
    csrr t1, pmpcfg2
    check_same t0, t1
    .endif
    .endr
    csrw pmpcfg2, zero
    csrw pmpcfg0, a3
    // norm: pmp_csrs_warl_access, pmp_addr_warl, pmp_addr_encoding
    // pmpcfg: bits 5 and 6 read zero; pmpaddr holds bits 55 to 2 of an address.
    li gp, __LINE__
    csrw pmpaddr3, zero
    li a0, REST | (0x60 << 24)
    csrw pmpcfg0, a0
    csrr a1, pmpcfg0
    li a2, REST
    check_same a1, a2
    li a0, -1
    csrw pmpaddr3, a0
    csrr a1, pmpaddr3
    srli a1, a1, 54
    check_reg a1, 0
    csrw pmpaddr3, zero
    PASS

    .balign 4
code:
    ret

    .data
    .balign 4096
region:
    .fill 8192, 1, 0
