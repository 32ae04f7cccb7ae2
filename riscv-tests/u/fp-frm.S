// Law: rm in the instruction or frm decides the rounding; reserved rm, and frm when it is used, are illegal instructions.
#include "test.h"
#include "fp.h"
#define ONE 0x3f800000
#define THREE 0x40400000
BEGIN
    FORMAT(s)
    // 1/3 and -1/3 under each of the five modes, through frm.
    .macro dynamic mode, third, minus_third
    csrwi frm, \mode
    fp2 fdiv.s, ONE, THREE, \third, NX
    fp2 fdiv.s, 0xbf800000, THREE, \minus_third, NX
    .endm
#define DYNAMIC(...) li gp, __LINE__; dynamic __VA_ARGS__
    DYNAMIC(0, 0x3eaaaaab, 0xbeaaaaab)
    DYNAMIC(1, 0x3eaaaaaa, 0xbeaaaaaa)
    DYNAMIC(2, 0x3eaaaaaa, 0xbeaaaaab)
    DYNAMIC(3, 0x3eaaaaab, 0xbeaaaaaa)
    DYNAMIC(4, 0x3eaaaaab, 0xbeaaaaab)
    // Ties: 1 + 2^-24 to even, and to the larger magnitude.
    csrwi frm, 0
    FP2(fadd.s, ONE, 0x33800000, ONE, NX)
    csrwi frm, 4
    FP2(fadd.s, ONE, 0x33800000, 0x3f800001, NX)
    // Overflow goes to infinity or to the largest number as the mode says; so does the sign of an exact zero sum.
    csrwi frm, 1
    FP2(fadd.s, 0x7f7fffff, 0x7f7fffff, 0x7f7fffff, OF | NX)
    csrwi frm, 2
    FP2(fsub.s, ONE, ONE, 0x80000000, 0)
    // A static mode overrides frm.
    li gp, __LINE__
    li a0, ONE
    li a1, THREE
    fmv.w.x fa0, a0
    fmv.w.x fa1, a1
    csrwi frm, 3
    fdiv.s fa2, fa0, fa1, rtz
    fmv.x.w a0, fa2
    CHECK(a0, 0x3eaaaaaa)

    // The views of fcsr: flags below, mode above, the rest zero.
    li a0, -1
    csrw fcsr, a0
    csrr a0, fcsr
    CHECK(a0, 0xff)
    csrr a0, frm
    CHECK(a0, 7)
    csrr a0, fflags
    CHECK(a0, 31)
    csrwi frm, 2
    csrwi fflags, 5
    csrr a0, fcsr
    CHECK(a0, 0x45)
    li a0, 0xffffffe8
    csrw frm, a0
    csrr a0, fcsr
    CHECK(a0, 0x05)

    // A reserved frm may be held; only instructions that round by it are illegal.
    .irp mode, 5, 6, 7
    csrwi frm, \mode
    li gp, __LINE__
    traps ILLEGAL, M, M, fadd.s fa0, fa1, fa2
    traps ILLEGAL, M, M, fsqrt.d fa0, fa1
    traps ILLEGAL, M, M, fmadd.h fa0, fa1, fa2, fa3
    traps ILLEGAL, M, M, fcvt.w.s a0, fa0
    traps ILLEGAL, M, M, fcvt.s.d fa0, fa1
    traps NONE, M, M, fadd.s fa0, fa1, fa2, rne
    traps NONE, M, M, fmin.s fa0, fa1, fa2
    traps NONE, M, M, fmv.x.w a0, fa0
    traps NONE, M, M, feq.s a0, fa0, fa1
    .endr
    csrwi frm, 0

    // rm 5 and 6 are reserved: in FADD, FMADD, FDIV, FSQRT, FCVT.
    ILLEGAL_BITS(0x00c5d553)
    ILLEGAL_BITS(0x00c5e553)
    ILLEGAL_BITS(0x68c5d543)
    ILLEGAL_BITS(0x18c5e553)
    ILLEGAL_BITS(0x5805d553)
    ILLEGAL_BITS(0xc005e553)
    // Function codes without an instruction: FSGNJ 3, FMIN 4, FEQ 6, FCLASS 2, FSQRT with rs2, the quad format.
    ILLEGAL_BITS(0x20c5b553)
    ILLEGAL_BITS(0x28c5c553)
    ILLEGAL_BITS(0xa0c5e553)
    ILLEGAL_BITS(0xe005a553)
    ILLEGAL_BITS(0x58158553)
    ILLEGAL_BITS(0x06c58553)
    PASS
