// Law: Zba shifts one operand by 1, 2 or 3 and adds; the .uw forms zero-extend that operand from 32 bits first.
#include "test.h"
BEGIN
    RR(sh1add, 7, 2, 3)
    RR(sh2add, 11, 2, 3)
    RR(sh3add, 19, 2, 3)
    RR(sh1add, 1, 0x8000000000000000, 1)
    RR(sh3add, 0xfffffffffffffff9, -1, 1)
    RR(add.uw, 0x100000000, 0xffffffffffffffff, 1)
    RR(add.uw, 0, 1, -1)
    RR(sh1add.uw, 0x1ffffffff, 0xabcdef01ffffffff, 1)
    RR(sh2add.uw, 0x3fffffffd, -1, 1)
    RR(sh3add.uw, 0x7fffffff9, -1, 1)
    RI(slli.uw, 0x0ffffffff0, -1, 4)
    RI(slli.uw, 0x8000000000000000, 0xffffffff00000001, 63)
    RI(slli.uw, 0xffffffff, -1, 0)
    PASS
