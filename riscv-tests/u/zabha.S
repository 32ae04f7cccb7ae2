// Law: byte and halfword AMOs change only their bytes, return the old value sign-extended, and ignore the upper bits of rs2.
#include "test.h"

.macro amo_test op, offset, operand, result, after
    la a0, word
    li a1, 0x1122334480f07fff
    sd a1, (a0)
    addi a0, a0, \offset
    li a1, \operand
    \op a2, a1, a0
    check_reg a2, \result
    la a0, word
    ld a3, (a0)
    check_reg a3, \after
.endm
#define T(...) li gp, __LINE__; amo_test __VA_ARGS__

BEGIN
    T(amoswap.b, 3, 0xabcdef12, 0xffffffffffffff80, 0x1122334412f07fff)
    T(amoadd.b, 0, 2, -1, 0x1122334480f07f01)
    T(amoxor.b, 2, -1, 0xfffffffffffffff0, 0x11223344800f7fff)
    T(amoand.b, 1, 0x0f, 0x7f, 0x1122334480f00fff)
    T(amoor.b, 7, 0x80, 0x11, 0x9122334480f07fff)
    T(amomin.b, 1, 0x80, 0x7f, 0x1122334480f080ff)
    T(amomax.b, 3, 0x7f, 0xffffffffffffff80, 0x112233447ff07fff)
    T(amominu.b, 3, 0x7f, 0xffffffffffffff80, 0x112233447ff07fff)
    T(amomaxu.b, 1, 0x80, 0x7f, 0x1122334480f080ff)
    T(amomaxu.b, 1, 0xff00, 0x7f, 0x1122334480f07fff)

    T(amoswap.h, 2, 0xabcdef12, 0xffffffffffff80f0, 0x11223344ef127fff)
    T(amoadd.h, 0, 2, 0x7fff, 0x1122334480f08001)
    T(amoxor.h, 2, -1, 0xffffffffffff80f0, 0x112233447f0f7fff)
    T(amoand.h, 0, 0x0ff0, 0x7fff, 0x1122334480f00ff0)
    T(amoor.h, 6, 0x8000, 0x1122, 0x9122334480f07fff)
    T(amomin.h, 0, 0x8000, 0x7fff, 0x1122334480f08000)
    T(amomax.h, 2, 0x7fff, 0xffffffffffff80f0, 0x112233447fff7fff)
    T(amominu.h, 2, 0x7fff, 0xffffffffffff80f0, 0x112233447fff7fff)
    T(amomaxu.h, 0, 0x8000, 0x7fff, 0x1122334480f08000)
    T(amomaxu.h, 0, 0xff0000, 0x7fff, 0x1122334480f07fff)

    // With Zacas, compare-and-swap of bytes and halfwords.
    li gp, __LINE__
    la a0, word
    li a1, 0x1122334480f07fff
    sd a1, (a0)
    addi a0, a0, 3
    li a1, 0x5a
    li a2, 0x7780
    amocas.b a2, a1, a0
    check_reg a2, 0xffffffffffffff80
    li a2, 0x7780
    amocas.b a2, a1, a0
    check_reg a2, 0x5a
    addi a0, a0, 1
    li a2, 0x3344
    amocas.h a2, a1, a0
    check_reg a2, 0x3344
    ld a3, -4(a0)
    check_reg a3, 0x1122005a5af07fff

    // There is no LR or SC of these widths.
    ILLEGAL_BITS(0x1005052f)
    ILLEGAL_BITS(0x1005152f)
    ILLEGAL_BITS(0x18b5052f)

    la a0, word + 1
    IN(M)
    amoadd.h a1, a2, a0
    OUT
    GOT_ONE_OF(STORE_MISALIGNED, STORE_ACCESS)
    TVAL_IS(a0)
    PASS

    .data
    .balign 64
word:
    .dword 0
