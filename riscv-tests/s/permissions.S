// Law: R, W, X and U of the leaf, with SUM and MXR, decide what S and U may do; reserved encodings are page faults.
#include "paging.h"

// The leaf under test is rewritten in place.
.macro leaf bits
    la t5, leaf_address
    ld t5, (t5)
    li t6, (SPARE >> 2) | (\bits)
    sd t6, (t5)
    sfence.vma
.endm
.macro may mode, r, w, x
    .if \r
    loads \mode, VA + 8, 0x1111
    .else
    load_faults \mode, VA, LOAD_PAGE
    .endif
    .if \w
    stores \mode, VA + 8, 0x1111
    .else
    store_faults \mode, VA, STORE_PAGE
    .endif
    .if \x
    fetches \mode, VA
    .else
    fetch_faults \mode, VA, INSN_PAGE
    .endif
.endm
#define LEAF(...) leaf __VA_ARGS__
#define MAY(...) li gp, __LINE__; may __VA_ARGS__
#define AD (PTE_V | PTE_A | PTE_D)

BEGIN
    PAGING(SV39)
    page_at SPARE, 0x1111
    MAP(VA, SPARE, 0, PTE_RWX)
    la t0, leaf_address
    sd a0, (t0)
    PAGING_ON(SV39)

    // norm: fetch_page_fault_no_x, load_page_fault_no_r, store_page_fault_no_w, nw:pte_user, nw:walk_permission
    // norm: nw:walk_user
    LEAF(AD | PTE_R)
    MAY(S, 1, 0, 0)
    MAY(U, 0, 0, 0)
    LEAF(AD | PTE_R | PTE_W)
    MAY(S, 1, 1, 0)
    LEAF(AD | PTE_X)
    MAY(S, 0, 0, 1)
    LEAF(AD | PTE_R | PTE_X)
    MAY(S, 1, 0, 1)
    LEAF(AD | PTE_R | PTE_W | PTE_X)
    MAY(S, 1, 1, 1)
    MAY(U, 0, 0, 0)
    LEAF(AD | PTE_U | PTE_R)
    MAY(U, 1, 0, 0)
    MAY(S, 0, 0, 0)
    LEAF(AD | PTE_U | PTE_X)
    MAY(U, 0, 0, 1)
    MAY(S, 0, 0, 0)
    LEAF(AD | PTE_U | PTE_R | PTE_W | PTE_X)
    MAY(U, 1, 1, 1)
    MAY(S, 0, 0, 0)

    // norm: sstatus_sum, mstatus_sum_op, nw:pte_user, nw:pte_user_fetch, nw:walk_user
    // SUM lets S load and store U's pages, never fetch from them; it does nothing for U.
    li s0, MSTATUS_SUM
    csrs mstatus, s0
    LEAF(AD | PTE_U | PTE_R | PTE_W | PTE_X)
    MAY(S, 1, 1, 0)
    LEAF(AD | PTE_U | PTE_R)
    MAY(S, 1, 0, 0)
    LEAF(AD | PTE_U | PTE_X)
    MAY(S, 0, 0, 0)
    LEAF(AD | PTE_R | PTE_W)
    MAY(U, 0, 0, 0)
    // norm: sstatus_mxr, mstatus_mxr_op, sfence_vma_sum_mxr_effect, nw:walk_permission
    // MXR lets loads, only loads, use X for R. Changing either needs no fence.
    li s1, MSTATUS_MXR
    csrs mstatus, s1
    LEAF(AD | PTE_U | PTE_X)
    MAY(S, 1, 0, 0)
    MAY(U, 1, 0, 1)
    csrc mstatus, s1
    MAY(S, 0, 0, 0)
    MAY(U, 0, 0, 1)
    csrs mstatus, s1
    csrc mstatus, s0
    MAY(S, 0, 0, 0)
    LEAF(AD | PTE_X)
    MAY(S, 1, 0, 1)
    MAY(U, 0, 0, 0)
    csrc mstatus, s1
    MAY(S, 0, 0, 1)

    // norm: nw:pte_v_clear, nw:walk_invalid
    // V = 0, whatever else; W without R.
    LEAF(PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)
    MAY(S, 0, 0, 0)
    LEAF(AD | PTE_W)
    MAY(S, 0, 0, 0)
    LEAF(AD | PTE_W | PTE_X)
    MAY(S, 0, 0, 0)
    // norm: nw:walk_too_deep
    // A pointer at the last level.
    LEAF(PTE_V)
    MAY(S, 0, 0, 0)
    // norm: Sv39_pte_future_rsv, nw:walk_reserved, nw:pte_rsw
    // Reserved bits 60 to 54; RSW and G are free.
    LEAF(PTE_RWX | (1 << 54))
    MAY(S, 0, 0, 0)
    LEAF(PTE_RWX | (1 << 60))
    MAY(S, 0, 0, 0)
    LEAF(PTE_RWX | PTE_RSW | PTE_G)
    MAY(S, 1, 1, 1)
    // norm: Svnapot_reserved_encoding_fault, menvcfg_pbmte_op
    // N and PBMT are reserved where they are not enabled, or N where the PPN's low bits are not 8.
    LEAF(PTE_RWX | PTE_PBMT_NC)
    MAY(S, 0, 0, 0)
    LEAF(PTE_RWX | PTE_N)
    MAY(S, 0, 0, 0)

    // norm: nw:pte_pointer_reserved, Sv39_pte_future_rsv, Svpbmt_nonleaf_pte_pbmt_must_be_zero, nw:walk_pointer
    // A, D and U in a pointer are reserved, and so are N, PBMT and bits 60 to 54.
    LEAF(PTE_RWX)
    MAY(S, 1, 1, 1)
    ld s2, pt + PT_ROOT
    li t0, (VA >> 30) * 8
    add s2, s2, t0
    ld s3, (s2)
    .irp bit, 4, 6, 7, 54, 60, 61, 62, 63
    li gp, __LINE__
    li t0, 1 << \bit
    or t0, t0, s3
    sd t0, (s2)
    sfence.vma
    load_faults S, VA, LOAD_PAGE
    fetch_faults S, VA, INSN_PAGE
    .endr
    // G and RSW are not.
    li t0, PTE_G | PTE_RSW
    or t0, t0, s3
    sd t0, (s2)
    sfence.vma
    MAY(S, 1, 1, 1)
    sd s3, (s2)

    // norm: Sv39_superpage_align_fault, nw:walk_misaligned_superpage
    // A superpage whose PPN is not aligned to its size.
    MAP(VA + MEGA, SPARE + PAGE, 1, PTE_RWX)
    MAP(4 * GIGA, RAM + MEGA, 2, PTE_RWX)
    sfence.vma
    LOAD_FAULTS(S, VA + MEGA, LOAD_PAGE)
    STORE_FAULTS(S, VA + MEGA, STORE_PAGE)
    FETCH_FAULTS(S, VA + MEGA, INSN_PAGE)
    LOAD_FAULTS(S, 4 * GIGA, LOAD_PAGE)

    // norm: load_page_fault_no_r, store_page_fault_no_w, nw:pte_amo, mcause_exccode_ld_ldrsv
    // norm: mcause_exccode_st_sc_amo
    // AMO, LR, SC: an AMO needs W (and reads); SC needs W; LR needs R; the faults of the first two are a store's.
    LEAF(AD | PTE_R)
    li a0, VA
    TRAPS(STORE_PAGE, S, amoadd.w a1, a2, (a0))
    TVAL_IS(a0)
    TRAPS(STORE_PAGE, S, sc.w a1, a2, (a0))
    RUNS(S, lr.w a1, (a0))
    LEAF(PTE_V)
    TRAPS(LOAD_PAGE, S, lr.w a1, (a0))
    TRAPS(STORE_PAGE, S, amoswap.d a1, a2, (a0))
    // norm: store_page_fault_no_w
    // CBO.ZERO is a store; CLEAN needs R or W, but its fault is a store's.
    li t0, ENVCFG_CBZE | ENVCFG_CBCFE | ENVCFG_CBIE_INVAL
    csrw menvcfg, t0
    TRAPS(STORE_PAGE, S, cbo.clean 0(a0))
    TRAPS(STORE_PAGE, S, cbo.zero 0(a0))
    LEAF(AD | PTE_R)
    TRAPS(STORE_PAGE, S, cbo.zero 0(a0))
    RUNS(S, cbo.clean 0(a0))
    RUNS(S, cbo.flush 0(a0))

    // norm: mstatus_mprv_ldst_op
    // MPRV: M-mode's access by S's and U's rights.
    LEAF(AD | PTE_R | PTE_W)
    li gp, __LINE__
    li a0, VA + 8
    li t1, MSTATUS_MPP
    csrc mstatus, t1
    li t1, MSTATUS_MPP_S
    csrs mstatus, t1
    li t1, MSTATUS_MPRV
    csrs mstatus, t1
    ld a1, (a0)
    csrc mstatus, t1
    CHECK(a1, 0x1111)
    PASS

    .data
    .balign 8
leaf_address:
    .dword 0
