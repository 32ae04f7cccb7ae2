// Law: a leaf with N = 1 and PPN[3:0] = 8 stands for 64 KiB of 16 equal entries; other values, and N above the last level, are page faults.
#include "paging.h"
#define K64 0x10000
BEGIN
    PAGING(SV39)
    page_at SPARE, 0x1000
    page_at SPARE + 5 * PAGE, 0x1005
    page_at SPARE + 15 * PAGE, 0x100f
    // All 16 entries, the same value each.
    li s0, 0
1:  li a0, VA
    slli t0, s0, 12
    add a0, a0, t0
    li a1, SPARE + 8 * PAGE
    li a2, 0
    li a3, PTE_RWX | PTE_N
    la a6, pt
    call pt_map
    addi s0, s0, 1
    li t0, 16
    bne s0, t0, 1b
    PAGING_ON(SV39)
    // norm: Svnapot_pte_N, Svnapot_valid_encoding, Svnapot_implicit_read_ppn_subst, Svnapot_range_napot
    // The low bits of the page number come from the address.
    LOADS(S, VA + 8, 0x1000)
    LOADS(S, VA + 5 * PAGE + 8, 0x1005)
    LOADS(S, VA + 15 * PAGE + 8, 0x100f)
    FETCHES(S, VA + 5 * PAGE)
    STORES(S, VA + 5 * PAGE + 8, 0x2005)
    LOADS(S, VA + 5 * PAGE + 8, 0x2005)
    li gp, __LINE__
    li a0, SPARE + 5 * PAGE
    ld a1, 8(a0)
    CHECK(a1, 0x2005)

    // norm: Svnapot_reserved_encoding_fault
    // Every other value of PPN[3:0] is reserved.
    .irp low, 0, 1, 2, 4, 7, 9, 12, 15
    li gp, __LINE__
    map VA, SPARE + \low * PAGE, 0, PTE_RWX | PTE_N
    sfence.vma
    load_faults S, VA, LOAD_PAGE
    store_faults S, VA, STORE_PAGE
    fetch_faults S, VA, INSN_PAGE
    .endr
    // norm: Svnapot_reserved_encoding_fault
    // A superpage leaf with N.
    MAP(VA + MEGA, SPARE, 1, PTE_RWX | PTE_N)
    MAP(VA + 2 * MEGA, SPARE + 8 * PAGE, 1, PTE_RWX | PTE_N)
    sfence.vma
    LOAD_FAULTS(S, VA + MEGA, LOAD_PAGE)
    LOAD_FAULTS(S, VA + 2 * MEGA, LOAD_PAGE)

    // norm: svade_access_ad_bit_clear
    // Rights are checked as ever: A of the entry that the walk reads.
    MAP(VA, SPARE + 8 * PAGE, 0, (PTE_RWX | PTE_N) & ~PTE_A)
    sfence.vma
    LOAD_FAULTS(S, VA, LOAD_PAGE)
    PASS
