// Law: Sv39x4, Sv48x4 and Sv57x4 translate guest-physical addresses, two bits wider at the root, every access as U's; a miss is a guest-page fault with the address.
#include "hyper.h"

.macro tests mode
    gstage \mode
    page_at SPARE, 0x1111
    page_at SPARE + PAGE, 0x2222
    page_at SPARE + MEGA, 0x3333
    gmap GPA, SPARE, 0, PTE_RWX | PTE_U
    gmap GPA + PAGE, SPARE + PAGE, 0, PTE_RWX | PTE_U
    gmap GPA + MEGA, SPARE, 1, PTE_RWX | PTE_U
    gmap 0x100000000, 0x80000000, 2, PTE_RWX | PTE_U
    // The two bits above the VS-stage's own width; the last page of all.
    gmap 1 << (9 * \mode - 33), SPARE, 0, PTE_RWX | PTE_U
    gmap 1 << (9 * \mode - 32), SPARE + PAGE, 0, PTE_RWX | PTE_U
    gmap (1 << (9 * \mode - 31)) - PAGE, SPARE + PAGE, 0, PTE_RWX | PTE_U
    gstage_on \mode
    // norm: H_vm_gstagetrans, H_vm_gpatrans, hgatp_mode_x4, nw:stage_off, nw:walk_output
    // Bare in the VS-stage: the address is the guest-physical one, for VS and VU alike.
    .irp who, VS, VU
    loads \who, GPA + 8, 0x1111
    loads \who, GPA + PAGE + 8, 0x2222
    loads \who, GPA + MEGA + PAGE + 8, 0x2222
    loads \who, 0x100000000 + SPARE - RAM + MEGA + 8, 0x3333
    loads \who, (1 << (9 * \mode - 33)) + 8, 0x1111
    loads \who, (1 << (9 * \mode - 32)) + 8, 0x2222
    loads \who, (1 << (9 * \mode - 31)) - PAGE + 8, 0x2222
    fetches \who, GPA
    fetches \who, (1 << (9 * \mode - 32))
    stores \who, GPA + 16, 0x4444
    loads \who, GPA + MEGA + 16, 0x4444
    // norm: H_guest_page_fault, H_cause, mtval2_trapval, mstatus_gva_op
    guest_load_faults \who, GPA + 2 * PAGE + 8, GPA + 2 * PAGE + 8
    guest_store_faults \who, GPA + 2 * PAGE + 24, GPA + 2 * PAGE + 24
    guest_fetch_faults \who, GPA + 2 * PAGE, GPA + 2 * PAGE
    guest_load_faults \who, 0x3000000008, 0x3000000008
    // norm: hgatp_mode_sv39x4, hgatp_mode_sv48x4, hgatp_mode_sv57x4
    // Bits above must be zero, not copies of a sign.
    guest_load_faults \who, 1 << (9 * \mode - 31), 1 << (9 * \mode - 31)
    guest_store_faults \who, (1 << (9 * \mode - 31)) + GPA + 8, (1 << (9 * \mode - 31)) + GPA + 8
    .endr
    csrw hgatp, zero
.endm

