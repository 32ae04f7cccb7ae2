// Law: results narrower than FLEN are boxed with ones; an operand that is not properly boxed is the canonical NaN, except to moves and stores.
#include "test.h"
BEGIN
    li gp, __LINE__
    li s0, 0x3f800000
    fmv.d.x fa0, s0
    fmv.w.x fa1, s0
    fmv.x.d a0, fa1
    CHECK(a0, 0xffffffff3f800000)

    // Computation sees a quiet NaN: no flag from FADD, NV from FLT, and FCLASS says quiet.
    csrw fflags, zero
    fadd.s fa2, fa0, fa1
    fmv.x.d a0, fa2
    CHECK(a0, 0xffffffff7fc00000)
    csrr a0, fflags
    CHECK(a0, 0)
    fclass.s a0, fa0
    CHECK(a0, 1 << 9)
    fle.s a0, fa0, fa1
    CHECK(a0, 0)
    csrr a0, fflags
    CHECK(a0, NV)
    fcvt.w.s a0, fa0
    CHECK(a0, 0x7fffffff)
    fcvt.d.s fa2, fa0
    fmv.x.d a0, fa2
    CHECK(a0, 0x7ff8000000000000)
    // Sign injection counts as computation: the canonical NaN with rs2's sign, which is + when rs2 is not boxed.
    fsgnjn.s fa2, fa0, fa1
    fmv.x.d a0, fa2
    CHECK(a0, 0xffffffffffc00000)
    li a1, 0xbf800000
    fmv.d.x fa3, a1
    fsgnj.s fa2, fa1, fa3
    fmv.x.d a0, fa2
    CHECK(a0, 0xffffffff3f800000)

    // Moves and stores transfer the low bits as they are.
    fmv.x.w a0, fa0
    CHECK(a0, 0x3f800000)
    la a1, memory
    fsw fa0, (a1)
    lw a0, (a1)
    CHECK(a0, 0x3f800000)
    flw fa2, (a1)
    fmv.x.d a0, fa2
    CHECK(a0, 0xffffffff3f800000)

    // Half precision needs 48 ones: a boxed single is no boxed half.
    li a0, 0x00003c00
    fmv.w.x fa0, a0
    fclass.h a0, fa0
    CHECK(a0, 1 << 9)
    li a0, 0xffff3c00
    fmv.w.x fa0, a0
    fclass.h a0, fa0
    CHECK(a0, 1 << 6)
    fmv.d.x fa0, a0
    fclass.h a0, fa0
    CHECK(a0, 1 << 9)
    PASS

    .data
    .balign 8
memory:
    .dword 0
