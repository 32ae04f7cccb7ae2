// Law: with menvcfg.PBMTE, PBMT 1 and 2 of a leaf are memory types that change no result, 3 is reserved; without it any is reserved.
#include "paging.h"
BEGIN
    PAGING(SV39)
    page_at SPARE, 0x1111
    MAP(VA, SPARE, 0, PTE_RWX | PTE_PBMT_NC)
    MAP(VA + PAGE, SPARE, 0, PTE_RWX | PTE_PBMT_IO)
    MAP(VA + 2 * PAGE, SPARE, 0, PTE_RWX | PTE_PBMT_RESERVED)
    MAP(VA + MEGA, SPARE, 1, PTE_RWX | PTE_PBMT_NC)
    // norm: menvcfg_pbmte_op, Sv39_pte_svpbmt_rsv
    csrw menvcfg, zero
    PAGING_ON(SV39)
    LOAD_FAULTS(S, VA, LOAD_PAGE)
    LOAD_FAULTS(S, VA + PAGE, LOAD_PAGE)
    LOAD_FAULTS(S, VA + 2 * PAGE, LOAD_PAGE)
    STORE_FAULTS(S, VA + MEGA, STORE_PAGE)
    FETCH_FAULTS(S, VA, INSN_PAGE)

    // norm: menvcfg_pbmte_op, Svpbmt_leaf_pte_pbmt_reserved_3_fault, menvcfg_pbmte_fence
    li t0, ENVCFG_PBMTE
    csrw menvcfg, t0
    sfence.vma
    LOADS(S, VA + 8, 0x1111)
    STORES(S, VA + PAGE + 8, 0x2222)
    LOADS(S, VA + MEGA + 8, 0x2222)
    FETCHES(S, VA)
    LOAD_FAULTS(S, VA + 2 * PAGE, LOAD_PAGE)
    STORE_FAULTS(S, VA + 2 * PAGE, STORE_PAGE)
    FETCH_FAULTS(S, VA + 2 * PAGE, INSN_PAGE)

    // norm: Svpbmt_nonleaf_pte_pbmt_must_be_zero
    // In a pointer it stays reserved.
    li gp, __LINE__
    ld s2, pt + PT_ROOT
    li t0, (VA >> 30) * 8
    add s2, s2, t0
    ld s3, (s2)
    li t0, PTE_PBMT_NC
    or t0, t0, s3
    sd t0, (s2)
    sfence.vma
    LOAD_FAULTS(S, VA, LOAD_PAGE)
    PASS
