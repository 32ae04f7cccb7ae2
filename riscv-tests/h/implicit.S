// Law: a VS-stage table that the G-stage does not map, at any level, is a guest-page fault of the original access: tval its address, tval2 the PTE's, tinst 0x3000.
// norm: H_vm_gpapriv, H_vm_gstagetrans, H_guest_page_fault, H_trap_xtinst_guestpage, H_trap_xtinst_guestpage_rw, nw:tinst_pseudo
// norm: nw:priority_first_encountered, nw:walk_pointer
#include "hyper.h"
#define RWXU (PTE_RWX | PTE_U)
// Where the G-stage maps nothing: beyond what any hgatp.MODE of two stages shares, and a gpa that is too wide for Sv39x4 and Sv48x4.
#define HOLE 0x30000000
#define TOO_WIDE (1 << 55)
// An address that shares no table with the program but the root.
.macro far vsmode
    .equ FAR_VA, (3 << 30) | (5 << 21) | (7 << 12)
    .if \vsmode >= SV48
    .equ FAR_VA, FAR_VA | (1 << 39)
    .endif
    .if \vsmode == SV57
    .equ FAR_VA, FAR_VA | (1 << 48)
    .endif
.endm

// VA's PTEs of that level are at `hole`; s2 = what tval2 must be.
.macro hide vsmode, level, hole
    .if \level == \vsmode - 6
    li t5, ((\vsmode) << ATP_MODE_SHIFT) | ((\hole) >> 12)
    csrw vsatp, t5
    .else
    map FAR_VA, \hole, (\level + 1), PTE_V
    mv s3, a0
    .endif
    hfence.vvma
    li s2, ((\hole) + ((FAR_VA >> (12 + 9 * \level)) & 0x1ff) * 8) >> 2
.endm
.macro reveal vsmode, level
    .if \level == \vsmode - 6
    satp_value t5, \vsmode
    csrw vsatp, t5
    .else
    sd s4, (s3)
    .endif
    hfence.vvma
.endm

// One access that meets the hidden table. a0 = the address; the trap comes from VS or VU.
.macro hidden cause, mode, insn:vararg
    in_mode IN_\mode, 0
    \insn
    out_of_mode
    got \cause
    trap_field_is TRAP_TVAL, a0
    trap_field_is TRAP_TVAL2, s2
    trap_field_equals TRAP_TINST, 0x3000
.endm
.macro hidden_from_guest cause, mode, insn:vararg
    hidden \cause, \mode, \insn
    trap_field_masked TRAP_STATUS, MSTATUS_GVA | MSTATUS_MPV, MSTATUS_GVA | MSTATUS_MPV
.endm
// From HS or M: V was 0, but the address is the guest's.
.macro hidden_from_hs cause, mode, insn:vararg
    hidden \cause, \mode, \insn
    trap_field_masked TRAP_STATUS, MSTATUS_GVA | MSTATUS_MPV, MSTATUS_GVA
.endm

.macro accesses
    li a0, FAR_VA + 8
    hidden_from_guest LOAD_GUEST_PAGE, VS, ld a1, (a0)
    hidden_from_guest STORE_GUEST_PAGE, VS, sd a1, (a0)
    li a0, FAR_VA
    hidden_from_guest INSN_GUEST_PAGE, VS, jr a0
.endm
// Without its root the guest fetches nothing. HS's instructions meet the same.
.macro accesses_without_root
    li a0, FAR_VA + 8
    hidden_from_hs LOAD_GUEST_PAGE, S, hlv.d a1, (a0)
    hidden_from_hs STORE_GUEST_PAGE, S, hsv.d a1, (a0)
    in_mode IN_VS, 0
1:  nop
    out_of_mode
    got INSN_GUEST_PAGE
    la a0, 1b
    trap_field_is TRAP_TVAL, a0
    trap_field_is TRAP_EPC, a0
    trap_field_equals TRAP_TINST, 0x3000
.endm
.macro all_accesses
    li a0, FAR_VA + 8
    hidden_from_guest LOAD_GUEST_PAGE, VS, lb a1, (a0)
    hidden_from_guest LOAD_GUEST_PAGE, VS, flw fa1, (a0)
    hidden_from_guest STORE_GUEST_PAGE, VS, fsd fa1, (a0)
    hidden_from_guest LOAD_GUEST_PAGE, VS, lr.d a1, (a0)
    hidden_from_guest STORE_GUEST_PAGE, VS, sc.d a1, a2, (a0)
    hidden_from_guest STORE_GUEST_PAGE, VS, amoadd.w a1, a2, (a0)
    li a0, FAR_VA
    hidden_from_guest STORE_GUEST_PAGE, VS, .insn i 0x0f, 2, x0, a0, 4
    li a0, FAR_VA + 8
    .option rvc
    hidden_from_guest LOAD_GUEST_PAGE, VS, c.ld a1, 0(a0)
    hidden_from_guest STORE_GUEST_PAGE, VS, c.sw a1, 0(a0)
    .option norvc
    hidden_from_hs LOAD_GUEST_PAGE, S, hlv.d a1, (a0)
    hidden_from_hs LOAD_GUEST_PAGE, S, hlv.bu a1, (a0)
    hidden_from_hs LOAD_GUEST_PAGE, S, hlvx.hu a1, (a0)
    hidden_from_hs STORE_GUEST_PAGE, S, hsv.w a1, (a0)
    hidden_from_hs LOAD_GUEST_PAGE, M, hlv.d a1, (a0)
    // Where the walk would have ended does not matter: U of the leaf is not seen before.
    csrc hstatus, s5
    hidden_from_hs LOAD_GUEST_PAGE, S, hlv.d a1, (a0)
    csrs hstatus, s5
    // As VS's by MPRV, from M-mode.
    li t5, MSTATUS_MPP | MSTATUS_MPV
    csrc mstatus, t5
    la t6, trap
    la t5, 1f
    sd t5, TRAP_RESUME(t6)
    li t5, MSTATUS_MPP_S | MSTATUS_MPV | MSTATUS_MPRV
    csrs mstatus, t5
    ld a1, (a0)
