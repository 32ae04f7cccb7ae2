// Law: Svnapot and Svpbmt hold at both stages: menvcfg.PBMTE for the G-stage, henvcfg.PBMTE for the VS-stage; what is reserved is a fault of its own stage.
// norm: Svnapot_hyp_gstage, Svnapot_valid_encoding, Svnapot_reserved_encoding_fault, Svnapot_implicit_read_ppn_subst, Svnapot_range_napot
// norm: menvcfg_pbmte_op, menvcfg_pbmte_henvcfg_pbmte_rdonly0, menvcfg_pbmte_fence
// norm: Svpbmt_nonleaf_pte_pbmt_must_be_zero, Svpbmt_leaf_pte_pbmt_reserved_3_fault, henvcfg_pbmte_op, nw:fence_after_menvcfg
// norm: nw:fence_after_henvcfg, nw:walk_reserved, nw:pte_pointer_reserved, H_vm_gpatrans, H_vm_gpa_g, nw:pte_rsw
#include "hyper.h"
#define RWXU (PTE_RWX | PTE_U)
#define HOLE 0x30000000

// The 16 entries of a NAPOT region, all the same.
.macro napot_region tables, address, to, bits
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    li a0, \address + \n * PAGE
    li a1, (\to) + 8 * PAGE
    li a2, 0
    li a3, (\bits) | PTE_N
    la a6, \tables
    call pt_map
    .endr
.endm
#define NAPOT_REGION(...) li gp, __LINE__; napot_region __VA_ARGS__

