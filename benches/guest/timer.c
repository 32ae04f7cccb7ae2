// Timer interrupts to S, each of which sets stimecmp so that the next one is pending at once.
#include "bench.h"
static volatile u64 left, seen;
u64 s_trap(u64 cause, u64 a0) {
    asm volatile("csrw 0x14d, %0" ::"r"(csr_read(time)));
    seen += cause & 0xff;
    if (!--left) csr_write(sie, 0);
    return a0;
}
static u64 supervisor(u64 rounds) {
    left = rounds;
    asm volatile("csrw 0x14d, zero");
    if (rounds) csr_set(sie, 1 << 5);
    csr_set(sstatus, 2);
    while (left) {
    }
    return seen;
}
u64 work(u64 rounds) {
    csr_write(mideleg, 1 << 5);
    // menvcfg.STCE
    asm volatile("csrs 0x30a, %0" ::"r"(1ul << 63));
    return run_in(IN_S, supervisor, rounds);
}
