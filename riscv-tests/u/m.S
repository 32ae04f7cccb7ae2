// Law: M multiplies to both halves in three signednesses and divides towards zero, by zero and at overflow without a trap.
#include "test.h"
#define MIN 0x8000000000000000
#define MAX 0x7fffffffffffffff
BEGIN
    RR(mul, 1, -1, -1)
    RR(mul, 0x8000000000000000, MIN, 1)
    RR(mul, 0x71c71c71c71c71c7, 0xaaaaaaaaaaaaaaab, 0x5555555555555555)
    RR(mulh, 0, -1, -1)
    RR(mulh, 0x4000000000000000, MIN, MIN)
    RR(mulh, 0xc000000000000000, MIN, MAX)
    RR(mulhu, 0xfffffffffffffffe, -1, -1)
    RR(mulhu, 0x3fffffffffffffff, MIN, MAX)
    RR(mulhsu, 0xffffffffffffffff, -1, -1)
    RR(mulhsu, 0x7ffffffffffffffe, MAX, -1)
    RR(mulhsu, 0x8000000000000000, MIN, -1)
    RR(mulw, 1, 0xffffffff, 0xffffffff)
    RR(mulw, 0, 0x80000000, 2)
    RR(mulw, 0xffffffff80000000, 0x123456708000000, 0x10)

    RR(div, -3, 20, -6)
    RR(rem, 2, 20, -6)
    RR(div, -3, -20, 6)
    RR(rem, -2, -20, 6)
    RR(div, -1, 5, 0)
    RR(rem, 5, 5, 0)
    RR(div, MIN, MIN, -1)
    RR(rem, 0, MIN, -1)
    RR(divu, 0, MIN, -1)
    RR(remu, MIN, MIN, -1)
    RR(divu, -1, -5, 0)
    RR(remu, -5, -5, 0)
    RR(divu, 0x1999999999999999, -1, 10)
    RR(remu, 5, -1, 10)

    // The W forms look at 32 bits and sign-extend even an unsigned result.
    RR(divw, -3, 0xabcdef0100000014, -6)
    RR(remw, 2, 0xabcdef0100000014, -6)
    RR(divw, -1, 5, 0xffffffff00000000)
    RR(remw, 0xffffffff80000005, 0x80000005, 0)
    RR(divw, 0xffffffff80000000, 0x80000000, 0xffffffff)
    RR(remw, 0, 0x80000000, 0xffffffff)
    RR(divuw, 0xffffffff80000000, 0x80000000, 1)
    RR(divuw, -1, 5, 0)
    RR(remuw, 0xffffffff80000005, 0x80000005, 0)
    RR(divuw, 0, 0x80000000, 0xffffffff)
    RR(remuw, 0xffffffff80000000, 0x80000000, 0xffffffff)
    PASS
