// Law: Zbs sets, clears, inverts and extracts the bit whose number is the low 6 bits of rs2 or the immediate.
#include "test.h"
BEGIN
    RR(bset, 0x8000000000000000, 0, 63)
    RR(bset, 1, 0, 64)
    RR(bset, -1, -1, 5)
    RR(bclr, 0x7fffffffffffffff, -1, 63)
    RR(bclr, 0xfffffffffffffffe, -1, 64)
    RR(binv, 0x8000000000000000, 0, -1)
    RR(binv, 0, 1, 0)
    RR(bext, 1, 0x8000000000000000, 63)
    RR(bext, 0, 0x8000000000000000, 62)
    RI(bseti, 0x80000000, 0, 31)
    RI(bseti, 0x8000000000000000, 0, 63)
    RI(bclri, 0, 0x80000000, 31)
    RI(bclri, 0x7fffffffffffffff, -1, 63)
    RI(binvi, 0x100000000, 0, 32)
    RI(bexti, 1, 0x8000000000000000, 63)
    RI(bexti, 0, 0x8000000000000000, 0)
    PASS
