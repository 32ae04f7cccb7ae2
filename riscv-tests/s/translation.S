// Law: Sv39, Sv48 and Sv57 walk from satp's root through 9 bits of the address a level, to leaves of every size.
#include "paging.h"

// A macro, so that each mode's tests are written once; failures name the line of the use below.
.macro tests mode
    paging \mode
    page_at SPARE, 0x1111
    page_at SPARE + PAGE, 0x2222
    page_at SPARE + MEGA, 0x3333
    map VA, SPARE, 0, PTE_RWX
    map VA + PAGE, SPARE + PAGE, 0, PTE_RWX
    // Both halves of the address space, at their last pages below the hole.
    map -0x1000, SPARE + PAGE, 0, PTE_RWX
    map (1 << (9 * \mode - 34)) - PAGE, SPARE, 0, PTE_RWX
    map -(1 << (9 * \mode - 34)), SPARE + PAGE, 0, PTE_RWX
    // A megapage, and a gigapage of which only the first RAM is backed.
    map VA + MEGA, SPARE, 1, PTE_RWX
    map 0x100000000, 0x80000000, 2, PTE_RWX
    paging_on \mode
    // norm: Sv39_va_sz, Sv39_vpn_sz, Sv39_levels, Sv39_page_offset_sz, Sv39_pte_count, Sv39_pte_sz, Sv39_LEVELS
    // norm: Sv39_PTESIZE, Sv39_leaf_any_level, Sv39_page_sizes, Sv48_va_sz, Sv48_vpn_sz, Sv48_levels
    // norm: Sv48_page_offset_sz, Sv48_LEVELS, Sv48_PTESIZE, Sv48_leaf_any_level, Sv57_va_sz, Sv57_vpn_sz, Sv57_levels
    // norm: Sv57_page_offset_sz, Sv57_LEVELS, Sv57_PTESIZE, Sv57_leaf_any_level, satp_mode_sxlen64, nw:walk_root
    // norm: nw:walk_pointer, nw:walk_output
    loads S, VA + 8, 0x1111
    loads S, VA + PAGE + 8, 0x2222
    loads S, -0x1000 + 8, 0x2222
    loads S, (1 << (9 * \mode - 34)) - PAGE + 8, 0x1111
    loads S, -(1 << (9 * \mode - 34)) + 8, 0x2222
    loads S, VA + MEGA + 8, 0x1111
    loads S, VA + MEGA + PAGE + 8, 0x2222
    loads S, 0x100000000 + SPARE - RAM + 8, 0x1111
    loads S, 0x100000000 + SPARE - RAM + MEGA + 8, 0x3333
    fetches S, VA
    fetches S, -0x1000
    fetches S, 0x100000000 + SPARE - RAM + MEGA
    stores S, VA + 16, 0x4444
    loads S, VA + MEGA + 16, 0x4444
    // norm: nw:walk_invalid
    // What nothing maps: in the same table, in a table that is not there.
    load_faults S, VA + 2 * PAGE, LOAD_PAGE
    store_faults S, VA + 2 * PAGE, STORE_PAGE
    fetch_faults S, VA + 2 * PAGE, INSN_PAGE
    load_faults S, 0x3000000000, LOAD_PAGE
    fetch_faults S, 0x3000000000, INSN_PAGE
    // norm: satp_op_active
    // M-mode is not translated.
    li a0, SPARE
    ld a1, 16(a0)
    check_reg a1, 0x4444
    // norm: Sv39_va_signext, Sv48_va_signext, Sv57_va_signext
    // Not canonical: the bits above must equal the top bit.
    .if \mode != 10
    load_faults S, (1 << (9 * \mode - 34)), LOAD_PAGE
    store_faults S, -(1 << (9 * \mode - 34)) - PAGE, STORE_PAGE
    .endif
    load_faults S, VA | (1 << 63), LOAD_PAGE
    store_faults S, VA | (1 << 62), STORE_PAGE
    fetch_faults S, VA | (1 << 57), INSN_PAGE
    fetch_faults S, (-0x1000) ^ (1 << 63), INSN_PAGE
    csrw satp, zero
.endm

BEGIN
    li gp, __LINE__
    tests SV39
    li gp, __LINE__
    tests SV48
    li gp, __LINE__
    tests SV57

    // norm: Sv48_page_sizes, Sv57_page_sizes, Sv48_leaf_any_level, Sv57_leaf_any_level
    // The greater leaves: 512 GiB in Sv48, 256 TiB in Sv57.
    PAGING(SV48)
    MAP(0x8000000000, 0, 3, PTE_RWX)
    PAGING_ON(SV48)
    LOADS(S, 0x8000000000 + SPARE + 8, 0x1111)
    PAGING(SV57)
    MAP(0x1000000000000, 0, 4, PTE_RWX)
    MAP(0x8000000000, 0, 3, PTE_RWX)
    PAGING_ON(SV57)
    LOADS(S, 0x8000000000 + SPARE + 8, 0x1111)
    LOADS(S, 0x1000000000000 + SPARE + PAGE + 8, 0x2222)
    // norm: pma_chk_paddr, pma_precise_recom
    // norm: mtval_vaddr_not_paddr
    // Addresses of RAM's own size, through a leaf whose physical side lies beyond anything: an access fault, no page fault.
    MAP(0x2000000000000, 0x1000000000000, 4, PTE_RWX)
    PAGING_ON(SV57)
    LOAD_FAULTS(S, 0x2000000000000, LOAD_ACCESS)
    STORE_FAULTS(S, 0x2000000000000, STORE_ACCESS)
    FETCH_FAULTS(S, 0x2000000000000, INSN_ACCESS)
    PASS
