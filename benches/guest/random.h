// Random accesses that read and write, over 256 MiB. VS_LEVEL and G_LEVEL are the levels of the leaves, where there are stages;
// physical pages are in another order than virtual ones.
#include "bench.h"
#define VIRTUAL 0x1000000000ul
#define GUEST 0x1000000000ul
static u64 base = ARENA;
__attribute__((unused)) static u64 page_of(u64 i, u64 level) {
    u64 pages = ARENA_BYTES >> (12 + 9 * level);
    return (i * 0x9e3779b1 + 12345) % pages;
}
#define size(level) (PAGE << 9 * (level))
void prepare(void) {
    for (u64 i = 0; i < ARENA_BYTES; i += PAGE) *(u64 *)(ARENA + i) = i;
#ifdef G_LEVEL
    u64 *g = new_table(4);
    map_image(g, 0x7ff, RWX | U);
    // The VS-stage tables.
    for (u64 at = TABLES; at < TABLES + 0x800000; at += 0x200000) map_g(g, at, at, 1, RWX | U);
    for (u64 i = 0; i < ARENA_BYTES / size(G_LEVEL); i++)
        map_g(g, GUEST + i * size(G_LEVEL), ARENA + page_of(i, G_LEVEL) * size(G_LEVEL), G_LEVEL, RWX | U);
    csr_write(hgatp, atp(g, 0));
#define TARGET GUEST
#define write_atp(value) csr_write(vsatp, value)
#else
#define TARGET ARENA
#define write_atp(value) csr_write(satp, value)
#endif
#ifdef VS_LEVEL
    u64 *vs = new_table(1);
    map_image(vs, 0x1ff, RWX);
    for (u64 i = 0; i < ARENA_BYTES / size(VS_LEVEL); i++)
        map_s(vs, VIRTUAL + i * size(VS_LEVEL), TARGET + page_of(i * 3 + 1, VS_LEVEL) * size(VS_LEVEL), VS_LEVEL, RWX);
    base = VIRTUAL;
    write_atp(atp(vs, 0));
    asm volatile("sfence.vma" ::: "memory");
#endif
}
static u64 accesses(u64 rounds) {
    u64 state = 19, sum = 0;
    for (u64 r = 0; r < rounds; r++) {
        u64 *p = (u64 *)(base + (next(&state) & (ARENA_BYTES - 8)));
        sum += *p;
        *p = sum ^ r;
#ifdef FENCE_EVERY
        if (r % FENCE_EVERY == 0) asm volatile("sfence.vma" ::: "memory");
#endif
    }
    return sum;
}
u64 work(u64 rounds) {
#ifdef G_LEVEL
    return run_in(IN_VS, accesses, rounds);
#else
    return run_in(IN_S, accesses, rounds);
#endif
}
