// Law: Zfa loads its 32 constants, rounds to integers with and without NX, has minimum and maximum that keep NaNs, quiet comparisons, and the modular conversion.
#include "test.h"
#include "fp.h"
#define QNAN 0x7ff8000000000000
#define SNAN 0x7ff0000000000001
BEGIN
    FORMAT(d)
    csrw fflags, zero
    // Every constant of FLI.D against the table; FLI.S and FLI.H agree where the value is exact in both.
    li gp, __LINE__
    la s0, constants
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,30,31
    fli.d fa0, \n
    fmv.x.d a0, fa0
    ld a1, 8 * \n(s0)
    check_same a0, a1
    .if \n != 1
    fli.s fa1, \n
    fcvt.d.s fa1, fa1
    fmv.x.d a0, fa1
    check_same a0, a1
    .if \n != 29
    fli.h fa1, \n
    fcvt.d.h fa1, fa1
    fmv.x.d a0, fa1
    check_same a0, a1
    .endif
    .endif
    .endr
    // The least normal number of each format, and 2^16, which is infinity in half precision.
    fli.s fa0, 1
    fmv.x.w a0, fa0
    CHECK(a0, 0x00800000)
    fli.h fa0, 1
    fmv.x.h a0, fa0
    CHECK(a0, 0x0400)
    fli.s fa0, 29
    fmv.x.w a0, fa0
    CHECK(a0, 0x47800000)
    fli.h fa0, 29
    fmv.x.h a0, fa0
    CHECK(a0, 0x7c00)
    csrr a0, fflags
    CHECK(a0, 0)

    FP2(fminm.d, 0x3ff0000000000000, QNAN, QNAN, 0)
    FP2(fmaxm.d, SNAN, 0x3ff0000000000000, QNAN, NV)
    FP2(fminm.d, 0, 0x8000000000000000, 0x8000000000000000, 0)
    FP2(fmaxm.d, 0x3ff0000000000000, 0x4000000000000000, 0x4000000000000000, 0)

    li gp, __LINE__
    csrw fflags, zero
    li a0, 0x3ff8000000000000
    fmv.d.x fa0, a0
    fround.d fa1, fa0, 0
    fmv.x.d a0, fa1
    check_reg a0, 0x4000000000000000
    fround.d fa1, fa0, 1
    fmv.x.d a0, fa1
    check_reg a0, 0x3ff0000000000000
    csrr a0, fflags
    check_reg a0, 0
    froundnx.d fa1, fa0, 3
    fmv.x.d a0, fa1
    check_reg a0, 0x4000000000000000
    csrr a0, fflags
    check_reg a0, NX
    // The sign of a zero result is the operand's, and big numbers stay.
    csrw fflags, zero
    li a0, 0xbfd0000000000000
    fmv.d.x fa0, a0
    fround.d fa1, fa0, 0
    fmv.x.d a0, fa1
    check_reg a0, 0x8000000000000000
    li a0, 0x4340000000000001
    fmv.d.x fa0, a0
    froundnx.d fa1, fa0, 0
    fmv.x.d a1, fa1
    check_same a0, a1
    csrr a0, fflags
    check_reg a0, 0
    li a0, SNAN
    fmv.d.x fa0, a0
    fround.d fa1, fa0, 0
    fmv.x.d a1, fa1
    check_reg a1, QNAN
    csrr a0, fflags
    check_reg a0, NV

    CMP(fleq.d, QNAN, 0, 0, 0)
    CMP(fltq.d, 0, QNAN, 0, 0)
    CMP(fltq.d, SNAN, 0, 0, NV)
    CMP(fleq.d, 0, 0, 1, 0)
    CMP(fltq.d, 0x8000000000000001, 0, 1, 0)

    // Modulo 2^32, signed; NV outside the range; NX as FCVT.W.D; NaN and infinity give 0.
    FP1(fround.d, 0x4000000000000000, 0x4000000000000000, 0, 0)
    li gp, __LINE__
    .macro modular a, result, flags
    csrw fflags, zero
    li a0, \a
    fmv.d.x fa0, a0
    fcvtmod.w.d a1, fa0
    csrr a2, fflags
    check_reg a1, \result
    check_reg a2, \flags
    .endm
    modular 0x3ff8000000000000, 1, NX
    modular 0xbff8000000000000, -1, NX
    modular 0x41e0000000000000, 0xffffffff80000000, NV
    modular 0x41f0000000100000, 1, NV
    modular 0xc1f0000000100000, -1, NV
    modular 0x4330000000000005, 5, NV
    modular 0x43e0000000000001, 0x800, NV
    modular 0x7fe0000000000000, 0, NV
    modular 0x7ff0000000000000, 0, NV
    modular 0x7ff8000000000000, 0, NV
    // Another rounding mode than RTZ is reserved.
    ILLEGAL_BITS(0xc28505d3)
    ILLEGAL_BITS(0xc2857553)
    PASS

    .data
    .balign 8
constants:
    .double -1.0
    .dword 0x0010000000000000
    .double 0.0000152587890625, 0.000030517578125, 0.00390625, 0.0078125, 0.0625, 0.125, 0.25, 0.3125, 0.375, 0.4375, 0.5, 0.625
    .double 0.75, 0.875, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 8.0, 16.0, 128.0, 256.0, 32768.0, 65536.0
    .dword 0x7ff0000000000000, 0x7ff8000000000000
