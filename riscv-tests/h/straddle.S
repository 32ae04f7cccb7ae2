// Law: an access or fetch that crosses into a page that faults reports that page's first byte, in tval and in tval2, each page translated for itself.
// norm: H_straddle, mtval2_htval_virtaddr, H_tinst_addr_offset, H_guest_page_fault, nw:tinst_load, nw:tinst_store, nw:tinst_hypervisor
// norm: H_trap_xtinst_guestpage, nw:tinst_table, nw:misaligned_parts
#include "hyper.h"
#define RWXU (PTE_RWX | PTE_U)

// What mtinst may be: zero, or the transformed instruction.
.macro tinst_may_be value
    ld t5, trap + TRAP_TINST
    beqz t5, 8884f
    li t6, \value
    beq t5, t6, 8884f
    j fail
8884:
.endm
// An access at a0 that fails at s0, on another page; gpa is what the G-stage could not translate, transformed with bits 19:15 zero.
.macro crosses cause, gpa, transformed, mode, insn:vararg
    in_mode IN_\mode, 0
    \insn
    out_of_mode
    got \cause
    trap_field_is TRAP_TVAL, s0
    trap_field_equals TRAP_TVAL2, (\gpa) >> 2
    trap_field_masked TRAP_STATUS, MSTATUS_GVA, MSTATUS_GVA
    tinst_may_be \transformed
.endm
#define CROSSES(...) li gp, __LINE__; crosses __VA_ARGS__
// Addr. Offset, in the place of rs1.
#define OFFSET(n) ((n) << 15)

// A 4-byte instruction whose halves lie on two pages.
.macro fetch_crosses cause, gpa, tinst=0
    in_mode IN_VS, 0
    jr s1
    out_of_mode
    got \cause
    trap_field_is TRAP_EPC, s1
    trap_field_is TRAP_TVAL, s0
    trap_field_equals TRAP_TVAL2, (\gpa) >> 2
    trap_field_equals TRAP_TINST, \tinst
    trap_field_masked TRAP_STATUS, MSTATUS_GVA | MSTATUS_MPV, MSTATUS_GVA | MSTATUS_MPV
.endm
#define FETCH_CROSSES(...) li gp, __LINE__; fetch_crosses __VA_ARGS__

// What the G-stage does not map: for data, and for a table of the VS-stage.
#define NOWHERE (GPA + 4 * PAGE)
#define HOLE 0x30000000

