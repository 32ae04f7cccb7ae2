// Law: an AMO returns the old value, sign-extended, and leaves the operation's result of the width it names, in every order bit.
#include "test.h"

.macro amo_test op, width, old, operand, result, after
    la a0, word
    li a1, \old
    sd a1, (a0)
    li a1, \operand
    \op\().\width a2, a1, (a0)
    check_reg a2, \result
    ld a3, (a0)
    check_reg a3, \after
.endm
#define W(op, old, operand, result, after) li gp, __LINE__; amo_test op, w, old, operand, result, after
#define D(op, old, operand, result, after) li gp, __LINE__; amo_test op, d, old, operand, result, after

BEGIN
    // norm: ziccamoa_pma_amo_req, pma_amo_sz_support
    W(amoswap, 0x1111111180000000, 0xaaaaaaaa12345678, 0xffffffff80000000, 0x1111111112345678)
    W(amoadd, 0x11111111ffffffff, 2, -1, 0x1111111100000001)
    W(amoxor, 0x111111110ff00ff0, 0xffffffff, 0x0ff00ff0, 0x11111111f00ff00f)
    W(amoand, 0x111111110ff00ff0, 0x00ffff00, 0x0ff00ff0, 0x1111111100f00f00)
    W(amoor, 0x111111110ff00ff0, 0x00ffff00, 0x0ff00ff0, 0x111111110ffffff0)
    W(amomin, 0x1111111180000000, 0x7fffffff, 0xffffffff80000000, 0x1111111180000000)
    W(amomin, 0x111111117fffffff, 0x80000000, 0x7fffffff, 0x1111111180000000)
    W(amomax, 0x1111111180000000, 0x7fffffff, 0xffffffff80000000, 0x111111117fffffff)
    W(amominu, 0x1111111180000000, 0x7fffffff, 0xffffffff80000000, 0x111111117fffffff)
    W(amomaxu, 0x111111117fffffff, 0x80000000, 0x7fffffff, 0x1111111180000000)
    // The upper half of rs2 takes no part.
    W(amomaxu, 0x1111111100000005, 0xffffffff00000003, 5, 0x1111111100000005)
    W(amomin, 0x1111111100000005, 0x8000000000000006, 5, 0x1111111100000005)

    D(amoswap, 0x8000000000000000, 0x123456789abcdef0, 0x8000000000000000, 0x123456789abcdef0)
    D(amoadd, -1, 2, -1, 1)
    D(amoxor, 0x0ff00ff00ff00ff0, -1, 0x0ff00ff00ff00ff0, 0xf00ff00ff00ff00f)
    D(amoand, 0x0ff00ff00ff00ff0, 0x00ffff0000ffff00, 0x0ff00ff00ff00ff0, 0x00f00f0000f00f00)
    D(amoor, 0x0ff00ff00ff00ff0, 0x00ffff0000ffff00, 0x0ff00ff00ff00ff0, 0x0ffffff00ffffff0)
    D(amomin, 0x8000000000000000, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000000)
    D(amomax, 0x8000000000000000, 0x7fffffffffffffff, 0x8000000000000000, 0x7fffffffffffffff)
    D(amominu, 0x8000000000000000, 0x7fffffffffffffff, 0x8000000000000000, 0x7fffffffffffffff)
    D(amomaxu, 0x7fffffffffffffff, 0x8000000000000000, 0x7fffffffffffffff, 0x8000000000000000)

    // Destination x0, destination that is the address or the operand, order bits.
    li gp, __LINE__
    la a0, word
    li a1, 5
    sd a1, (a0)
    amoadd.d.aqrl x0, a1, (a0)
    check_reg x0, 0
    amoadd.d.aq a1, a1, (a0)
    check_reg a1, 10
    amoadd.w.rl a0, a0, (a0)
    check_reg a0, 15

    // norm: mcause_exccode_st_sc_amo
    // An AMO that may not read is a store fault, never a load fault.
    li a0, 0x8
    TRAPS(STORE_ACCESS, M, amoadd.w a1, a2, (a0))
    TVAL_IS(a0)

    // Reserved: widths and operations that no extension defines here.
    ILLEGAL_BITS(0x00a5552f)
    ILLEGAL_BITS(0x00a5652f)
    ILLEGAL_BITS(0x00a5752f)
    ILLEGAL_BITS(0xf8a5252f)
    PASS

    .data
    .balign 64
word:
    .dword 0
