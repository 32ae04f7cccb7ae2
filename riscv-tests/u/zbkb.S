// Law: Zbkb packs low parts, reverses the bits of each byte; Zbkc's CLMUL and CLMULH and Zbkx's crossbars look up by nibble and byte.
#include "test.h"
BEGIN
    RR(pack, 0x5566778811223344, 0xaabbccdd11223344, 0x1234567855667788)
    RR(packh, 0x8844, 0x11223344, 0x55667788)
    RR(packw, 0x77883344, 0x11223344, 0x55667788)
    RR(packw, 0xffffffff88883344, 0x11223344, 0x55668888)
    R1(brev8, 0x8040c020a060e0f7, 0x01020304050607ef)
    RR(xperm4, 0x0123456789abcdef, 0xfedcba9876543210, 0x0123456789abcdef)
    RR(xperm4, 0xffffffff11111111, 0xfedcba987654321f, 0x0000000011111111)
    RR(xperm8, 0x1122334455667788, 0x1122334455667788, 0x0706050403020100)
    RR(xperm8, 0x8800000000000011, 0x1122334455667788, 0x0008ff80100a0907)
    // Table, indices and destination may be one register.
    li gp, __LINE__
    li a0, 0x0706050403020100
    xperm8 a0, a0, a0
    check_reg a0, 0x0706050403020100
    RR(clmul, 0xff, 0xf, 0x11)
    RR(clmulh, 0x7fffffffffffffff, -1, 0x8000000000000000)
    PASS
