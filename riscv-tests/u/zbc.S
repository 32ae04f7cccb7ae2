// Law: CLMUL and CLMULH are the halves of the carry-less product, CLMULR its bits 126 to 63.
#include "test.h"
BEGIN
    RR(clmul, 5, 3, 3)
    RR(clmulh, 0, 3, 3)
    RR(clmulr, 0, 3, 3)
    RR(clmul, 0x5555555555555555, -1, -1)
    RR(clmulh, 0x5555555555555555, -1, -1)
    RR(clmulr, 0xaaaaaaaaaaaaaaaa, -1, -1)
    RR(clmul, 0, 0x8000000000000000, 0x8000000000000000)
    RR(clmulh, 0x4000000000000000, 0x8000000000000000, 0x8000000000000000)
    RR(clmulr, 0x8000000000000000, 0x8000000000000000, 0x8000000000000000)
    RR(clmul, 0x8000000000000000, 0x8000000000000000, 1)
    RR(clmulr, 1, 0x8000000000000000, 1)
    RR(clmulh, 1, 0x8000000000000000, 2)
    PASS
