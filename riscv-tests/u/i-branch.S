// Law: branches compare all 64 bits, signed or unsigned; JAL and JALR link the next pc, and JALR clears bit 0 of its target.
#include "test.h"

.macro branch op, a, b, taken
    li a0, \a
    li a1, \b
    li a2, 0
    \op a0, a1, 1f
    li a2, 1
1:  check_reg a2, 1 - \taken
    // Backwards too.
    li a2, 2
    j 2f
1:  li a2, 0
    j 3f
2:  \op a0, a1, 1b
    li a2, 1
3:  check_reg a2, 1 - \taken
.endm
#define BRANCH(...) li gp, __LINE__; branch __VA_ARGS__

BEGIN
    BRANCH(beq, 1, 1, 1)
    BRANCH(beq, 0, 0x100000000, 0)
    BRANCH(bne, 0, 0x100000000, 1)
    BRANCH(bne, -1, -1, 0)
    BRANCH(blt, -1, 0, 1)
    BRANCH(blt, 0, 0, 0)
    BRANCH(blt, 0x8000000000000000, 0x7fffffffffffffff, 1)
    BRANCH(bge, 0, -1, 1)
    BRANCH(bge, -5, -5, 1)
    BRANCH(bge, -1, 0, 0)
    BRANCH(bltu, 0, -1, 1)
    BRANCH(bltu, -1, 0, 0)
    BRANCH(bltu, 0x7fffffff, 0xffffffff80000000, 1)
    BRANCH(bgeu, -1, 0, 1)
    BRANCH(bgeu, 0, -1, 0)
    BRANCH(bgeu, 7, 7, 1)

    li gp, __LINE__
    la a1, 2f
    jal a0, 1f
2:  FAIL
1:  CHECK_SAME(a0, a1)
    // rd = x0 links nothing.
    jal x0, 1f
    FAIL
1:  CHECK(x0, 0)

    // Bit 0 of the sum is dropped; rd may be rs1, and then the old value is the target.
    la a0, 1f - 3
    jalr a1, 4(a0)
2:  FAIL
1:  la a2, 2b
    CHECK_SAME(a1, a2)
    la a0, 1f
    jalr a0, (a0)
2:  FAIL
1:  la a2, 2b
    CHECK_SAME(a0, a2)
    la a0, 1f + 2048
    jalr x0, -2048(a0)
    FAIL
1:
    // With C, a target that is only 2-byte aligned is legal: IALIGN = 16.
    la a0, 1f
    jalr a1, (a0)
    FAIL
    .option push
    .option rvc
    .balign 4
    c.nop
1:  nop
    c.nop
    .option pop
    CHECK_SAME(a0, a0)
    PASS