BEGIN
    HYPERVISOR
    li t0, HSTATUS_SPVP
    csrs hstatus, t0
    // Neighbours in the guest's virtual space are apart in its physical space, and apart again in memory.
    GSTAGE(SV39)
    GMAP(GPA + 1 * PAGE, SPARE + 5 * PAGE, 0, RWXU)
    GMAP(GPA + 3 * PAGE, SPARE + 2 * PAGE, 0, RWXU)
    GMAP(GPA + 6 * PAGE, SPARE + 5 * PAGE, 0, PTE_V | PTE_R | PTE_A | PTE_U)
    GSTAGE_ON(SV39)
    PAGING(SV39)
    la t6, trap
    sd zero, TRAP_USER_BIAS(t6)
    // Page 2 has no page at the G-stage, 4 none at the VS-stage; 6 is read-only at the VS-stage, 8 at the G-stage.
    MAP(VA + 0 * PAGE, GPA + 3 * PAGE, 0, PTE_RWX)
    MAP(VA + 1 * PAGE, GPA + 1 * PAGE, 0, PTE_RWX)
    MAP(VA + 2 * PAGE, NOWHERE, 0, PTE_RWX)
    MAP(VA + 3 * PAGE, GPA + 3 * PAGE, 0, PTE_RWX)
    MAP(VA + 5 * PAGE, GPA + 3 * PAGE, 0, PTE_RWX)
    MAP(VA + 6 * PAGE, GPA + 1 * PAGE, 0, PTE_V | PTE_R | PTE_A)
    MAP(VA + 7 * PAGE, GPA + 3 * PAGE, 0, PTE_RWX)
    MAP(VA + 8 * PAGE, GPA + 6 * PAGE, 0, PTE_RWX)
    // The last page before a table that is behind a hole.
    MAP(VA + MEGA - PAGE, GPA + 3 * PAGE, 0, PTE_RWX)
    MAP(VA + MEGA, HOLE, 1, PTE_V)
    VSSTAGE_ON(SV39)

    // Both pages there: the bytes come from both and go to both.
    li gp, __LINE__
    li s2, SPARE + 2 * PAGE
    li s3, SPARE + 5 * PAGE
    li t1, 0x1122334455667788
    li t0, 0xff8
    add t0, t0, s2
    sd t1, (t0)
    li t1, 0x99aabbccddeeff00
    sd t1, (s3)
    li a0, VA + PAGE - 3
    RUNS(VS, ld a1, (a0))
    CHECK(a1, 0xccddeeff00112233)
    RUNS(S, hlv.d a1, (a0))
    CHECK(a1, 0xccddeeff00112233)
    li a0, VA + PAGE - 1
    RUNS(VS, lh a1, (a0))
    CHECK(a1, 0x11)
    RUNS(S, hlvx.hu a1, (a0))
    CHECK(a1, 0x11)
    li a1, 0x0102030405060708
    li a0, VA + PAGE - 5
    RUNS(VS, sd a1, (a0))
    li gp, __LINE__
    ld t1, (t0)
    CHECK(t1, 0x0405060708667788)
    ld t1, (s3)
    CHECK(t1, 0x99aabbccdd010203)

    // From here on what a store brings is what is there: part of a store that fails may be done, or not.
    li gp, __LINE__
    sd zero, (t0)
    li t0, 0xff8
    add t0, t0, s3
    sd zero, (t0)
    li a1, 0
    fmv.d.x fa1, zero
    // The second page fails at the G-stage.
    li a0, VA + 2 * PAGE - 4
    li s0, VA + 2 * PAGE
    CROSSES(LOAD_GUEST_PAGE, NOWHERE, 0x00003583 | OFFSET(4), VS, ld a1, (a0))
    CROSSES(STORE_GUEST_PAGE, NOWHERE, 0x00b03023 | OFFSET(4), VS, sd a1, (a0))
    CROSSES(LOAD_GUEST_PAGE, NOWHERE, 0x00003587 | OFFSET(4), VS, fld fa1, (a0))
    CROSSES(STORE_GUEST_PAGE, NOWHERE, 0x00b03027 | OFFSET(4), VS, fsd fa1, (a0))
    CROSSES(LOAD_GUEST_PAGE, NOWHERE, 0x6c0045f3 | OFFSET(4), S, hlv.d a1, (a0))
    .option rvc
    CROSSES(LOAD_GUEST_PAGE, NOWHERE, 0x00003581 | OFFSET(4), VS, c.ld a1, 0(a0))
    CROSSES(STORE_GUEST_PAGE, NOWHERE, 0x00b03021 | OFFSET(4), VS, c.sd a1, 0(a0))
    .option norvc
    MSTATUS_AT_TRAP(MSTATUS_MPV, MSTATUS_MPV)
    li a0, VA + 2 * PAGE - 2
    CROSSES(LOAD_GUEST_PAGE, NOWHERE, 0x00002583 | OFFSET(2), VS, lw a1, (a0))
    CROSSES(STORE_GUEST_PAGE, NOWHERE, 0x00b02023 | OFFSET(2), VS, sw a1, (a0))
    CROSSES(LOAD_GUEST_PAGE, NOWHERE, 0x683045f3 | OFFSET(2), S, hlvx.wu a1, (a0))
    CROSSES(STORE_GUEST_PAGE, NOWHERE, 0x6ab04073 | OFFSET(2), S, hsv.w a1, (a0))
    li a0, VA + 2 * PAGE - 1
    CROSSES(LOAD_GUEST_PAGE, NOWHERE, 0x00001583 | OFFSET(1), VS, lh a1, (a0))
    li a0, VA + 2 * PAGE - 7
    CROSSES(LOAD_GUEST_PAGE, NOWHERE, 0x00003583 | OFFSET(7), VS, ld a1, (a0))

    // The second page fails at the VS-stage.
    li a0, VA + 4 * PAGE - 4
    li s0, VA + 4 * PAGE
    CROSSES(LOAD_PAGE, 0, 0x00003583 | OFFSET(4), VS, ld a1, (a0))
    CROSSES(STORE_PAGE, 0, 0x00b03023 | OFFSET(4), VS, sd a1, (a0))
    CROSSES(LOAD_PAGE, 0, 0x6c0045f3 | OFFSET(4), S, hlv.d a1, (a0))

    // It may be read and not be written, at either stage.
    li a0, VA + 6 * PAGE - 4
    li s0, VA + 6 * PAGE
    RUNS(VS, ld a1, (a0))
    CROSSES(STORE_PAGE, 0, 0x00b03023 | OFFSET(4), VS, sd a1, (a0))
    li a0, VA + 8 * PAGE - 4
    li s0, VA + 8 * PAGE
    RUNS(VS, ld a1, (a0))
    CROSSES(STORE_GUEST_PAGE, GPA + 6 * PAGE, 0x00b03023 | OFFSET(4), VS, sd a1, (a0))

    // The second page's own table is not there: an implicit access.
    li a0, VA + MEGA - 4
    li s0, VA + MEGA
    CROSSES(LOAD_GUEST_PAGE, HOLE, 0x3000, VS, ld a1, (a0))
    TINST(0x3000)
    CROSSES(STORE_GUEST_PAGE, HOLE, 0x3000, VS, sd a1, (a0))
    TINST(0x3000)
    CROSSES(STORE_GUEST_PAGE, HOLE, 0x3000, S, hsv.d a1, (a0))
    TINST(0x3000)

    // The first page fails: the address is the instruction's own.
    li a0, VA + 2 * PAGE + 0xffc
    mv s0, a0
    CROSSES(LOAD_GUEST_PAGE, NOWHERE + 0xffc, 0x00003583, VS, ld a1, (a0))
    CROSSES(STORE_GUEST_PAGE, NOWHERE + 0xffc, 0x00b03023, VS, sd a1, (a0))
    li a0, VA + 4 * PAGE + 0xffc
    mv s0, a0
    CROSSES(LOAD_PAGE, 0, 0x00003583, VS, ld a1, (a0))

    // Fetches: a RET whose halves lie on pages 0 and 1; then pages behind which the second half is not.
    li gp, __LINE__
    li t0, 0xffe
    add t1, s2, t0
    li t2, 0x8067
    sh t2, (t1)
    add t1, s3, t0
    sh t2, (t1)
    sh zero, (s3)
    fence.i
    FETCHES(VS, VA + PAGE - 2)
    li s1, VA + 2 * PAGE - 2
    li s0, VA + 2 * PAGE
    FETCH_CROSSES(INSN_GUEST_PAGE, NOWHERE)
    li s1, VA + 4 * PAGE - 2
    li s0, VA + 4 * PAGE
    FETCH_CROSSES(INSN_PAGE, 0)
    // Pages 6 and 8 are not executable at one of the stages.
    li s1, VA + 6 * PAGE - 2
    li s0, VA + 6 * PAGE
    FETCH_CROSSES(INSN_PAGE, 0)
    li s1, VA + 8 * PAGE - 2
    li s0, VA + 8 * PAGE
    FETCH_CROSSES(INSN_GUEST_PAGE, GPA + 6 * PAGE)
    li s1, VA + MEGA - 2
    li s0, VA + MEGA
    FETCH_CROSSES(INSN_GUEST_PAGE, HOLE, 0x3000)
    // The first half fails by itself.
    li s1, VA + 2 * PAGE + 0xffe
    mv s0, s1
    FETCH_CROSSES(INSN_GUEST_PAGE, NOWHERE + 0xffe)
    PASS
