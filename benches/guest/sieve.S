# Counts the primes below 65536 by the sieve of Eratosthenes, 1000 times over, and hashes each count: loads, stores,
# branches and multiplications in M-mode without translation. Ends with exit code 0 when every count is 6542, else 1.
#
#   riscv64-linux-gnu-gcc -nostdlib -static -march=rv64gc -mabi=lp64d -T riscv-tests/link.ld \
#       benches/guest/sieve.S -o target/sieve.elf
        .equ    LIMIT, 65536
        .equ    ROUNDS, 1000
        .equ    PRIMES, 6542
        .equ    FINISHER, 0x100000

        .section .text.init, "ax"
        .globl  _start
_start: li      s0, ROUNDS
        la      s1, flags
        li      s2, LIMIT
        li      s4, 0                   # the hash
        li      s5, 0x9e3779b97f4a7c15
round:  mv      t0, s1                  # no number is crossed out
        add     t1, s1, s2
clear:  sd      zero, 0(t0)
        sd      zero, 8(t0)
        addi    t0, t0, 16
        bltu    t0, t1, clear

        li      t0, 2                   # each number that is not crossed out
        li      s3, 0                   # is a prime
number: add     t1, s1, t0
        lbu     t2, 0(t1)
        bnez    t2, next
        addi    s3, s3, 1
        mul     t3, t0, t0              # cross out its multiples from its square on
        bgeu    t3, s2, next
        li      t5, 1
cross:  add     t4, s1, t3
        sb      t5, 0(t4)
        add     t3, t3, t0
        bltu    t3, s2, cross
next:   addi    t0, t0, 1
        bltu    t0, s2, number

        xor     s4, s4, s3
        mul     s4, s4, s5
        li      t0, PRIMES
        bne     s3, t0, wrong
        addi    s0, s0, -1
        bnez    s0, round

        li      t1, 0x5555              # pass
        j       end
wrong:  li      t1, 0x13333             # fail, code 1
end:    li      t0, FINISHER
        sw      t1, 0(t0)
stay:   j       stay

        .bss
        .balign 64
flags:  .zero   LIMIT
