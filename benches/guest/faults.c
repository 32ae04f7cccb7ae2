// Guest-page faults: HS maps one page for each and fences its address. A guest that has all of 64 pages has them taken away.
#include "bench.h"
#define PAGES 64
#define GUEST 0x1000000000ul
static u64 *g;
u64 s_trap(u64 cause, u64 a0) {
    if (cause == 10) {
        for (u64 i = 0; i < PAGES; i++) map_g(g, GUEST + i * PAGE, 0, 0, 0);
        hfence_gvma_all();
        return a0;
    }
    u64 gpa = csr_read(htval) << 2 & -PAGE;
    map_g(g, gpa, ARENA + (gpa - GUEST), 0, RWX | U);
    hfence_gvma(gpa);
    return a0;
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
void prepare(void) {
    for (u64 i = 0; i < PAGES; i++) *(u64 *)(ARENA + i * PAGE) = i * i + 1;
    g = new_table(4);
    map_image(g, 0x7ff, RWX | U);
    csr_write(hgatp, atp(g, 1));
    csr_write(medeleg, 1 << 10 | 1 << 21 | 1 << 23);
}
u64 work(u64 rounds) { return run_in(IN_VS, guest, rounds); }
