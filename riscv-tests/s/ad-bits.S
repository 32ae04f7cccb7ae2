// Law: with menvcfg.ADUE = 0 (Svade) a clear A, or a clear D at a store, is a page fault; with ADUE = 1 (Svadu) the walk sets them in memory.
#include "paging.h"
#define RWX (PTE_V | PTE_R | PTE_W | PTE_X)

.macro leaf bits
    la t5, leaf_address
    ld t5, (t5)
    li t6, (SPARE >> 2) | (\bits)
    sd t6, (t5)
    sfence.vma
.endm
.macro leaf_is bits
    la t5, leaf_address
    ld t5, (t5)
    ld t5, (t5)
    li t6, (SPARE >> 2) | (\bits)
    check_same t5, t6
.endm
#define LEAF(...) leaf __VA_ARGS__
#define LEAF_IS(...) li gp, __LINE__; leaf_is __VA_ARGS__

BEGIN
    PAGING(SV48)
    page_at SPARE, 0x1111
    MAP(VA, SPARE, 0, PTE_RWX)
    la t0, leaf_address
    sd a0, (t0)
    PAGING_ON(SV48)

    // norm: svade_access_ad_bit_clear, nw:walk_ad_svade, menvcfg_adue_op
    // Svade.
    csrw menvcfg, zero
    LEAF(RWX)
    LOAD_FAULTS(S, VA + 8, LOAD_PAGE)
    STORE_FAULTS(S, VA + 8, STORE_PAGE)
    FETCH_FAULTS(S, VA, INSN_PAGE)
    LEAF_IS(RWX)
    LEAF(RWX | PTE_A)
    LOADS(S, VA + 8, 0x1111)
    FETCHES(S, VA)
    STORE_FAULTS(S, VA + 8, STORE_PAGE)
    li a0, VA
    TRAPS(STORE_PAGE, S, amoadd.w a1, x0, (a0))
    TRAPS(STORE_PAGE, S, sc.w a1, x0, (a0))
    LEAF_IS(RWX | PTE_A)
    LEAF(RWX | PTE_D)
    LOAD_FAULTS(S, VA + 8, LOAD_PAGE)
    STORE_FAULTS(S, VA + 8, STORE_PAGE)
    LEAF(RWX | PTE_A | PTE_D)
    STORES(S, VA + 8, 0x1112)
    LEAF_IS(RWX | PTE_A | PTE_D)

    // norm: Svadu_hw_update_a_d_bits, menvcfg_adue_op, nw:ad_update, nw:pte_rsw
    // Svadu.
    li s0, ENVCFG_ADUE
    csrw menvcfg, s0
    sfence.vma
    LEAF(RWX)
    LOADS(S, VA + 8, 0x1112)
    LEAF_IS(RWX | PTE_A)
    STORES(S, VA + 8, 0x1113)
    LEAF_IS(RWX | PTE_A | PTE_D)
    LEAF(RWX)
    FETCHES(S, VA)
    LEAF_IS(RWX | PTE_A)
    LEAF(RWX | PTE_RSW)
    STORES(S, VA + 8, 0x1114)
    LEAF_IS(RWX | PTE_RSW | PTE_A | PTE_D)
    LEAF(RWX)
    li a0, VA + 8
    RUNS(S, amoadd.d a1, x0, (a0))
    LEAF_IS(RWX | PTE_A | PTE_D)
    // An access that faults sets nothing.
    // norm: nw:ad_atomic
    LEAF(PTE_V | PTE_R)
    STORE_FAULTS(S, VA + 8, STORE_PAGE)
    FETCH_FAULTS(S, VA, INSN_PAGE)
    LEAF_IS(PTE_V | PTE_R)
    LEAF(RWX | PTE_U)
    LOAD_FAULTS(S, VA + 8, LOAD_PAGE)
    LEAF_IS(RWX | PTE_U)
    // norm: nw:ad_d_exact
    // A load through a page that is only accessed does not make it dirty, nor does MXR.
    LEAF(PTE_V | PTE_X)
    li s1, MSTATUS_MXR
    csrs mstatus, s1
    LOADS(S, VA + 8, 0x1114)
    LEAF_IS(PTE_V | PTE_X | PTE_A)
    csrc mstatus, s1
    // CBO.ZERO is a store.
    li t0, ENVCFG_CBZE | ENVCFG_ADUE
    csrw menvcfg, t0
    LEAF(RWX)
    li a0, VA + 64
    RUNS(S, cbo.zero 0(a0))
    LEAF_IS(RWX | PTE_A | PTE_D)

    // norm: nw:ad_never_cleared
    // What is set stays, through loads and fetches.
    LEAF(RWX | PTE_A | PTE_D)
    LOADS(S, VA + 128, 0)
    FETCHES(S, VA)
    LEAF_IS(RWX | PTE_A | PTE_D)

    // norm: nw:ad_update
    // A superpage has its own bits.
    MAP(VA + MEGA, SPARE, 1, RWX)
    mv s2, a0
    sfence.vma
    STORES(S, VA + MEGA + 8, 0x1115)
    li gp, __LINE__
    ld a0, (s2)
    li a1, (SPARE >> 2) | RWX | PTE_A | PTE_D
    check_same a0, a1

    // norm: nw:walk_ad_access, pmp_check_pagetable_access, pmp_with_paging
    // The update is a write to the table: where PMP forbids it, the walk is an access fault of the original access.
    la t0, leaf_address
    ld t1, (t0)
    LEAF(RWX)
    li t0, -1
    csrw pmpaddr1, t0
    // NAPOT of 8 bytes: exactly the entry.
    srli t0, t1, 2
    andi t0, t0, -2
    csrw pmpaddr0, t0
    li t0, ((PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 8) | PMP_NAPOT | PMP_R
    csrw pmpcfg0, t0
    sfence.vma
    LOAD_FAULTS(S, VA + 8, LOAD_ACCESS)
    STORE_FAULTS(S, VA + 8, STORE_ACCESS)
    FETCH_FAULTS(S, VA, INSN_ACCESS)
    li t0, ((PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 8) | PMP_NAPOT
    csrw pmpcfg0, t0
    sfence.vma
    LOAD_FAULTS(S, VA + 8, LOAD_ACCESS)
    PASS

    .data
    .balign 8
leaf_address:
    .dword 0
