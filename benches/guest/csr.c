// Reads and writes of mscratch, which mean nothing else.
#include "bench.h"
u64 work(u64 rounds) {
    u64 sum = 0;
    csr_write(mscratch, 0);
    csr_write(mepc, 0);
    for (u64 r = 0; r < rounds; r++) {
        u64 old;
        asm volatile("csrrw %0, mscratch, %1" : "=r"(old) : "r"(r));
        sum += old;
        sum ^= csr_read(mepc);
    }
    return sum;
}
