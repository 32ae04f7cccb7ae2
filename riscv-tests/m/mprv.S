// Law: with MPRV, M-mode's loads and stores are checked as MPP's; fetches are not, and neither are accesses in other modes.
#include "test.h"
#define REST ((PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 56)
.macro with_mprv mpp, insn:vararg
    li a5, MSTATUS_MPP
    csrc mstatus, a5
    li a5, (\mpp) << 11
    csrs mstatus, a5
    li a5, MSTATUS_MPRV
    csrs mstatus, a5
    \insn
    csrc mstatus, a5
.endm
BEGIN
    // norm: mstatus_mprv_ldst_op, pmp_check_priv_modes
    // PMP entry 0 denies the word to S and U.
    li t0, -1
    csrw pmpaddr7, t0
    la s0, region
    srli t0, s0, 2
    csrw pmpaddr0, t0
    li t0, REST | PMP_NA4
    csrw pmpcfg0, t0
    li gp, __LINE__
    li a1, 0x1234
    sw a1, (s0)
    with_mprv 3, lw a2, (s0)
    CHECK(a2, 0x1234)

    // With MPP = S or U it faults; the trap is still taken from M-mode.
    .macro denied mpp, cause, insn:vararg
    la t6, trap
    la t5, 1f
    sd t5, TRAP_RESUME(t6)
    sd zero, TRAP_OUT(t6)
    la a4, trapping\@
    li a5, MSTATUS_MPP
    csrc mstatus, a5
    li a5, (\mpp) << 11
    csrs mstatus, a5
    li a5, MSTATUS_MPRV
    csrs mstatus, a5
trapping\@:
    \insn
    j fail
1:  got \cause
    trap_field_is TRAP_EPC, a4
    trap_field_is TRAP_TVAL, s0
    trap_field_masked TRAP_STATUS, MSTATUS_MPP | MSTATUS_MPRV, MSTATUS_MPP | MSTATUS_MPRV
    .endm
#define DENIED(...) li gp, __LINE__; denied __VA_ARGS__
    DENIED(1, LOAD_ACCESS, lw a2, (s0))
    DENIED(0, LOAD_ACCESS, lw a2, (s0))
    DENIED(1, STORE_ACCESS, sw a2, (s0))
    DENIED(0, STORE_ACCESS, amoadd.w a2, a1, (s0))
    DENIED(0, LOAD_ACCESS, lr.w a2, (s0))
    // norm: mstatus_mprv_inst_xlat_op
    // Elsewhere it passes, and fetching goes on as M's: code that S could not fetch.
    li gp, __LINE__
    with_mprv 0, lw a2, 4(s0)
    la t0, 2f
    srli t0, t0, 2
    csrw pmpaddr0, t0
    with_mprv 0, jal a2, 2f
3:  j 4f
    .balign 4
2:  jalr x0, 0(a2)
4:
    PASS

    .data
    .balign 64
region:
    .dword 0, 0
