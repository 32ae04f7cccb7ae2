// VM exits: ECALL from VS to HS, and SRET into the guest.
#include "bench.h"
u64 s_trap(u64 cause, u64 a0) { return a0 + cause; }
static u64 guest(u64 rounds) {
    register u64 a0 asm("a0") = 0;
    register u64 a7 asm("a7") = 0;
    for (u64 r = 0; r < rounds; r++) asm volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
    return a0;
}
void prepare(void) {
    u64 *g = new_table(4);
    map_image(g, 0x7ff, RWX | U);
    csr_write(hgatp, atp(g, 1));
    csr_write(medeleg, 1 << 10);
}
u64 work(u64 rounds) { return run_in(IN_VS, guest, rounds); }
