// Law: every vsatp.MODE over every hgatp.MODE translates, Bare in either included, and each stage raises its own kind of fault.
// norm: H_vm_twostage, hgatp_mode_bare, hgatp_mode_bare_trans, hgatp_mode_sv, hgatp_mode_x4, hgatp_mode_sv39x4, hgatp_mode_sv48x4
// norm: hgatp_mode_sv57x4, H_vm_gpatrans, H_vm_gstagetrans, vsatp_sz_acc_op, nw:stage_off, nw:walk_root, nw:walk_pointer, nw:walk_output
#include "hyper.h"
#define RWXU (PTE_RWX | PTE_U)

// With Bare VS-stages VA is the guest physical address; with a Bare G-stage SPARE is its own.
.macro combination vsmode, gmode
    .if \gmode == BARE
    csrw hgatp, zero
    hfence.gvma
    .equ to, SPARE
    .else
    gstage \gmode
    gmap GPA, SPARE, 0, RWXU
    gmap GPA + PAGE, SPARE + PAGE, 0, RWXU
    gmap VA, SPARE, 0, RWXU
    gmap VA + PAGE, SPARE + PAGE, 0, RWXU
    gstage_on \gmode
    .equ to, GPA
    .endif
    page_at SPARE, 0x1111
    page_at SPARE + PAGE, 0x2222
    .if \vsmode == BARE
    vsstage_off
    hfence.vvma
    .else
    paging \vsmode
    map VA, to, 0, PTE_RWX
    map VA + PAGE, to + PAGE, 0, PTE_RWX
    map VA + 2 * PAGE, to + 4 * PAGE, 0, PTE_RWX
    map VA + 4 * PAGE, to + PAGE, 0, RWXU
    vsstage_on \vsmode
    .endif
    .if \vsmode == BARE && \gmode == BARE
    loads VS, SPARE + 8, 0x1111
    loads VU, SPARE + PAGE + 8, 0x2222
    stores VS, SPARE + 16, 0x3333
    loads VU, SPARE + 16, 0x3333
    fetches VS, SPARE
    fetches VU, SPARE + PAGE
    // Nothing is there: an access fault, with no guest physical address.
    load_faults VS, 0x50000000, LOAD_ACCESS
    trap_field_equals TRAP_TVAL2, 0
    trap_field_masked TRAP_STATUS, MSTATUS_GVA | MSTATUS_MPV, MSTATUS_GVA | MSTATUS_MPV
    .else
    loads VS, VA + 8, 0x1111
    loads VS, VA + PAGE + 8, 0x2222
    stores VS, VA + PAGE + 16, 0x3333
    loads VS, VA + PAGE + 16, 0x3333
    fetches VS, VA
    .if \vsmode == BARE
    // VU is to the G-stage what VS is.
    loads VU, VA + PAGE + 8, 0x2222
    stores VU, VA + 24, 0x4444
    fetches VU, VA + PAGE
    guest_load_faults VS, VA + 4 * PAGE + 8, VA + 4 * PAGE + 8
    guest_store_faults VU, VA + 4 * PAGE + 8, VA + 4 * PAGE + 8
    guest_fetch_faults VS, VA + 4 * PAGE, VA + 4 * PAGE
    .else
    loads VU, VA + 4 * PAGE + 8, 0x2222
    stores VU, VA + 4 * PAGE + 24, 0x4444
    fetches VU, VA + 4 * PAGE
    load_faults VS, VA + 3 * PAGE + 8, LOAD_PAGE
    trap_field_equals TRAP_TVAL2, 0
    store_faults VS, VA + 3 * PAGE + 8, STORE_PAGE
    fetch_faults VS, VA + 3 * PAGE, INSN_PAGE
    load_faults VU, VA + 8, LOAD_PAGE
    trap_field_masked TRAP_STATUS, MSTATUS_GVA | MSTATUS_MPV, MSTATUS_GVA | MSTATUS_MPV
    .if \gmode == BARE
    // SPARE + 4 pages is memory like any other.
    stores VS, VA + 2 * PAGE + 8, 0x5555
    .else
    guest_load_faults VS, VA + 2 * PAGE + 8, GPA + 4 * PAGE + 8
    guest_store_faults VS, VA + 2 * PAGE + 8, GPA + 4 * PAGE + 8
    guest_fetch_faults VS, VA + 2 * PAGE, GPA + 4 * PAGE
    .endif
    .endif
    .endif
    vsstage_off
    csrw hgatp, zero
.endm
#define COMBINATION(...) li gp, __LINE__; combination __VA_ARGS__

BEGIN
    HYPERVISOR
    COMBINATION(BARE, BARE)
    COMBINATION(BARE, SV39)
    COMBINATION(BARE, SV48)
    COMBINATION(BARE, SV57)
    COMBINATION(SV39, BARE)
    COMBINATION(SV39, SV39)
    COMBINATION(SV39, SV48)
    COMBINATION(SV39, SV57)
    COMBINATION(SV48, BARE)
    COMBINATION(SV48, SV39)
    COMBINATION(SV48, SV48)
    COMBINATION(SV48, SV57)
    COMBINATION(SV57, BARE)
    COMBINATION(SV57, SV39)
    COMBINATION(SV57, SV48)
    COMBINATION(SV57, SV57)
    PASS
