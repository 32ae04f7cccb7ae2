// Eight address spaces in turn, 16 pages touched in each, no fences.
#include "bench.h"
#define SPACES 8
#define PAGES 16
#define VIRTUAL 0x1000000000ul
static u64 roots[SPACES];
void prepare(void) {
    for (u64 s = 0; s < SPACES; s++) {
        u64 *root = new_table(1);
        map_image(root, 0x1ff, RWX | G);
        for (u64 i = 0; i < PAGES; i++) {
            u64 pa = ARENA + (s * PAGES + i) * PAGE;
            *(u64 *)pa = s * 100 + i;
            map_s(root, VIRTUAL + i * PAGE, pa, 0, RWX);
        }
        roots[s] = atp(root, s + 1);
    }
}
static u64 switches(u64 rounds) {
    u64 sum = 0;
    for (u64 r = 0; r < rounds; r++) {
        csr_write(satp, roots[r % SPACES]);
        for (u64 i = 0; i < PAGES; i++) sum = sum * 3 + *(volatile u64 *)(VIRTUAL + i * PAGE);
    }
    return sum;
}
u64 work(u64 rounds) { return run_in(IN_S, switches, rounds); }
