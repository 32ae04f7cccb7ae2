# A program whose instructions can be counted by hand, for perf: five, and four a round for a million rounds; the call at the end
# does not retire. No C library, no loader.
        .globl  _start
_start: lui     t0, %hi(1000000)
        addi    t0, t0, %lo(1000000)
        auipc   t1, 0
again:  ld      t2, (t1)
        addi    t3, t3, 1
        addi    t0, t0, -1
        bnez    t0, again
        li      a0, 0
        li      a7, 93          # exit
        ecall
