// Law: RV64I register and immediate arithmetic wraps to 64 bits; the W forms compute on 32 bits and sign-extend.
#include "test.h"
BEGIN
    RR(add, 0x8000000000000000, 0x7fffffffffffffff, 1)
    RR(add, 0, -1, 1)
    RR(addw, 0xffffffff80000000, 0x7fffffff, 1)
    RR(addw, 1, 0xffffffff00000000, 1)
    RR(sub, 0x7fffffffffffffff, 0x8000000000000000, 1)
    RR(subw, 0x7fffffff, 0x80000000, 1)
    RI(addi, 0xfffffffffffff800, 0, -2048)
    RI(addi, 0x80000000000007fe, 0x7fffffffffffffff, 2047)
    RI(addiw, 0xffffffff80000000, 0x7fffffff, 1)
    RI(addiw, 0xffffffff89abcdef, 0x0123456789abcdef, 0)

    RR(slt, 1, -1, 0)
    RR(slt, 0, 0, -1)
    RR(slt, 1, 0x8000000000000000, 0x7fffffffffffffff)
    RR(sltu, 0, -1, 0)
    RR(sltu, 1, 0, -1)
    RI(slti, 1, -2049, -2048)
    RI(slti, 0, -2048, -2048)
    RI(sltiu, 1, 5, -1)
    RI(sltiu, 0, -1, -1)

    RR(and, 0x00f000f000f000f0, 0x0ff00ff00ff00ff0, 0xf0f0f0f0f0f0f0f0)
    RR(or, 0xfff0fff0fff0fff0, 0x0ff00ff00ff00ff0, 0xf0f0f0f0f0f0f0f0)
    RR(xor, 0xff00ff00ff00ff00, 0x0ff00ff00ff00ff0, 0xf0f0f0f0f0f0f0f0)
    RI(andi, 0xff00ff00, 0xff00ff00, -256)
    RI(ori, 0xffffffffffffffff, 0x00ff00ff, -256)
    RI(xori, 0xffffffff00ffff00, 0xff0000ff, -1)

    // Shifts use 6 bits of the amount; the W forms 5.
    RR(sll, 0x8000000000000000, 1, 63)
    RR(sll, 1, 1, 64)
    RR(sll, 2, 1, 0xffffffffffffffc1)
    RR(srl, 1, 0x8000000000000000, 63)
    RR(sra, -1, 0x8000000000000000, 63)
    RR(sllw, 0xffffffff80000000, 1, 31)
    RR(sllw, 1, 1, 32)
    RR(srlw, 1, 0xffffffff80000000, 31)
    RR(srlw, 0xffffffff80000000, 0x80000000, 32)
    RR(sraw, -1, 0x80000000, 31)
    RI(slli, 0x8000000000000000, 1, 63)
    RI(srli, 0x00000000ffffffff, -1, 32)
    RI(srai, -1, 0x8000000000000000, 63)
    RI(slliw, 0xffffffff80000000, 1, 31)
    RI(srliw, 1, 0x80000000, 31)
    RI(sraiw, -1, 0x80000000, 31)

    li gp, __LINE__
    lui a0, 0x80000
    check_reg a0, 0xffffffff80000000
    lui a0, 0x7ffff
    check_reg a0, 0x7ffff000
1:  auipc a0, 0xfffff
    la a1, 1b
    sub a0, a1, a0
    check_reg a0, 0x1000

    // x0 stays zero, whatever is written to it; a destination may be a source.
    li gp, __LINE__
    li a0, 5
    addi x0, a0, 1
    check_reg x0, 0
    lui x0, 0x12345
    check_reg x0, 0
    add a0, a0, a0
    check_reg a0, 10
    sub a0, a0, a0
    check_reg a0, 0
    PASS