BEGIN
    HYPERVISOR
    .irp page, 0, 1, 5, 15
    page_at SPARE + \page * PAGE, 0x1000 + \page
    .endr
    page_at SPARE + 0x10000 + 5 * PAGE, 0x2005

    // 64 KiB at the G-stage under a Bare VS-stage.
    GSTAGE(SV39)
    NAPOT_REGION(gpt, GPA, SPARE, RWXU)
    GMAP(GPA + GIGA, SPARE + 5 * PAGE, 0, RWXU)
    GSTAGE_ON(SV39)
    .irp page, 0, 1, 5, 15
    loads VS, GPA + \page * PAGE + 8, 0x1000 + \page
    .endr
    STORES(VU, GPA + 5 * PAGE + 16, 0x3333)
    LOADS(VS, GPA + GIGA + 16, 0x3333)
    FETCHES(VS, GPA + 15 * PAGE)

    // 64 KiB at the VS-stage over 4 KiB pages in another order; then over 64 KiB.
    .irp page, 0, 1, 5, 15
    gmap GPA + GIGA + \page * PAGE, SPARE + (\page ^ 15) * PAGE, 0, RWXU
    .endr
    GMAP(GPA + GIGA + 0xa * PAGE, SPARE + 5 * PAGE, 0, RWXU)
    page_at SPARE + 14 * PAGE, 0x100e
    page_at SPARE + 10 * PAGE, 0x100a
    hfence.gvma
    PAGING(SV39)
    NAPOT_REGION(pt, VA, GPA + GIGA, PTE_RWX)
    NAPOT_REGION(pt, VA + 0x10000, GPA, PTE_RWX)
    VSSTAGE_ON(SV39)
    .irp page, 0, 1, 5, 15
    loads VS, VA + \page * PAGE + 8, 0x1000 + (\page ^ 15)
    loads VS, VA + 0x10000 + \page * PAGE + 8, 0x1000 + \page
    .endr
    GUEST_LOAD_FAULTS(VS, VA + 7 * PAGE + 8, GPA + GIGA + 7 * PAGE + 8)
    GUEST_STORE_FAULTS(VS, VA + 7 * PAGE + 24, GPA + GIGA + 7 * PAGE + 24)

    // Reserved at the VS-stage: its page fault. At the G-stage: a guest-page fault, with the address.
    .irp low, 0, 1, 2, 4, 9, 12, 15
    li gp, __LINE__
    map VA, GPA + \low * PAGE, 0, PTE_RWX | PTE_N
    hfence.vvma
    load_faults VS, VA + 8, LOAD_PAGE
    store_faults VS, VA + 8, STORE_PAGE
    fetch_faults VS, VA, INSN_PAGE
    gmap GPA, SPARE + \low * PAGE, 0, RWXU | PTE_N
    hfence.gvma
    guest_load_faults VS, VA + 0x10000 + 8, GPA + 8
    guest_store_faults VS, VA + 0x10000 + 8, GPA + 8
    guest_fetch_faults VS, VA + 0x10000, GPA
    .endr
    MAP(VA + MEGA, RAM + 8 * MEGA, 1, PTE_RWX | PTE_N)
    GMAP(GPA + MEGA, RAM + 8 * MEGA, 1, RWXU | PTE_N)
    MAP(VA + 2 * MEGA, GPA + MEGA, 1, PTE_RWX)
    hfence.vvma
    hfence.gvma
    LOAD_FAULTS(VS, VA + MEGA, LOAD_PAGE)
    GUEST_LOAD_FAULTS(VS, VA + 2 * MEGA + 8, GPA + MEGA + 8)
    // In a pointer of either stage.
    GMAP(GPA + MEGA, SPARE, 1, PTE_V | PTE_N)
    MAP(VA + MEGA, SPARE, 1, PTE_V | PTE_N)
    hfence.vvma
    hfence.gvma
    LOAD_FAULTS(VS, VA + MEGA, LOAD_PAGE)
    GUEST_LOAD_FAULTS(VS, VA + 2 * MEGA + 8, GPA + MEGA + 8)
    // So are A, D and U in a pointer, each by itself, and bits 60 to 54 anywhere.
    .irp bit, PTE_A, PTE_D, PTE_U, (1 << 54), (1 << 57), (1 << 60)
    li gp, __LINE__
    gmap GPA + MEGA, SPARE, 1, PTE_V | \bit
    map VA + MEGA, SPARE, 1, PTE_V | \bit
    hfence.vvma
    hfence.gvma
    load_faults VS, VA + MEGA, LOAD_PAGE
    guest_load_faults VS, VA + 2 * MEGA + 8, GPA + MEGA + 8
    .endr
    .irp bit, (1 << 54), (1 << 57), (1 << 60)
    li gp, __LINE__
    gmap GPA + MEGA, SPARE, 1, RWXU | \bit
    map VA + MEGA, GPA, 1, PTE_RWX | \bit
    hfence.vvma
    hfence.gvma
    load_faults VS, VA + MEGA, LOAD_PAGE
    guest_load_faults VS, VA + 2 * MEGA + 8, GPA + MEGA + 8
    .endr
    // W without R is reserved, with X and without. G and RSW mean nothing at the G-stage, RSW nothing anywhere.
    .irp bits, PTE_W, (PTE_W | PTE_X)
    li gp, __LINE__
    gmap GPA + MEGA, SPARE, 1, PTE_V | PTE_U | PTE_A | PTE_D | \bits
    map VA + MEGA, GPA, 1, PTE_V | PTE_A | PTE_D | \bits
    hfence.vvma
    hfence.gvma
    store_faults VS, VA + MEGA, STORE_PAGE
    guest_store_faults VS, VA + 2 * MEGA + 8, GPA + MEGA + 8
    .endr
    GMAP(GPA + MEGA, SPARE, 1, RWXU | PTE_G | PTE_RSW)
    MAP(VA + MEGA, GPA + MEGA, 1, PTE_RWX | PTE_RSW)
    hfence.vvma
    hfence.gvma
    LOADS(VS, VA + MEGA + PAGE + 8, 0x1001)
    // A superpage whose low PPN bits are not zero.
    GMAP(GPA + MEGA, SPARE + PAGE, 1, RWXU)
    MAP(VA + MEGA, GPA + PAGE, 1, PTE_RWX)
    hfence.vvma
    hfence.gvma
    LOAD_FAULTS(VS, VA + MEGA, LOAD_PAGE)
    GUEST_LOAD_FAULTS(VS, VA + 2 * MEGA + 8, GPA + MEGA + 8)

    // Memory types. GPA: NC at the G-stage, GPA + PAGE: IO, GPA + 2 pages: the reserved 3. The VS-stage: 3 pages of each.
    csrw menvcfg, zero
    csrw henvcfg, zero
    GSTAGE(SV39)
    GMAP(GPA, SPARE, 0, RWXU | PTE_PBMT_NC)
    GMAP(GPA + PAGE, SPARE, 0, RWXU | PTE_PBMT_IO)
    GMAP(GPA + 2 * PAGE, SPARE, 0, RWXU | PTE_PBMT_RESERVED)
    GMAP(GPA + 3 * PAGE, SPARE, 0, RWXU)
    GSTAGE_ON(SV39)
    PAGING(SV39)
    // Ordinary at the VS-stage.
    MAP(VA, GPA, 0, PTE_RWX)
    MAP(VA + PAGE, GPA + PAGE, 0, PTE_RWX)
    MAP(VA + 2 * PAGE, GPA + 2 * PAGE, 0, PTE_RWX)
    // Ordinary at the G-stage.
    MAP(VA + 3 * PAGE, GPA + 3 * PAGE, 0, PTE_RWX | PTE_PBMT_NC)
    MAP(VA + 4 * PAGE, GPA + 3 * PAGE, 0, PTE_RWX | PTE_PBMT_IO)
    MAP(VA + 5 * PAGE, GPA + 3 * PAGE, 0, PTE_RWX | PTE_PBMT_RESERVED)
    // Of both.
    MAP(VA + 6 * PAGE, GPA + PAGE, 0, PTE_RWX | PTE_PBMT_NC)
    VSSTAGE_ON(SV39)
    // Neither enabled.
    .irp page, 0, 1, 2
    guest_load_faults VS, VA + \page * PAGE + 8, GPA + \page * PAGE + 8
    load_faults VS, VA + (\page + 3) * PAGE + 8, LOAD_PAGE
    .endr
    LOAD_FAULTS(VS, VA + 6 * PAGE + 8, LOAD_PAGE)
    // The G-stage alone. henvcfg.PBMTE without menvcfg.PBMTE cannot be.
    li s0, ENVCFG_PBMTE
    csrw henvcfg, s0
    CHECK_CSR(henvcfg, ENVCFG_PBMTE, 0)
    csrw menvcfg, s0
    csrw henvcfg, zero
    hfence.gvma
    hfence.vvma
    LOADS(VS, VA + 8, 0x1000)
    STORES(VS, VA + PAGE + 16, 0x4444)
    LOADS(VS, VA + 16, 0x4444)
    GUEST_LOAD_FAULTS(VS, VA + 2 * PAGE + 8, GPA + 2 * PAGE + 8)
    .irp page, 3, 4, 5, 6
    load_faults VS, VA + \page * PAGE + 8, LOAD_PAGE
    .endr
    // Both.
    csrw henvcfg, s0
    hfence.vvma
    .irp page, 0, 1, 3, 4, 6
    loads VS, VA + \page * PAGE + 8, 0x1000
    fetches VS, VA + \page * PAGE
    .endr
    GUEST_LOAD_FAULTS(VS, VA + 2 * PAGE + 8, GPA + 2 * PAGE + 8)
    LOAD_FAULTS(VS, VA + 5 * PAGE + 8, LOAD_PAGE)
    STORE_FAULTS(VS, VA + 5 * PAGE + 8, STORE_PAGE)
    // A type in a pointer stays reserved, at either stage.
    GMAP(GPA + MEGA, SPARE, 1, PTE_V | PTE_PBMT_NC)
    MAP(VA + MEGA, SPARE, 1, PTE_V | PTE_PBMT_NC)
    MAP(VA + 2 * MEGA, GPA + MEGA, 1, PTE_RWX)
    hfence.gvma
    hfence.vvma
    LOAD_FAULTS(VS, VA + MEGA, LOAD_PAGE)
    GUEST_LOAD_FAULTS(VS, VA + 2 * MEGA + 8, GPA + MEGA + 8)
    // Disabled again, after the fences that this takes.
    csrw henvcfg, zero
    hfence.vvma
    LOAD_FAULTS(VS, VA + 3 * PAGE + 8, LOAD_PAGE)
    LOADS(VS, VA + 8, 0x1000)
    csrw menvcfg, zero
    hfence.gvma
    GUEST_LOAD_FAULTS(VS, VA + 8, GPA + 8)

    // VS-stage tables behind a NAPOT page and a page with a type: read like any other.
    li gp, __LINE__
    csrw menvcfg, s0
    li t0, SPARE + 3 * PAGE + ((VA >> 12) & 0x1ff) * 8
    li t1, ((GPA + 3 * PAGE) >> 2) | PTE_RWX
    sd t1, (t0)
    NAPOT_REGION(gpt, GPA + 0x20000, SPARE, RWXU | PTE_PBMT_NC)
    MAP(VA, GPA + 0x20000 + 3 * PAGE, 1, PTE_V)
    hfence.gvma
    hfence.vvma
    LOADS(VS, VA + 8, 0x1000)
    PASS
