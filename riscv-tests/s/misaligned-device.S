// Law: a misaligned access to a device is an access fault, not a misaligned address, names its part on the device, and the device sees none of it.
// norm: pma_idp_misaligned_exc, mtval_vaddr_wr2, stval_op_load_store_fault
#include "paging.h"
#define MTIMECMP 0x02004000
#define PATTERN 0x0102030405060708

// mtimecmp of hart 0 still holds the pattern.
.macro untouched
    li t0, MTIMECMP
    ld t1, (t0)
    check_reg t1, PATTERN
.endm
#define UNTOUCHED li gp, __LINE__; untouched

BEGIN
    li t0, MTIMECMP
    li t1, PATTERN
    sd t1, (t0)

    // Within the device, of every size.
    li a0, MTIMECMP + 1
    li a1, -1
    TRAPS(LOAD_ACCESS, M, lh a2, (a0))
    TVAL_IS(a0)
    TRAPS(STORE_ACCESS, M, sh a1, (a0))
    TVAL_IS(a0)
    TRAPS(LOAD_ACCESS, M, lw a2, (a0))
    TVAL_IS(a0)
    TRAPS(STORE_ACCESS, M, sw a1, (a0))
    TVAL_IS(a0)
    li a0, MTIMECMP + 4
    TRAPS(LOAD_ACCESS, M, ld a2, (a0))
    TVAL_IS(a0)
    TRAPS(STORE_ACCESS, M, sd a1, (a0))
    TVAL_IS(a0)
    UNTOUCHED

    // Across pages: from memory into the device, and out of it.
    PAGING(SV39)
    MAP(VA, SPARE, 0, PTE_RWX)
    MAP(VA + 1 * PAGE, MTIMECMP, 0, PTE_RWX)
    PAGING_ON(SV39)
    li t0, SPARE
    li t1, PATTERN
    li t2, PAGE - 8
    add t0, t0, t2
    sd t1, (t0)
    li a0, VA + PAGE - 4
    li a3, VA + PAGE
    TRAPS(LOAD_ACCESS, S, ld a2, (a0))
    TVAL_IS(a3)
    TRAPS(STORE_ACCESS, S, sd a1, (a0))
    TVAL_IS(a3)
    UNTOUCHED
    // Nor was anything stored to the memory in front of it.
    li t0, SPARE
    add t0, t0, t2
    ld t1, (t0)
    CHECK(t1, PATTERN)

    MAP(VA + 3 * PAGE, MTIMECMP, 0, PTE_RWX)
    MAP(VA + 4 * PAGE, SPARE, 0, PTE_RWX)
    sfence.vma
    li a0, VA + 4 * PAGE - 2
    TRAPS(LOAD_ACCESS, S, lw a2, (a0))
    TVAL_IS(a0)
    TRAPS(STORE_ACCESS, S, sw a1, (a0))
    TVAL_IS(a0)
    PASS
