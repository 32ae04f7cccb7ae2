// Eight guests in turn: each touches 16 pages and leaves by ECALL, and HS enters the next one. No fences.
#include "bench.h"
#define SPACES 8
#define PAGES 16
#define GUEST 0x1000000000ul
static u64 roots[SPACES], current;
u64 s_trap(u64 cause, u64 a0) {
    current = (current + 1) % SPACES;
    csr_write(hgatp, roots[current]);
    return a0 + cause;
}
void prepare(void) {
    for (u64 s = 0; s < SPACES; s++) {
        u64 *g = new_table(4);
        map_image(g, 0x7ff, RWX | U);
        for (u64 i = 0; i < PAGES; i++) {
            u64 pa = ARENA + (s * PAGES + i) * PAGE;
            *(u64 *)pa = s * 100 + i;
            map_g(g, GUEST + i * PAGE, pa, 0, RWX | U);
        }
        roots[s] = atp(g, s + 1);
    }
    csr_write(hgatp, roots[0]);
    csr_write(medeleg, 1 << 10);
}
static u64 guest(u64 rounds) {
    u64 sum = 0;
    for (u64 r = 0; r < rounds; r++) {
        for (u64 i = 0; i < PAGES; i++) sum = sum * 3 + *(volatile u64 *)(GUEST + i * PAGE);
        register u64 a0 asm("a0") = 0;
        register u64 a7 asm("a7") = 0;
        asm volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
    }
    return sum;
}
u64 work(u64 rounds) { return run_in(IN_VS, guest, rounds); }