BEGIN
    HYPERVISOR
    li gp, __LINE__
    tests SV39
    li gp, __LINE__
    tests SV48
    li gp, __LINE__
    tests SV57

    // norm: H_vm_gpatrans, H_vm_gpapriv, H_vm_gpa_g, svade_access_ad_bit_clear
    // Permissions: U is needed and R, W, X decide; the G-stage has no notion of VS.
    GSTAGE(SV39)
    GMAP(GPA, SPARE, 0, PTE_V | PTE_R | PTE_A | PTE_D | PTE_U)
    GMAP(GPA + PAGE, SPARE, 0, PTE_V | PTE_X | PTE_A | PTE_D | PTE_U)
    GMAP(GPA + 2 * PAGE, SPARE, 0, PTE_RWX)
    GMAP(GPA + 3 * PAGE, SPARE, 0, PTE_V | PTE_W | PTE_R | PTE_A | PTE_D | PTE_U)
    GMAP(GPA + 4 * PAGE, SPARE, 0, (PTE_RWX | PTE_U) & ~PTE_A)
    GMAP(GPA + 5 * PAGE, SPARE, 0, (PTE_RWX | PTE_U) & ~PTE_D)
    GMAP(GPA + 6 * PAGE, SPARE, 0, PTE_V | PTE_W | PTE_A | PTE_D | PTE_U)
    GMAP(GPA + 7 * PAGE, SPARE, 0, PTE_RWX | PTE_U | PTE_G)
    GMAP(GPA + MEGA, SPARE + PAGE, 1, PTE_RWX | PTE_U)
    GSTAGE_ON(SV39)
    LOADS(VS, GPA + 8, 0x1111)
    GUEST_STORE_FAULTS(VS, GPA + 8, GPA + 8)
    GUEST_FETCH_FAULTS(VS, GPA, GPA)
    GUEST_LOAD_FAULTS(VS, GPA + PAGE + 8, GPA + PAGE + 8)
    FETCHES(VS, GPA + PAGE)
    // norm: vsstatus_mxr_vm, sstatus_mxr_vm
    // MXR of HS acts on the G-stage too; that of VS does not.
    li s0, MSTATUS_MXR
    csrs vsstatus, s0
    GUEST_LOAD_FAULTS(VS, GPA + PAGE + 8, GPA + PAGE + 8)
    csrc vsstatus, s0
    csrs mstatus, s0
    LOADS(VS, GPA + PAGE + 8, 0x1111)
    LOADS(VU, GPA + PAGE + 8, 0x1111)
    csrc mstatus, s0
    GUEST_LOAD_FAULTS(VS, GPA + 2 * PAGE + 8, GPA + 2 * PAGE + 8)
    GUEST_LOAD_FAULTS(VU, GPA + 2 * PAGE + 8, GPA + 2 * PAGE + 8)
    STORES(VU, GPA + 3 * PAGE + 8, 0x1111)
    GUEST_FETCH_FAULTS(VU, GPA + 3 * PAGE, GPA + 3 * PAGE)
    GUEST_LOAD_FAULTS(VS, GPA + 4 * PAGE, GPA + 4 * PAGE)
    LOADS(VS, GPA + 5 * PAGE + 8, 0x1111)
    GUEST_STORE_FAULTS(VS, GPA + 5 * PAGE, GPA + 5 * PAGE)
    GUEST_LOAD_FAULTS(VS, GPA + 6 * PAGE, GPA + 6 * PAGE)
    LOADS(VS, GPA + 7 * PAGE + 8, 0x1111)
    GUEST_LOAD_FAULTS(VS, GPA + MEGA, GPA + MEGA)
    // norm: mcause_exccode_ld_ldrsv, mcause_exccode_st_sc_amo, nw:pte_amo
    // AMO, LR, SC.
    li a0, GPA
    TRAPS(STORE_GUEST_PAGE, VS, amoadd.w a1, a2, (a0))
    TVAL_IS(a0)
    TRAPS(STORE_GUEST_PAGE, VS, sc.w a1, a2, (a0))
    RUNS(VS, lr.w a1, (a0))
    li a0, GPA + PAGE
    TRAPS(LOAD_GUEST_PAGE, VS, lr.w a1, (a0))
    // norm: H_straddle, mtval2_trapval_other, mtval2_htval_virtaddr
    // norm: mtval_vaddr_wr2
    // Misaligned across the end of what is mapped: both addresses are those of the part that fails.
    li a0, GPA + 8 * PAGE - 4
    li a1, GPA + 8 * PAGE
    TRAPS(LOAD_GUEST_PAGE, VS, ld a2, (a0))
    TVAL_IS(a1)
    TVAL2((GPA + 8 * PAGE) >> 2)

    // norm: mtval2_trapval, pma_chk_paddr
    // A physical address with nothing behind it is an access fault, with no guest-physical address.
    GMAP(GPA, 0x50000000, 0, PTE_RWX | PTE_U)
    hfence.gvma
    LOAD_FAULTS(VS, GPA + 8, LOAD_ACCESS)
    TVAL2(0)
    STORE_FAULTS(VS, GPA + 8, STORE_ACCESS)
    FETCH_FAULTS(VS, GPA, INSN_ACCESS)
    // norm: nw:gstage_begin
    // HS is not translated by hgatp.
    li a0, SPARE
    RUNS(S, ld a1, 8(a0))
    CHECK(a1, 0x1111)
    PASS
