// Law: of MXR and SUM, HS's MXR acts on both stages, VS's MXR and SUM on the VS-stage; HS's SUM says nothing of a guest, and neither lets anyone execute.
// norm: vsstatus_mxr_vm, sstatus_mxr_vm, hlsv_trans, hlsv_priv, hlsv_sstatus_mxr, hlsv_vsstatus_mxr, hlsv_u_op, H_vm_gpapriv
// norm: nw:walk_user, nw:walk_permission, nw:pte_user, nw:pte_user_fetch, nw:pte_amo, load_page_fault_no_r, store_page_fault_no_w
// norm: fetch_page_fault_no_x, sfence_vma_sum_mxr_effect
#include "hyper.h"
#define X (PTE_V | PTE_X | PTE_A | PTE_D)
#define RX (X | PTE_R)
#define RWXU (PTE_RWX | PTE_U)

// mstatus.MXR and SUM by `hs`, vsstatus's by `vs`. No fence: they take effect at once.
.macro status hs, vs
    li t0, MSTATUS_MXR | MSTATUS_SUM
    csrc mstatus, t0
    csrc vsstatus, t0
    li t0, \hs
    csrs mstatus, t0
    li t0, \vs
    csrs vsstatus, t0
.endm
// A load of VA's page n; `fault` is NONE, LOAD_PAGE or LOAD_GUEST_PAGE.
.macro try fault, mode, page, insn:vararg
    li a0, VA + (\page) * PAGE + 8
    in_mode IN_\mode, 0
    \insn
    out_of_mode
    got \fault
.endm
// By a load of VS, of VU (at the page's twin with U), by HLV for either, and by M-mode with MPRV.
.macro loads_end fault, page
    try \fault, VS, \page, ld a1, (a0)
    csrs hstatus, s11
    try \fault, S, \page, hlv.d a1, (a0)
    try \fault, M, \page, hlv.bu a1, (a0)
    csrc hstatus, s11
    try \fault, VU, \page + 4, ld a1, (a0)
    try \fault, S, \page + 4, hlv.d a1, (a0)
    li a0, VA + (\page) * PAGE + 8
    mprv_load MSTATUS_MPP_S
    got \fault
    li a0, VA + (\page + 4) * PAGE + 8
    mprv_load 0
    got \fault
.endm
// A load of M-mode as that mode of the guest.
.macro mprv_load mpp
    li t5, MSTATUS_MPP | MSTATUS_MPV
    csrc mstatus, t5
    la t6, trap
    li t5, NONE
    sd t5, TRAP_CAUSE(t6)
    la t5, 8885f
    sd t5, TRAP_RESUME(t6)
    li t5, (\mpp) | MSTATUS_MPV | MSTATUS_MPRV
    csrs mstatus, t5
    ld a1, (a0)
8885:
    li t5, MSTATUS_MPRV
    csrc mstatus, t5
    la t6, trap
    sd zero, TRAP_RESUME(t6)
.endm
#define STATUS(...) li gp, __LINE__; status __VA_ARGS__
#define LOADS_END(...) li gp, __LINE__; loads_end __VA_ARGS__
#define TRY(...) li gp, __LINE__; try __VA_ARGS__

