// Law: Zcb's 16-bit loads, stores, extensions, complement and multiplication do what their 32-bit expansions do.
#include "test.h"
#define S0 0
#define A0 2
#define A1 3
BEGIN
    li gp, __LINE__
    la s0, data
    c.lbu A0, 0, S0
    check_reg a0, 0x80
    c.lbu A0, 1, S0
    check_reg a0, 0x81
    c.lbu A0, 2, S0
    check_reg a0, 0x82
    c.lbu A0, 3, S0
    check_reg a0, 0x83
    c.lhu A0, 0, S0
    check_reg a0, 0x8180
    c.lhu A0, 2, S0
    check_reg a0, 0x8382
    c.lh A0, 0, S0
    check_reg a0, 0xffffffffffff8180
    c.lh A0, 2, S0
    check_reg a0, 0xffffffffffff8382

    li gp, __LINE__
    li a0, 0x1234
    c.sb A0, 0, S0
    c.sb A0, 1, S0
    lwu a1, (s0)
    check_reg a1, 0x83823434
    c.sb A0, 2, S0
    c.sb A0, 3, S0
    lwu a1, (s0)
    check_reg a1, 0x34343434
    c.sh A0, 2, S0
    lwu a1, (s0)
    check_reg a1, 0x12343434
    c.sh A0, 0, S0
    lwu a1, (s0)
    check_reg a1, 0x12341234

    li gp, __LINE__
    li a0, 0x8182838485868788
    c.zext.w A0
    check_reg a0, 0x85868788
    c.sext.h A0
    check_reg a0, 0xffffffffffff8788
    c.zext.h A0
    check_reg a0, 0x8788
    c.sext.b A0
    check_reg a0, 0xffffffffffffff88
    c.zext.b A0
    check_reg a0, 0x88
    c.not A0
    check_reg a0, 0xffffffffffffff77
    li a1, -3
    c.mul A1, A0
    check_reg a1, 0x19b

    // Their traps are those of the expansions.
    li s0, 9
    TRAPS(LOAD_ACCESS, M, c.lbu A0, 3, S0)
    TVAL(12)
    PASS

    .data
    .balign 8
data:
    .byte 0x80, 0x81, 0x82, 0x83
