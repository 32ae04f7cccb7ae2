// Law: AMOCAS compares memory with rd, stores rs2 only when they are equal, and returns the old value; Q uses even register pairs.
#include "test.h"

.macro cas width, old, compare, swap, result, after
    la a0, word
    li a1, \old
    sd a1, (a0)
    li a1, \swap
    li a2, \compare
    amocas.\width a2, a1, a0
    check_reg a2, \result
    ld a3, (a0)
    check_reg a3, \after
.endm
#define CAS(...) li gp, __LINE__; cas __VA_ARGS__

BEGIN
    CAS(w, 0x1111111180000000, 0x80000000, 0xaaaaaaaa12345678, 0xffffffff80000000, 0x1111111112345678)
    // The upper half of the comparison value takes no part.
    CAS(w, 0x1111111180000000, 0x5555555580000000, 7, 0xffffffff80000000, 0x1111111100000007)
    CAS(w, 0x1111111180000000, 0x80000001, 7, 0xffffffff80000000, 0x1111111180000000)
    CAS(d, 5, 5, -1, 5, -1)
    CAS(d, 5, 0x100000005, -1, 5, 5)

    // 128 bits: both halves count.
    li gp, __LINE__
    la a0, word
    li s0, 1
    li s1, 2
    sd s0, 0(a0)
    sd s1, 8(a0)
    li a2, 1
    li a3, 2
    li a4, 3
    li a5, 4
    // norm: ziccamoc_pma_amo_req
    amocas.q a2, a4, a0
    check_reg a2, 1
    check_reg a3, 2
    ld a6, 0(a0)
    check_reg a6, 3
    ld a6, 8(a0)
    check_reg a6, 4
    li a2, 3
    li a3, 5
    li a4, 6
    li a5, 7
    amocas.q a2, a4, a0
    check_reg a2, 3
    check_reg a3, 4
    ld a6, 0(a0)
    check_reg a6, 3
    ld a6, 8(a0)
    check_reg a6, 4

    // A pair that starts at x0 reads as zero in both halves, and discards both.
    li gp, __LINE__
    li ra, 99
    amocas.q x0, a4, a0
    check_reg x0, 0
    check_reg ra, 99
    sd zero, 0(a0)
    sd zero, 8(a0)
    li a2, 0
    li a3, 0
    amocas.q x0, a4, a0
    ld a6, 0(a0)
    check_reg a6, 6
    ld a6, 8(a0)
    check_reg a6, 7
    li a2, 6
    li a3, 7
    amocas.q a2, x0, a0
    ld a6, 0(a0)
    check_reg a6, 0
    ld a6, 8(a0)
    check_reg a6, 0

    // An odd register of either pair is reserved: amocas.q a1, a2, (a0) and amocas.q a2, a3, (a0).
    ILLEGAL_BITS(0x28c545af)
    ILLEGAL_BITS(0x28d5462f)

    // It is a store to the trap handler even when nothing is stored.
    li a0, 8
    TRAPS(STORE_ACCESS, M, amocas.d a1, a2, a0)
    TVAL_IS(a0)
    la a0, word + 8
    IN(M)
    amocas.q a2, a4, a0
    OUT
    GOT_ONE_OF(STORE_MISALIGNED, STORE_ACCESS)
    TVAL_IS(a0)
    PASS

    .data
    .balign 64
word:
    .fill 4, 8, 0