BEGIN
    HYPERVISOR
    li s11, HSTATUS_SPVP
    GSTAGE(SV39)
    page_at SPARE, 0x1111
    GMAP(GPA, SPARE, 0, RX | PTE_U)
    GMAP(GPA + PAGE, SPARE, 0, X | PTE_U)
    GMAP(GPA + 2 * PAGE, SPARE, 0, RWXU)
    GSTAGE_ON(SV39)
    PAGING(SV39)
    // Readable at both stages, at the G-stage alone, at the VS-stage alone, at none; then the same with U.
    MAP(VA + 0 * PAGE, GPA, 0, RX)
    MAP(VA + 1 * PAGE, GPA, 0, X)
    MAP(VA + 2 * PAGE, GPA + PAGE, 0, RX)
    MAP(VA + 3 * PAGE, GPA + PAGE, 0, X)
    MAP(VA + 4 * PAGE, GPA, 0, RX | PTE_U)
    MAP(VA + 5 * PAGE, GPA, 0, X | PTE_U)
    MAP(VA + 6 * PAGE, GPA + PAGE, 0, RX | PTE_U)
    MAP(VA + 7 * PAGE, GPA + PAGE, 0, X | PTE_U)
    MAP(VA + 8 * PAGE, GPA + 2 * PAGE, 0, PTE_RWX)
    MAP(VA + 9 * PAGE, GPA + 2 * PAGE, 0, RWXU)
    VSSTAGE_ON(SV39)

    STATUS(0, 0)
    LOADS_END(NONE, 0)
    LOADS_END(LOAD_PAGE, 1)
    LOADS_END(LOAD_GUEST_PAGE, 2)
    LOADS_END(LOAD_PAGE, 3)
    STATUS(0, MSTATUS_MXR)
    LOADS_END(NONE, 0)
    LOADS_END(NONE, 1)
    LOADS_END(LOAD_GUEST_PAGE, 2)
    LOADS_END(LOAD_GUEST_PAGE, 3)
    STATUS(MSTATUS_MXR, 0)
    LOADS_END(NONE, 0)
    LOADS_END(NONE, 1)
    LOADS_END(NONE, 2)
    LOADS_END(NONE, 3)
    STATUS(MSTATUS_MXR, MSTATUS_MXR)
    LOADS_END(NONE, 3)
    // And off again.
    STATUS(0, 0)
    LOADS_END(LOAD_PAGE, 3)
    LOADS_END(LOAD_GUEST_PAGE, 2)

    // HLVX asks for X whatever MXR says, and LR for what a load does. Stores and AMOs ask for W.
    .irp hs, 0, MSTATUS_MXR
    .irp vs, 0, MSTATUS_MXR
    li gp, __LINE__
    status \hs, \vs
    csrs hstatus, s11
    .irp page, 0, 1, 2, 3
    try NONE, S, \page, hlvx.wu a1, (a0)
    try STORE_PAGE, VS, \page, sd a1, (a0)
    try STORE_PAGE, VS, \page, amoor.d a1, a2, (a0)
    try STORE_PAGE, S, \page, hsv.d a1, (a0)
    .endr
    csrc hstatus, s11
    .endr
    .endr
    STATUS(0, 0)
    TRY(LOAD_PAGE, VS, 1, lr.d a1, (a0))
    TRY(LOAD_GUEST_PAGE, VS, 2, lr.d a1, (a0))
    STATUS(MSTATUS_MXR, 0)
    TRY(NONE, VS, 3, lr.d a1, (a0))

    // U, SUM, and who asks. Page 8 is S's, page 9 is U's.
    .macro sum_matters hs, vs, fault_load, fault_store
    li gp, __LINE__
    status \hs, \vs
    try NONE, VS, 8, ld a1, (a0)
    try \fault_load, VS, 9, ld a1, (a0)
    try \fault_store, VS, 9, sd a1, (a0)
    try \fault_store, VS, 9, amoor.d a1, zero, (a0)
    csrs hstatus, s11
    try NONE, S, 8, hlv.d a1, (a0)
    try \fault_load, S, 9, hlv.d a1, (a0)
    try \fault_load, S, 9, hlvx.wu a1, (a0)
    try \fault_store, S, 9, hsv.d a1, (a0)
    csrc hstatus, s11
    li a0, VA + 9 * PAGE + 8
    mprv_load MSTATUS_MPP_S
    got \fault_load
    // As VU: U's pages alone, whatever SUM says.
    try LOAD_PAGE, VU, 8, ld a1, (a0)
    try NONE, VU, 9, ld a1, (a0)
    try LOAD_PAGE, S, 8, hlv.d a1, (a0)
    try NONE, S, 9, hlv.d a1, (a0)
    try STORE_PAGE, S, 8, hsv.d a1, (a0)
    li a0, VA + 8 * PAGE + 8
    mprv_load 0
    got LOAD_PAGE
    // Nobody executes the other's.
    fetches VS, VA + 8 * PAGE
    fetch_faults VS, VA + 9 * PAGE, INSN_PAGE
    fetches VU, VA + 9 * PAGE
    fetch_faults VU, VA + 8 * PAGE, INSN_PAGE
    .endm
    sum_matters 0, 0, LOAD_PAGE, STORE_PAGE
    sum_matters MSTATUS_SUM, 0, LOAD_PAGE, STORE_PAGE
    sum_matters 0, MSTATUS_SUM, NONE, NONE
    sum_matters MSTATUS_SUM, MSTATUS_SUM, NONE, NONE
    sum_matters MSTATUS_MXR, MSTATUS_MXR, LOAD_PAGE, STORE_PAGE

    // With the VS-stage off nothing but the G-stage is asked: U there is a must, SUM means nothing, MXR is HS's.
    VSSTAGE_OFF
    GMAP(GPA + 3 * PAGE, SPARE, 0, PTE_RWX)
    hfence.gvma
    .irp hs, 0, MSTATUS_SUM
    li gp, __LINE__
    status \hs, MSTATUS_SUM | MSTATUS_MXR
    guest_load_faults VS, GPA + 3 * PAGE + 8, GPA + 3 * PAGE + 8
    guest_load_faults VS, GPA + PAGE + 8, GPA + PAGE + 8
    loads VS, GPA + 8, 0x1111
    .endr
    STATUS(MSTATUS_MXR, 0)
    LOADS(VS, GPA + PAGE + 8, 0x1111)
    PASS
