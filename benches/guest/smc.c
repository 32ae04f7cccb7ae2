// Code that is written, FENCE.I, and run.
#include "bench.h"
static u32 code[16] __attribute__((aligned(4096)));
u64 work(u64 rounds) {
    u64 sum = 0;
    code[1] = 0x00008067; // ret
    for (u64 r = 0; r < rounds; r++) {
        code[0] = (r & 0x7ff) << 20 | 10 << 15 | 10 << 7 | 0x13; // addi a0, a0, r % 2048
        asm volatile("fence.i" ::: "memory");
        sum = ((u64(*)(u64))code)(sum);
    }
    return sum;
}
