// Law: double-precision arithmetic rounds once as rm says, raises the flags of IEEE 754-2008, and converts to and from the other formats.
#include "test.h"
#include "fp.h"

#define ONE 0x3ff0000000000000
#define TWO 0x4000000000000000
#define THREE 0x4008000000000000
#define MINUS_ONE 0xbff0000000000000
#define INF 0x7ff0000000000000
#define MINUS_INF 0xfff0000000000000
#define QNAN 0x7ff8000000000000
#define SNAN 0x7ff0000000000001
#define MAX 0x7fefffffffffffff
#define MIN_NORMAL 0x0010000000000000
#define MINUS_ZERO 0x8000000000000000

BEGIN
    FORMAT(d)
    FP2(fadd.d, ONE, TWO, THREE, 0)
    FP2(fadd.d, ONE, 0x3ca0000000000000, ONE, NX)
    FP2(fadd.d, MAX, MAX, INF, OF | NX)
    FP2(fadd.d, INF, MINUS_INF, QNAN, NV)
    FP2(fadd.d, SNAN, ONE, QNAN, NV)
    FP2(fsub.d, ONE, ONE, 0, 0)
    FP2(fmul.d, MIN_NORMAL, 0x3fe0000000000000, 0x0008000000000000, 0)
    FP2(fmul.d, 1, 0x3fe0000000000000, 0, UF | NX)
    FP2(fdiv.d, ONE, THREE, 0x3fd5555555555555, NX)
    FP2(fdiv.d, MINUS_ONE, 0, MINUS_INF, DZ)
    FP2(fdiv.d, 0, 0, QNAN, NV)
    FP1(fsqrt.d, TWO, 0x3ff6a09e667f3bcd, NX)
    FP1(fsqrt.d, MINUS_ONE, QNAN, NV)
    FP3(fmadd.d, TWO, THREE, ONE, 0x401c000000000000, 0)
    FP3(fmsub.d, TWO, THREE, ONE, 0x4014000000000000, 0)
    FP3(fnmadd.d, TWO, THREE, ONE, 0xc01c000000000000, 0)
    FP3(fnmsub.d, TWO, THREE, ONE, 0xc014000000000000, 0)
    FP3(fmadd.d, 0x3ff0000000000001, 0x3ff0000000000001, 0xbff0000000000002, 0x3970000000000000, 0)

    FP2(fsgnj.d, ONE, MINUS_ZERO, MINUS_ONE, 0)
    FP2(fsgnjn.d, ONE, MINUS_ZERO, ONE, 0)
    FP2(fsgnjx.d, MINUS_ONE, MINUS_ONE, ONE, 0)
    FP2(fmin.d, 0, MINUS_ZERO, MINUS_ZERO, 0)
    FP2(fmax.d, SNAN, ONE, ONE, NV)
    FP2(fmin.d, QNAN, QNAN, QNAN, 0)
    CMP(feq.d, QNAN, ONE, 0, 0)
    CMP(flt.d, MINUS_INF, INF, 1, 0)
    CMP(fle.d, QNAN, ONE, 0, NV)
    CLASS(fclass.d, MINUS_INF, 0)
    CLASS(fclass.d, 0x000fffffffffffff, 5)
    CLASS(fclass.d, SNAN, 8)

    TO_INT(fcvt.w.d, 0x41dfffffffffffff, 0x7fffffff, NX)
    TO_INT(fcvt.w.d, 0x41dfffffffffffff, 0x7fffffff, NV, rup)
    TO_INT(fcvt.wu.d, 0x41efffffffe00000, -1, 0)
    TO_INT(fcvt.wu.d, MINUS_ONE, 0, NV)
    TO_INT(fcvt.l.d, 0x43dfffffffffffff, 0x7ffffffffffffc00, 0)
    TO_INT(fcvt.l.d, QNAN, 0x7fffffffffffffff, NV)
    TO_INT(fcvt.lu.d, 0x43f0000000000000, -1, NV)
    TO_INT(fcvt.lu.d, 0xbfefffffffffffff, 0, NX)
    FROM_INT(fcvt.d.l, 0x20000000000001, 0x4340000000000000, NX)
    FROM_INT(fcvt.d.l, 0x20000000000001, 0x4340000000000001, NX, rup)
    FROM_INT(fcvt.d.lu, -1, 0x43f0000000000000, NX)
    li gp, __LINE__
    li a0, 0xffffffff80000000
    fcvt.d.w fa0, a0
    fcvt.d.wu fa1, a0
    fmv.x.d a1, fa0
    check_reg a1, 0xc1e0000000000000
    fmv.x.d a1, fa1
    check_reg a1, 0x41e0000000000000

    // Between the formats: widening is exact, narrowing rounds, NaNs become canonical, a signalling one raises NV.
    FP1(fcvt.d.s, 0xffffffff3f800000, ONE, 0)
    FP1(fcvt.d.s, 0xffffffff00000001, 0x36a0000000000000, 0)
    FP1(fcvt.d.s, 0xffffffff7f800001, QNAN, NV)
    FP1(fcvt.s.d, ONE, 0xffffffff3f800000, 0)
    FP1(fcvt.s.d, 0x3fd5555555555555, 0xffffffff3eaaaaab, NX)
    FP1(fcvt.s.d, 0x3fd5555555555555, 0xffffffff3eaaaaaa, NX, rtz)
    FP1(fcvt.s.d, MAX, 0xffffffff7f800000, OF | NX)
    FP1(fcvt.s.d, MAX, 0xffffffff7f7fffff, OF | NX, rdn)
    FP1(fcvt.s.d, 1, 0xffffffff00000000, UF | NX)
    FP1(fcvt.s.d, 0xfff8000000000123, 0xffffffff7fc00000, 0)
    PASS
