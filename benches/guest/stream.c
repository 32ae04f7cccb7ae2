// a[i] = b[i] + 3 c[i] over three arrays 8 MiB apart, 1 MiB of each: their pages have equal low numbers.
#include "bench.h"
#define WORDS (1 << 17)
#define a ((u64 *)ARENA)
#define b ((u64 *)(ARENA + 0x800000))
#define c ((u64 *)(ARENA + 0x1000000))
void prepare(void) {
    for (u64 i = 0; i < WORDS; i++) b[i] = i, c[i] = i * i, a[i] = 0;
}
u64 work(u64 rounds) {
    u64 hash = 0;
    for (u64 r = 0; r < rounds; r++) {
        for (u64 i = 0; i < WORDS; i++) a[i] = b[i] + 3 * c[i];
        hash = mix(hash, a[r % WORDS]);
        c[r % WORDS]++;
    }
    return hash;
}
