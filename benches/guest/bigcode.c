// 0.8 MiB of code, 800 functions of 1 KiB, called at random.
#include "bench.h"
#define FUNCTIONS 800
asm(".text\n.balign 1024\nmany:\n"
    ".set n, 0\n"
    ".rept 800\n"
    ".balign 1024\n"
    ".rept 24\n"
    "addi a0, a0, 7 + n\nxor a0, a0, a1\nslli a2, a0, 3\nsrli a3, a0, 7\nadd a0, a2, a3\n"
    "andi a4, a0, 1\nbeqz a4, 1f\naddi a0, a0, 3\n1:\nsub a0, a0, a1\n"
    ".endr\n"
    "ret\n"
    ".set n, n + 1\n"
    ".endr\n");
extern const char many[];
u64 work(u64 rounds) {
    u64 state = 11, sum = 0;
    for (u64 r = 0; r < rounds; r++) {
        u64 (*f)(u64, u64) = (u64(*)(u64, u64))(many + (next(&state) >> 16) % FUNCTIONS * 1024);
        sum = f(sum, r);
    }
    return sum;
}