1:  li t5, MSTATUS_MPRV
    csrc mstatus, t5
    got LOAD_GUEST_PAGE
    trap_field_is TRAP_TVAL, a0
    trap_field_is TRAP_TVAL2, s2
    trap_field_equals TRAP_TINST, 0x3000
    trap_field_masked TRAP_STATUS, MSTATUS_GVA | MSTATUS_MPV, MSTATUS_GVA
.endm

.macro levels vsmode, gmode
    far \vsmode
    gstage \gmode
    gmap SPARE, SPARE, 1, RWXU
    gstage_on \gmode
    paging \vsmode
    la t6, trap
    sd zero, TRAP_USER_BIAS(t6)
    map FAR_VA, SPARE, 0, PTE_RWX
    vsstage_on \vsmode
    page_at SPARE, 0x1111
    loads VS, FAR_VA + 8, 0x1111
    .irp level, 0, 1, 2, 3, 4
    .if \level <= \vsmode - 6
    .if \level < \vsmode - 6
    // The pointer as it is, to put it back.
    li gp, __LINE__
    ld t1, pt + PT_ROOT
    pointer_at \vsmode, (\level + 1)
    ld s4, (t1)
    .endif
    .irp hole, HOLE, TOO_WIDE
    .if (\hole == HOLE) || (\gmode != SV57)
    hide \vsmode, \level, \hole
    .if \level == \vsmode - 6
    accesses_without_root
    .else
    accesses
    .endif
    reveal \vsmode, \level
    loads VS, FAR_VA + 8, 0x1111
    .endif
    .endr
    .endif
    .endr
.endm
// t1 = root; then the address of FAR_VA's PTE of that level.
.macro pointer_at vsmode, level
    .irp at, 4, 3, 2, 1, 0
    .if (\at <= \vsmode - 6) && (\at >= \level)
    li t2, ((FAR_VA >> (12 + 9 * \at)) & 0x1ff) * 8
    add t1, t1, t2
    .if \at > \level
    ld t1, (t1)
    srli t1, t1, 10
    slli t1, t1, 12
    .endif
    .endif
    .endr
.endm
#define LEVELS(...) li gp, __LINE__; levels __VA_ARGS__

BEGIN
    HYPERVISOR
    li s5, HSTATUS_SPVP
    csrs hstatus, s5
    LEVELS(SV39, SV39)
    LEVELS(SV39, SV48)
    LEVELS(SV39, SV57)
    LEVELS(SV48, SV39)
    LEVELS(SV48, SV48)
    LEVELS(SV48, SV57)
    LEVELS(SV57, SV39)
    LEVELS(SV57, SV48)
    LEVELS(SV57, SV57)

    // Every kind of access, at one level of one combination.
    far SV39
    li gp, __LINE__
    li t0, ENVCFG_CBZE
    csrs menvcfg, t0
    csrs henvcfg, t0
    GSTAGE(SV39)
    GMAP(SPARE, SPARE, 1, RWXU)
    GSTAGE_ON(SV39)
    PAGING(SV39)
    la t6, trap
    sd zero, TRAP_USER_BIAS(t6)
    MAP(FAR_VA, SPARE, 0, PTE_RWX)
    VSSTAGE_ON(SV39)
    li gp, __LINE__
    hide SV39, 0, HOLE
    all_accesses

    // Delegated to HS, it is htval and htinst.
    li gp, __LINE__
    li t0, 1 << LOAD_GUEST_PAGE
    csrw medeleg, t0
    li a0, FAR_VA + 8
    TRAPS_TO(LOAD_GUEST_PAGE, S, VS, ld a1, (a0))
    TVAL_IS(a0)
    TVAL2_IS(s2)
    TINST(0x3000)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_GVA | HSTATUS_SPVP, HSTATUS_SPV | HSTATUS_GVA | HSTATUS_SPVP)
    csrc hstatus, s5
    TRAPS_TO(LOAD_GUEST_PAGE, S, S, hlv.d a1, (a0))
    TVAL2_IS(s2)
    TINST(0x3000)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_GVA | HSTATUS_SPVP, HSTATUS_GVA)
    csrw medeleg, zero

    // The first fault met is the one that is taken: a table that is hidden comes before a leaf that forbids the access, and before
    // a leaf whose page the G-stage does not map; a pointer that is not valid comes before any table below it.
    PAGING(SV39)
    la t6, trap
    sd zero, TRAP_USER_BIAS(t6)
    MAP(FAR_VA, HOLE + PAGE, 0, PTE_V | PTE_R | PTE_A)
    VSSTAGE_ON(SV39)
    STORE_FAULTS(VS, FAR_VA + 8, STORE_PAGE)
    GUEST_LOAD_FAULTS(VS, FAR_VA + 8, HOLE + PAGE + 8)
    li gp, __LINE__
    hide SV39, 0, HOLE
    li a0, FAR_VA + 8
    hidden_from_guest STORE_GUEST_PAGE, VS, sd a1, (a0)
    li gp, __LINE__
    hide SV39, 1, HOLE
    li a0, FAR_VA + 8
    hidden_from_guest STORE_GUEST_PAGE, VS, sd a1, (a0)
    li gp, __LINE__
    sd zero, (s3)
    hfence.vvma
    STORE_FAULTS(VS, FAR_VA + 8, STORE_PAGE)
    TVAL2(0)
    PASS
