// Law: HLV, HLVX and HSV access memory as the guest does: both stages, the privilege in SPVP, VS's SUM and both MXR; their faults are HS's own.
#include "hyper.h"
#define RWXU (PTE_RWX | PTE_U)

// One of them in S or U; the fault's tval is the address, GVA is 1, and it came from V = 0.
.macro hv_faults cause, mode, va, insn:vararg
    li a0, \va
    in_mode IN_\mode, 0
    \insn
    out_of_mode
    got \cause
    trap_field_is TRAP_TVAL, a0
    trap_field_masked TRAP_STATUS, MSTATUS_GVA | MSTATUS_MPV, MSTATUS_GVA
.endm
.macro hv_gives value, mode, va, insn:vararg
    li a0, \va
    in_mode IN_\mode, 0
    \insn
    out_of_mode
    got NONE
    check_reg a1, \value
.endm
#define FAULTS(...) li gp, __LINE__; hv_faults __VA_ARGS__
#define GIVES(...) li gp, __LINE__; hv_gives __VA_ARGS__

BEGIN
    HYPERVISOR
    GSTAGE(SV39)
    page_at SPARE, 0x8877665544332281
    page_at SPARE + PAGE, 0x2222
    GMAP(GPA, SPARE, 0, RWXU)
    GMAP(GPA + PAGE, SPARE, 0, PTE_V | PTE_R | PTE_A | PTE_D | PTE_U)
    GMAP(GPA + 2 * PAGE, SPARE, 0, PTE_V | PTE_X | PTE_A | PTE_U)
    GSTAGE_ON(SV39)
    PAGING(SV39)
    MAP(VA, GPA, 0, PTE_RWX)
    MAP(VA + PAGE, GPA, 0, RWXU)
    MAP(VA + 2 * PAGE, GPA, 0, PTE_V | PTE_X | PTE_A)
    MAP(VA + 3 * PAGE, GPA + PAGE, 0, PTE_RWX)
    MAP(VA + 4 * PAGE, GPA + 2 * PAGE, 0, PTE_RWX)
    MAP(VA + 5 * PAGE, GPA + 5 * PAGE, 0, PTE_RWX)
    MAP(VA + 6 * PAGE, GPA + 2 * PAGE, 0, PTE_V | PTE_X | PTE_A)
    VSSTAGE_ON(SV39)
    la t6, trap
    sd zero, TRAP_USER_BIAS(t6)

    // norm: hlsv_op, hlsv_mode, hlsv_trans, hlsv_priv
    // As VS: SPVP = 1.
    li s0, HSTATUS_SPVP
    csrs hstatus, s0
    GIVES(0x8877665544332281, S, VA + 8, hlv.d a1, (a0))
    GIVES(0x44332281, S, VA + 8, hlv.w a1, (a0))
    GIVES(0x44332281, S, VA + 8, hlv.wu a1, (a0))
    GIVES(0xffffffff88776655, S, VA + 12, hlv.w a1, (a0))
    GIVES(0x88776655, S, VA + 12, hlv.wu a1, (a0))
    GIVES(0x2281, S, VA + 8, hlv.h a1, (a0))
    GIVES(0xffffffffffff8877, S, VA + 14, hlv.h a1, (a0))
    GIVES(0x8877, S, VA + 14, hlv.hu a1, (a0))
    GIVES(0xffffffffffffff81, S, VA + 8, hlv.b a1, (a0))
    GIVES(0x81, S, VA + 8, hlv.bu a1, (a0))
    GIVES(0x8877, S, VA + 14, hlvx.hu a1, (a0))
    GIVES(0x88776655, S, VA + 12, hlvx.wu a1, (a0))
    // M-mode may, too.
    GIVES(0x81, M, VA + 8, hlv.bu a1, (a0))
    li gp, __LINE__
    li a1, 0x8877665544332281
    li a2, VA + 16
    IN(S)
    hsv.d a1, (a2)
    addi a2, a2, 8
    hsv.w a1, (a2)
    addi a2, a2, 4
    hsv.h a1, (a2)
    addi a2, a2, 2
    hsv.b a1, (a2)
    OUT
    GOT(NONE)
    li gp, __LINE__
    li a0, SPARE
    ld a2, 16(a0)
    check_same a1, a2
    ld a2, 24(a0)
    check_reg a2, 0x0081228144332281

    // norm: hlsv_priv, hlsv_trans, hstatus_spvp_op, vsstatus_v0
    // The privilege is SPVP's: U's page is barred to VS without VS's SUM, VS's page is barred to VU.
    FAULTS(LOAD_PAGE, S, VA + PAGE + 8, hlv.d a1, (a0))
    FAULTS(STORE_PAGE, S, VA + PAGE + 8, hsv.d a1, (a0))
    li s1, MSTATUS_SUM
    csrs mstatus, s1
    FAULTS(LOAD_PAGE, S, VA + PAGE + 8, hlv.d a1, (a0))
    csrc mstatus, s1
    csrs vsstatus, s1
    GIVES(0x8877665544332281, S, VA + PAGE + 8, hlv.d a1, (a0))
    csrc vsstatus, s1
    csrc hstatus, s0
    GIVES(0x8877665544332281, S, VA + PAGE + 8, hlv.d a1, (a0))
    FAULTS(LOAD_PAGE, S, VA + 8, hlv.d a1, (a0))
    csrs hstatus, s0

    // norm: hlsv_u_op
    // HLVX wants execute permission at both stages, not read; its faults are a load's.
    GIVES(0x2281, S, VA + 2 * PAGE + 8, hlvx.hu a1, (a0))
    FAULTS(LOAD_PAGE, S, VA + 2 * PAGE + 8, hlv.hu a1, (a0))
    FAULTS(LOAD_GUEST_PAGE, S, VA + 3 * PAGE + 8, hlvx.hu a1, (a0))
    TVAL2((GPA + PAGE + 8) >> 2)
    GIVES(0x2281, S, VA + 4 * PAGE + 8, hlvx.hu a1, (a0))
    FAULTS(LOAD_GUEST_PAGE, S, VA + 4 * PAGE + 8, hlv.hu a1, (a0))
    // norm: hlsv_sstatus_mxr, hlsv_vsstatus_mxr
    // MXR: VS's for the VS-stage only, HS's for both.
    li s1, MSTATUS_MXR
    csrs vsstatus, s1
    GIVES(0x2281, S, VA + 2 * PAGE + 8, hlv.hu a1, (a0))
    FAULTS(LOAD_GUEST_PAGE, S, VA + 6 * PAGE + 8, hlv.hu a1, (a0))
    csrc vsstatus, s1
    csrs mstatus, s1
    GIVES(0x2281, S, VA + 2 * PAGE + 8, hlv.hu a1, (a0))
    GIVES(0x2281, S, VA + 6 * PAGE + 8, hlv.hu a1, (a0))
    csrc mstatus, s1

    // norm: hlsv_trans, mstatus_gva_op
    // The G-stage's own faults.
    FAULTS(LOAD_GUEST_PAGE, S, VA + 5 * PAGE + 8, hlv.d a1, (a0))
    TVAL2((GPA + 5 * PAGE + 8) >> 2)
    FAULTS(STORE_GUEST_PAGE, S, VA + 5 * PAGE + 8, hsv.d a1, (a0))
    FAULTS(STORE_GUEST_PAGE, S, VA + 3 * PAGE + 8, hsv.b a1, (a0))

    // norm: hedeleg_op, H_trap_deleg, hstatus_gva_op
    // Delegated, they go to HS with SPV = 0 and GVA = 1, never to VS, whatever hedeleg says.
    li t0, (1 << LOAD_PAGE) | (1 << LOAD_GUEST_PAGE)
    csrw medeleg, t0
    csrw hedeleg, t0
    li a0, VA + 9 * PAGE
    TRAPS_TO(LOAD_PAGE, S, S, hlv.d a1, (a0))
    TVAL_IS(a0)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_GVA, HSTATUS_GVA)
    csrw medeleg, zero
    csrw hedeleg, zero

    // norm: hstatus_hu_op, hlsv_mode, hlsv_illegalinst, hlsv_virtinst
    // In U only with HU; then as SPVP says.
    li a0, VA + 8
    TRAPS(ILLEGAL, U, hlv.d a1, (a0))
    TRAPS(ILLEGAL, U, hsv.d a1, (a0))
    li s1, HSTATUS_HU
    csrs hstatus, s1
    GIVES(0x8877665544332281, U, VA + 8, hlv.d a1, (a0))
    TRAPS(VIRTUAL, VS, hlv.d a1, (a0))
    csrc hstatus, s1
    PASS
