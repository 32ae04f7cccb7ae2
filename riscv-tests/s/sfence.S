// Law: after SFENCE.VMA, by address, by ASID, by both or by neither, no access uses what the tables said before.
#include "paging.h"

// What VA is mapped to: 1, 2 or 3, whose page holds that number. No fence.
.macro leaf_to n, bits=PTE_RWX
    la t5, leaf_address
    ld t5, (t5)
    li t6, ((SPARE + \n * PAGE) >> 2) | (\bits)
    sd t6, (t5)
.endm
// Use the translation, so that a TLB that can hold it does.
.macro use value
    loads S, VA + 8, \value
    stores S, VA + 16, \value
    fetches S, VA
.endm
#define LEAF_TO(...) leaf_to __VA_ARGS__
#define USE(...) li gp, __LINE__; use __VA_ARGS__
// A fence in S-mode.
#define FENCE(...) RUNS(S, __VA_ARGS__)

BEGIN
    PAGING(SV39)
    page_at SPARE + 1 * PAGE, 1
    page_at SPARE + 2 * PAGE, 2
    page_at SPARE + 3 * PAGE, 3
    MAP(VA, SPARE + PAGE, 0, PTE_RWX)
    la t0, leaf_address
    sd a0, (t0)
    MAP(VA + MEGA, SPARE, 1, PTE_RWX)
    la t0, mega_address
    sd a0, (t0)
    PAGING_ON(SV39, 1)
    li s0, VA
    li s1, 1
    li s2, 2

    // norm: sfence_vma_op, sfence_vma_invalidation, sfence_vma_ordering, sfence_vma_all_asid_va
    // norm: sfence_vma_va_all_asid, sfence_vma_asid_only, sfence_vma_va_asid
    USE(1)
    LEAF_TO(2)
    FENCE(sfence.vma)
    USE(2)
    LEAF_TO(1)
    FENCE(sfence.vma s0)
    USE(1)
    LEAF_TO(2)
    FENCE(sfence.vma x0, s1)
    USE(2)
    LEAF_TO(1)
    FENCE(sfence.vma s0, s1)
    USE(1)
    // Any address in the page names it.
    li s3, VA + PAGE - 1
    LEAF_TO(2)
    FENCE(sfence.vma s3, s1)
    USE(2)
    // A fence in M-mode is one as well.
    LEAF_TO(1)
    sfence.vma s0, x0
    USE(1)

    // norm: sfence_vma_invalidation, sfence_vma_va_all_asid
    // Rights withdrawn: W, then R, then V.
    LEAF_TO(1, PTE_RWX & ~PTE_W)
    FENCE(sfence.vma s0)
    LOADS(S, VA + 8, 1)
    STORE_FAULTS(S, VA + 8, STORE_PAGE)
    LEAF_TO(1, PTE_RWX & ~(PTE_W | PTE_R))
    FENCE(sfence.vma s0)
    LOAD_FAULTS(S, VA + 8, LOAD_PAGE)
    FETCHES(S, VA)
    LEAF_TO(1, 0)
    FENCE(sfence.vma s0)
    FETCH_FAULTS(S, VA, INSN_PAGE)
    // Rights given, and a page that comes to be, after a fence too.
    LEAF_TO(1)
    FENCE(sfence.vma s0)
    USE(1)
    LEAF_TO(2, PTE_RWX & ~PTE_D)
    FENCE(sfence.vma s0)
    STORE_FAULTS(S, VA + 8, STORE_PAGE)
    LEAF_TO(2)
    FENCE(sfence.vma s0)
    USE(2)

    // norm: sfence_vma_va_all_asid
    // A superpage: one address within it removes all of it, whatever pieces it is kept in.
    LOADS(S, VA + MEGA + PAGE + 8, 1)
    LOADS(S, VA + MEGA + 2 * PAGE + 8, 2)
    li gp, __LINE__
    la t0, mega_address
    ld t0, (t0)
    sd zero, (t0)
    li s3, VA + MEGA + 5 * PAGE
    FENCE(sfence.vma s3)
    LOAD_FAULTS(S, VA + MEGA + PAGE + 8, LOAD_PAGE)
    LOAD_FAULTS(S, VA + MEGA + 2 * PAGE + 8, LOAD_PAGE)

    // norm: sfence_vma_all_asid_va
    // A pointer that changes needs the fence without an address.
    LEAF_TO(1)
    FENCE(sfence.vma)
    USE(1)
    li gp, __LINE__
    ld t0, pt + PT_ROOT
    li t1, (VA >> 30) * 8
    add s4, t0, t1
    ld s5, (s4)
    sd zero, (s4)
    FENCE(sfence.vma)
    LOAD_FAULTS(S, VA + 8, LOAD_PAGE)
    sd s5, (s4)
    FENCE(sfence.vma x0, s1)
    USE(1)

    // norm: sfence_vma_invalid_va, sfence_vma_rs2_bits
    // Bits of rs1 and rs2 that name nothing: an address that is not canonical, an ASID wider than ASIDLEN.
    li s3, 1 << 62
    FENCE(sfence.vma s3)
    li s3, 0x10001
    LEAF_TO(2)
    FENCE(sfence.vma s0, s3)
    USE(2)
    PASS

    .data
    .balign 8
leaf_address:
    .dword 0
mega_address:
    .dword 0
