// Law: CZERO.EQZ gives 0 when its condition is zero, CZERO.NEZ when it is not, else rs1; the condition is all 64 bits.
#include "test.h"
BEGIN
    RR(czero.eqz, 0, 0x123456789abcdef0, 0)
    RR(czero.eqz, 0x123456789abcdef0, 0x123456789abcdef0, 0x8000000000000000)
    RR(czero.nez, 0x123456789abcdef0, 0x123456789abcdef0, 0)
    RR(czero.nez, 0, 0x123456789abcdef0, 0x8000000000000000)
    RR(czero.nez, 0, -1, 1)
    PASS
