// Law: half-precision arithmetic rounds once, raises flags, and converts to and from integers and the other formats.
#include "test.h"
#include "fp.h"

#define ONE 0x3c00
#define TWO 0x4000
#define THREE 0x4200
#define MINUS_ONE 0xbc00
#define INF 0x7c00
#define QNAN 0x7e00
#define SNAN 0x7c01
#define MAX 0x7bff

BEGIN
    FORMAT(h)
    FP2(fadd.h, ONE, TWO, THREE, 0)
    FP2(fadd.h, ONE, 0x1000, ONE, NX)
    FP2(fadd.h, MAX, MAX, INF, OF | NX)
    FP2(fsub.h, INF, INF, QNAN, NV)
    FP2(fmul.h, 0x0400, 0x3800, 0x0200, 0)
    FP2(fmul.h, 1, 0x3800, 0, UF | NX)
    FP2(fdiv.h, ONE, THREE, 0x3555, NX)
    FP2(fdiv.h, ONE, 0, INF, DZ)
    FP1(fsqrt.h, TWO, 0x3da8, NX)
    FP3(fmadd.h, TWO, THREE, ONE, 0x4700, 0)
    FP3(fmsub.h, TWO, THREE, ONE, 0x4500, 0)
    FP3(fnmadd.h, TWO, THREE, ONE, 0xc700, 0)
    FP3(fnmsub.h, TWO, THREE, ONE, 0xc500, 0)
    FP2(fsgnj.h, ONE, 0x8000, MINUS_ONE, 0)
    FP2(fsgnjn.h, ONE, ONE, MINUS_ONE, 0)
    FP2(fsgnjx.h, MINUS_ONE, MINUS_ONE, ONE, 0)
    FP2(fmin.h, SNAN, ONE, ONE, NV)
    FP2(fmax.h, 0x8000, 0, 0, 0)
    CMP(feq.h, ONE, ONE, 1, 0)
    CMP(flt.h, QNAN, ONE, 0, NV)
    CMP(fle.h, MINUS_ONE, ONE, 1, 0)
    CLASS(fclass.h, 0x8001, 2)
    CLASS(fclass.h, QNAN, 9)
    TO_INT(fcvt.w.h, MAX, 65504, 0)
    TO_INT(fcvt.wu.h, MINUS_ONE, 0, NV)
    TO_INT(fcvt.l.h, INF, 0x7fffffffffffffff, NV)
    TO_INT(fcvt.lu.h, QNAN, -1, NV)
    FROM_INT(fcvt.h.w, 65520, INF, OF | NX)
    FROM_INT(fcvt.h.w, 65519, MAX, NX)
    FROM_INT(fcvt.h.wu, 2049, 0x6800, NX)
    FROM_INT(fcvt.h.l, -1, MINUS_ONE, 0)
    FROM_INT(fcvt.h.lu, -1, INF, OF | NX)

    // fmv.x.h sign-extends; narrower values live in wider registers boxed with ones.
    li gp, __LINE__
    li a0, 0x18001
    fmv.h.x fa0, a0
    fmv.x.h a1, fa0
    check_reg a1, 0xffffffffffff8001
    fmv.x.d a1, fa0
    check_reg a1, 0xffffffffffff8001
    la a0, memory
    flh fa0, (a0)
    fsh fa0, 2(a0)
    fmv.x.d a1, fa0
    check_reg a1, 0xffffffffffff1234
    lw a1, (a0)
    check_reg a1, 0x12341234

    li gp, __LINE__
    csrw fflags, zero
    li a0, 0x3f802000
    fmv.w.x fa0, a0
    fcvt.h.s fa1, fa0
    fmv.x.h a1, fa1
    check_reg a1, 0x3c01
    fcvt.s.h fa2, fa1
    fmv.x.w a1, fa2
    check_reg a1, 0x3f802000
    fcvt.d.h fa2, fa1
    fmv.x.d a1, fa2
    check_reg a1, 0x3ff0040000000000
    csrr a1, fflags
    check_reg a1, 0
    // One rounding from double: through single it would go up to even.
    li a0, 0x3ff0020000000001
    fmv.d.x fa0, a0
    fcvt.h.d fa1, fa0
    fmv.x.h a1, fa1
    check_reg a1, 0x3c01
    li a0, 0x3ff0020000000000
    fmv.d.x fa0, a0
    fcvt.h.d fa1, fa0
    fmv.x.h a1, fa1
    check_reg a1, 0x3c00
    PASS

    .data
    .balign 8
memory:
    .half 0x1234, 0
