// ECALL from U to S, and back.
#include "bench.h"
u64 s_trap(u64 cause, u64 a0) { return a0 + cause; }
static u64 user(u64 rounds) {
    register u64 a0 asm("a0") = 0;
    register u64 a7 asm("a7") = 0;
    for (u64 r = 0; r < rounds; r++) asm volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
    return a0;
}
u64 work(u64 rounds) {
    csr_write(medeleg, 1 << 8);
    return run_in(IN_U, user, rounds);
}
