// Law: loads extend as their name says, stores write only their bytes, offsets reach from -2048 to 2047.
#include "test.h"

.macro load op, offset, value
    la a0, data
    \op a1, \offset(a0)
    check_reg a1, \value
.endm
#define LOAD(...) li gp, __LINE__; load __VA_ARGS__
.macro store op, offset, value, after
    la a0, scratch
    li a1, -1
    sd a1, (a0)
    li a2, \value
    \op a2, \offset(a0)
    ld a1, (a0)
    check_reg a1, \after
.endm
#define STORE(...) li gp, __LINE__; store __VA_ARGS__

BEGIN
    LOAD(lb, 0, 0xffffffffffffff80)
    LOAD(lb, 1, 0x7f)
    LOAD(lbu, 0, 0x80)
    LOAD(lh, 0, 0x7f80)
    LOAD(lh, 2, 0xffffffffffffffff)
    LOAD(lhu, 2, 0xffff)
    LOAD(lw, 4, 0xffffffff89abcdef)
    LOAD(lwu, 4, 0x89abcdef)
    LOAD(ld, 0, 0x89abcdefffff7f80)
    LOAD(ld, -2048, 0x0123456789abcdef)
    LOAD(ld, 2040, 0xfedcba9876543210)
    LOAD(lb, 2047, 0xfffffffffffffffe)

    STORE(sb, 0, 0x123456, 0xffffffffffffff56)
    STORE(sb, 7, 0, 0x00ffffffffffffff)
    STORE(sh, 0, 0x12345678, 0xffffffffffff5678)
    STORE(sh, 6, 0x12345678, 0x5678ffffffffffff)
    STORE(sw, 0, 0x0123456789abcdef, 0xffffffff89abcdef)
    STORE(sw, 4, 0x0123456789abcdef, 0x89abcdefffffffff)
    STORE(sd, 0, 0x0123456789abcdef, 0x0123456789abcdef)

    // A load into x0 still accesses memory, and a base register may be the destination.
    li gp, __LINE__
    la a0, data
    ld x0, (a0)
    check_reg x0, 0
    ld a0, -2048(a0)
    check_reg a0, 0x0123456789abcdef
    li a1, 8
    IN(M)
    lw x0, (a1)
    OUT
    GOT(LOAD_ACCESS)
    TVAL_IS(a1)
    // Nothing is at the end of the address space.
    li a1, -8
    TRAPS(STORE_ACCESS, M, sd x0, (a1))
    TVAL_IS(a1)
    PASS

    .data
    .balign 8
    .dword 0x0123456789abcdef
    .fill 2040, 1, 0
data:
    .dword 0x89abcdefffff7f80
    .fill 2032, 1, 0
    .dword 0xfedcba9876543210
    .balign 64
scratch:
    .dword 0
