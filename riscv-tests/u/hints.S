// Law: PAUSE, NTL.*, PREFETCH.* and the HINT encodings change no register and never trap, whatever address they name.
#include "test.h"
BEGIN
    li gp, __LINE__
    li a0, 8
    li a1, 0x5555
    pause
    add x0, x0, x2
    add x0, x0, x3
    add x0, x0, x4
    add x0, x0, x5
    prefetch.i 0(a0)
    prefetch.r 2016(a0)
    prefetch.w -2048(a0)
    // HINTs of the base: results to x0.
    lui x0, 1
    auipc x0, 1
    addi x0, a0, 1
    andi x0, a0, 1
    slli x0, a0, 1
    addiw x0, a0, 1
    sub x0, a0, a1
    sllw x0, a0, a1
    // FENCE with an empty predecessor or successor set.
    .insn 0x0000000f
    .insn 0x0300000f
    .insn 0x0030000f
    CHECK(x0, 0)
    CHECK(a0, 8)
    CHECK(a1, 0x5555)
    RUNS(U, pause)
    RUNS(U, prefetch.w 0(a0))

    // FENCE with reserved fields is a FENCE.
    li gp, __LINE__
    .insn 0x0ff5050f
    .insn 0x8330000f
    .insn 0x70f0000f
    fence.tso
    fence
    CHECK(a0, 8)
    PASS
