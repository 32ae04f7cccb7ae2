// Law: single-precision arithmetic rounds once as rm says, raises the flags of IEEE 754-2008, and yields the canonical NaN.
#include "test.h"
#include "fp.h"

#define ONE 0x3f800000
#define TWO 0x40000000
#define THREE 0x40400000
#define MINUS_ONE 0xbf800000
#define INF 0x7f800000
#define MINUS_INF 0xff800000
#define QNAN 0x7fc00000
#define SNAN 0x7f800001
#define MAX 0x7f7fffff
#define MIN_NORMAL 0x00800000
#define MIN_SUBNORMAL 0x00000001
#define MINUS_ZERO 0x80000000

BEGIN
    FORMAT(s)
    FP2(fadd.s, ONE, TWO, THREE, 0)
    FP2(fadd.s, ONE, 0x33800000, ONE, NX)
    FP2(fadd.s, 0x3f800001, 0x33800000, 0x3f800002, NX)
    FP2(fadd.s, MAX, MAX, INF, OF | NX)
    FP2(fadd.s, INF, MINUS_INF, QNAN, NV)
    FP2(fadd.s, 0x7fc12345, ONE, QNAN, 0)
    FP2(fadd.s, 0xffc12345, SNAN, QNAN, NV)
    FP2(fsub.s, ONE, ONE, 0, 0)
    FP2(fsub.s, MINUS_ZERO, 0, MINUS_ZERO, 0)
    FP2(fmul.s, MIN_NORMAL, 0x3f000000, 0x00400000, 0)
    FP2(fmul.s, MIN_SUBNORMAL, 0x3f000000, 0, UF | NX)
    FP2(fmul.s, 0, INF, QNAN, NV)
    FP2(fmul.s, MAX, MINUS_ONE, 0xff7fffff, 0)
    // Tininess is detected after rounding: this product rounds up to the least normal number.
    FP2(fmul.s, 0x00ffffff, 0x3f000000, MIN_NORMAL, NX | UF)
    FP2(fmul.s, 0x3f7fffff, 0x00800001, MIN_NORMAL, NX)
    FP2(fdiv.s, ONE, THREE, 0x3eaaaaab, NX)
    FP2(fdiv.s, ONE, 0, INF, DZ)
    FP2(fdiv.s, MINUS_ONE, 0, MINUS_INF, DZ)
    FP2(fdiv.s, 0, 0, QNAN, NV)
    FP2(fdiv.s, INF, INF, QNAN, NV)
    FP1(fsqrt.s, 0x40800000, TWO, 0)
    FP1(fsqrt.s, TWO, 0x3fb504f3, NX)
    FP1(fsqrt.s, MINUS_ONE, QNAN, NV)
    FP1(fsqrt.s, MINUS_ZERO, MINUS_ZERO, 0)

    FP3(fmadd.s, TWO, THREE, ONE, 0x40e00000, 0)
    FP3(fmsub.s, TWO, THREE, ONE, 0x40a00000, 0)
    FP3(fnmadd.s, TWO, THREE, ONE, 0xc0e00000, 0)
    FP3(fnmsub.s, TWO, THREE, ONE, 0xc0a00000, 0)
    // One rounding only, and 0 * inf is invalid even with a quiet NaN addend.
    FP3(fmadd.s, 0x3f800001, 0x3f800001, 0xbf800002, 0x28800000, 0)
    FP3(fmadd.s, 0, INF, QNAN, QNAN, NV)

    FP2(fsgnj.s, ONE, MINUS_ZERO, MINUS_ONE, 0)
    FP2(fsgnjn.s, ONE, MINUS_ZERO, ONE, 0)
    FP2(fsgnjx.s, MINUS_ONE, MINUS_ONE, ONE, 0)
    FP2(fsgnj.s, SNAN, MINUS_ONE, 0xff800001, 0)

    // minimumNumber: a NaN loses, -0 is less than 0, a signalling NaN raises NV.
    FP2(fmin.s, ONE, QNAN, ONE, 0)
    FP2(fmax.s, SNAN, ONE, ONE, NV)
    FP2(fmin.s, 0, MINUS_ZERO, MINUS_ZERO, 0)
    FP2(fmax.s, MINUS_ZERO, 0, 0, 0)
    FP2(fmin.s, 0x7fc12345, 0xffc00001, QNAN, 0)

    CMP(feq.s, 0, MINUS_ZERO, 1, 0)
    CMP(feq.s, QNAN, QNAN, 0, 0)
    CMP(feq.s, SNAN, ONE, 0, NV)
    CMP(flt.s, MINUS_ZERO, 0, 0, 0)
    CMP(flt.s, MINUS_INF, INF, 1, 0)
    CMP(flt.s, QNAN, ONE, 0, NV)
    CMP(fle.s, ONE, ONE, 1, 0)
    CMP(fle.s, ONE, QNAN, 0, NV)

    CLASS(fclass.s, MINUS_INF, 0)
    CLASS(fclass.s, MINUS_ONE, 1)
    CLASS(fclass.s, 0x80000001, 2)
    CLASS(fclass.s, MINUS_ZERO, 3)
    CLASS(fclass.s, 0, 4)
    CLASS(fclass.s, MIN_SUBNORMAL, 5)
    CLASS(fclass.s, MIN_NORMAL, 6)
    CLASS(fclass.s, INF, 7)
    CLASS(fclass.s, SNAN, 8)
    CLASS(fclass.s, QNAN, 9)

    TO_INT(fcvt.w.s, 0xbfc00000, -1, NX)
    TO_INT(fcvt.w.s, 0xbfc00000, -2, NX, rne)
    TO_INT(fcvt.w.s, 0x3f000000, 0, NX, rne)
    TO_INT(fcvt.w.s, 0x3f000000, 1, NX, rmm)
    TO_INT(fcvt.w.s, 0x3f000000, 1, NX, rup)
    TO_INT(fcvt.w.s, 0xbf000000, -1, NX, rdn)
    TO_INT(fcvt.w.s, 0x4f000000, 0x7fffffff, NV)
    TO_INT(fcvt.w.s, 0xcf000000, 0xffffffff80000000, 0)
    TO_INT(fcvt.w.s, QNAN, 0x7fffffff, NV)
    TO_INT(fcvt.w.s, MINUS_INF, 0xffffffff80000000, NV)
    TO_INT(fcvt.wu.s, MINUS_ONE, 0, NV)
    TO_INT(fcvt.wu.s, 0xbf7fffff, 0, NX)
    TO_INT(fcvt.wu.s, 0x4f000000, 0xffffffff80000000, 0)
    TO_INT(fcvt.wu.s, INF, -1, NV)
    TO_INT(fcvt.l.s, 0x5f000000, 0x7fffffffffffffff, NV)
    TO_INT(fcvt.l.s, 0xdf000000, 0x8000000000000000, 0)
    TO_INT(fcvt.lu.s, 0x5f800000, -1, NV)
    TO_INT(fcvt.lu.s, QNAN, -1, NV)
    FROM_INT(fcvt.s.w, 0xabcdef01ffffffff, MINUS_ONE, 0)
    FROM_INT(fcvt.s.wu, 0xffffffff, 0x4f800000, NX)
    FROM_INT(fcvt.s.wu, 0xffffffff, 0x4f7fffff, NX, rtz)
    FROM_INT(fcvt.s.l, 0x8000000000000000, 0xdf000000, 0)
    FROM_INT(fcvt.s.lu, 0x8000000000000000, 0x5f000000, 0)
    FROM_INT(fcvt.s.l, 0x1000001, 0x4b800000, NX)
    FROM_INT(fcvt.s.l, 0x1000001, 0x4b800001, NX, rup)

    // Moves carry bits, sign-extend on the way out, and raise nothing.
    li gp, __LINE__
    csrw fflags, zero
    li a0, 0xffffffff
    fmv.w.x fa0, a0
    fmv.x.w a1, fa0
    check_reg a1, -1
    la a0, signalling
    flw fa0, (a0)
    fsw fa0, 4(a0)
    lwu a1, 4(a0)
    check_reg a1, SNAN
    csrr a1, fflags
    check_reg a1, 0

    // Flags accumulate until software clears them.
    csrw fflags, NV
    li a0, ONE
    li a1, THREE
    fmv.w.x fa0, a0
    fmv.w.x fa1, a1
    fdiv.s fa0, fa0, fa1
    csrr a0, fflags
    CHECK(a0, NV | NX)
    PASS

    .data
    .balign 8
signalling:
    .word SNAN, 0
