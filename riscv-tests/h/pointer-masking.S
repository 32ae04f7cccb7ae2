// Law: accesses of VS and VU, HLV and HSV ignore the upper 7 bits of an address where PMM or HUPMM of their mode says so; tval has the rest; fetches, HLVX and MXR keep all bits.
// Where Ssnpm is not built the fields stay zero, and so does everything else here.
#include "hyper.h"
#define RWXU (PTE_RWX | PTE_U)
#define PMM_7 (2 << 32)
#define PMM (3 << 32)
#define HUPMM_7 (2 << 48)
#define HUPMM (3 << 48)
#define TAG (0x2a << 57)
#define WORD 0x1122334455667788

// U-mode at V = 0 is not translated: it runs the program at its own address.
.macro from_u fault, va, insn:vararg
    la t6, trap
    ld s8, TRAP_USER_BIAS(t6)
    sd zero, TRAP_USER_BIAS(t6)
    reads \fault, U, \va, \insn
    la t6, trap
    sd s8, TRAP_USER_BIAS(t6)
.endm
#define FROM_U(...) li gp, __LINE__; from_u __VA_ARGS__
// VA and the same with a tag, by VS, by VU (at the page's twin with U), and by HLV for either. `vs`, `vu` are the outcomes with the tag.
.macro reads fault, mode, va, insn:vararg
    li a0, \va
    li a1, 0
    in_mode IN_\mode, 0
    \insn
    out_of_mode
    got \fault
.endm
.macro all_read vs, vu
    reads NONE, VS, VA + 8, ld a1, (a0)
    check_reg a1, WORD
    reads NONE, VU, VA + PAGE + 8, ld a1, (a0)
    check_reg a1, WORD
    reads \vs, VS, TAG + VA + 8, ld a1, (a0)
    reads \vu, VU, TAG + VA + PAGE + 8, ld a1, (a0)
    csrs hstatus, s11
    reads \vs, S, TAG + VA + 8, hlv.d a1, (a0)
    reads LOAD_PAGE, S, TAG + VA + 8, hlvx.wu a1, (a0)
    csrc hstatus, s11
    reads \vu, S, TAG + VA + PAGE + 8, hlv.d a1, (a0)
.endm
#define READS(...) li gp, __LINE__; all_read __VA_ARGS__

BEGIN
    HYPERVISOR
    li s0, PMM_7
    csrs henvcfg, s0
    csrr a0, henvcfg
    and a0, a0, s0
    bnez a0, 1f
    // norm: henvcfg_pmm_op, senvcfg_pmm_Ssnpm, nw:hstatus_hupmm
    csrs senvcfg, s0
    CHECK_CSR(senvcfg, PMM, 0)
    li a0, HUPMM
    csrs hstatus, a0
    CHECK_CSR(hstatus, HUPMM, 0)
    j end
1:  csrc henvcfg, s0
    li s11, HSTATUS_SPVP
    GSTAGE(SV39)
    page_at SPARE, WORD
    GMAP(GPA, SPARE, 0, RWXU)
    GSTAGE_ON(SV39)
    PAGING(SV39)
    MAP(VA, GPA, 0, PTE_RWX)
    MAP(VA + PAGE, GPA, 0, RWXU)
    VSSTAGE_ON(SV39)

    // norm: pm_per_mode_control, pm_auto_apply_active_mode, henvcfg_pmm_op, senvcfg_pmm_Ssnpm, senvcfg_pmm_immediate
    // norm: pm_mprv_spvp, nw:hlvx_no_pmm, nw:pmm_no_fence
    // Each mode by its own field, at once and without a fence.
    READS(LOAD_PAGE, LOAD_PAGE)
    csrs henvcfg, s0
    READS(NONE, LOAD_PAGE)
    csrs senvcfg, s0
    READS(NONE, NONE)
    csrc henvcfg, s0
    READS(LOAD_PAGE, NONE)
    // HLV in U-mode as though in VU: HUPMM's; as though in VS: henvcfg's.
    li s1, HSTATUS_HU
    csrs hstatus, s1
    FROM_U(LOAD_PAGE, TAG + VA + PAGE + 8, hlv.d a1, (a0))
    FROM_U(NONE, VA + PAGE + 8, hlv.d a1, (a0))
    li s2, HUPMM_7
    csrs hstatus, s2
    csrc senvcfg, s0
    FROM_U(NONE, TAG + VA + PAGE + 8, hlv.d a1, (a0))
    CHECK(a1, WORD)
    READS(LOAD_PAGE, LOAD_PAGE)
    csrs hstatus, s11
    FROM_U(LOAD_PAGE, TAG + VA + 8, hlv.d a1, (a0))
    csrs henvcfg, s0
    FROM_U(NONE, TAG + VA + 8, hlv.d a1, (a0))
    CHECK(a1, WORD)
    csrc hstatus, s11
    csrc hstatus, s2

    // norm: pm_mxr_exception
    // Either MXR ends it.
    li s3, MSTATUS_MXR
    .irp status, mstatus, vsstatus
    csrs \status, s3
    READS(LOAD_PAGE, LOAD_PAGE)
    csrc \status, s3
    .endr
    READS(NONE, LOAD_PAGE)

    // norm: pm_apply_explicit, pm_misaligned_equivalence
    // Stores, atomics, misaligned accesses, floating point.
    li a2, TAG + VA + 16
    li a3, VA + 16
    li a4, WORD
    li a5, 1
    IN(VS)
    sd a4, (a2)
    amoadd.d a1, a5, (a2)
    lr.d a6, (a2)
    sc.d a7, a4, (a2)
    fld fa0, (a2)
    fsd fa0, 8(a2)
    lhu s4, 7(a2)
    OUT
    GOT(NONE)
    CHECK(a1, WORD)
    CHECK(a6, WORD + 1)
    CHECK(a7, 0)
    CHECK(s4, 0x8811)
    li a0, SPARE
    ld a1, 16(a0)
    CHECK(a1, WORD)
    ld a1, 24(a0)
    CHECK(a1, WORD)

    // norm: pm_ignore_va, pm_csr_hw_apply
    // What is left of an address: bit 56 repeated. It is what tval holds.
    li s5, 0xabffffff12345678
    li s6, 0xffffffff12345678
    IN(VS)
    ld a1, (s5)
    OUT
    GOT(LOAD_PAGE)
    TVAL_IS(s6)
    // A fetch masks nothing.
    // norm: pm_not_apply_implicit
    li a0, TAG + VA
    IN(VS)
    jr a0
    OUT
    GOT(INSN_PAGE)
    TVAL_IS(a0)
    // norm: pm_ignore_pa
    // Without a VS-stage zeros take the bits' place.
    csrw vsatp, zero
    li s6, 0x01ffffff12345678
    IN(VS)
    ld a1, (s5)
    OUT
    GOT(LOAD_GUEST_PAGE)
    TVAL_IS(s6)
    TVAL2(0x01ffffff12345678 >> 2)
end:
    PASS
