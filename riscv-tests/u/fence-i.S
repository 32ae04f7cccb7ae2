// Law: after FENCE.I a hart executes what it stored before: patched once, patched in a loop, and on a page that already ran.
#include "test.h"

.macro write_insn at, insn
    la a0, \insn
    lw a1, (a0)
    la a0, \at
    sw a1, (a0)
    fence.i
.endm

BEGIN
    // The code runs once as it was, so that a hart that keeps decoded code keeps this.
    li gp, __LINE__
    call patched
    CHECK(a2, 1)
    write_insn patched, two
    call patched
    CHECK(a2, 2)
    write_insn patched, one
    call patched
    CHECK(a2, 1)

    // The patch right behind the FENCE.I, in the same run of instructions.
    li gp, __LINE__
    li s0, 4
1:  la a0, two
    andi a3, s0, 1
    beqz a3, 2f
    la a0, one
2:  lw a1, (a0)
    la a0, 3f
    sw a1, (a0)
    fence.i
3:  li a2, 9
    addi a4, a3, -2
    add a4, a4, a2
    beqz a4, 4f
    j fail
4:  addi s0, s0, -1
    bnez s0, 1b

    // A block copied elsewhere runs there; then half of an instruction is replaced.
    li gp, __LINE__
    la a0, one
    la a3, copy
    lw a1, (a0)
    sw a1, (a3)
    la a0, return
    lw a1, (a0)
    sw a1, 4(a3)
    fence.i
    jalr a3
    CHECK(a2, 1)
    li a1, 0x0050
    sh a1, 2(a3)
    fence.i
    jalr a3
    CHECK(a2, 5)
    // One byte.
    li a1, 0x07
    sb a1, 3(a3)
    fence.i
    jalr a3
    CHECK(a2, 0x75)

    // Code across the boundary of two pages, patched in its second half only.
    la a3, boundary - 2
    la a0, one
    lhu a1, (a0)
    sh a1, (a3)
    lhu a1, 2(a0)
    sh a1, 2(a3)
    la a0, return
    lw a1, (a0)
    sw a1, 4(a3)
    fence.i
    jalr a3
    CHECK(a2, 1)
    la a0, two
    lhu a1, 2(a0)
    la a4, boundary
    sh a1, (a4)
    fence.i
    jalr a3
    CHECK(a2, 2)

    // An AMO patches too.
    la a0, one
    lw a1, (a0)
    la a0, patched
    amoswap.w a4, a1, (a0)
    fence.i
    li a2, 0
    call patched
    CHECK(a2, 1)
    // Reserved fields of FENCE.I are ignored.
    .insn 0x0ff5150f
    PASS

    .balign 4
patched:
    li a2, 1
    ret
one:
    li a2, 1
two:
    li a2, 2
return:
    ret

    .data
    .balign 4096
    .dword 0
copy:
    .dword 0
    .balign 4096
boundary:
    .dword 0
