// AMOs to eight words.
#include "bench.h"
static u64 words[8];
u64 work(u64 rounds) {
    u64 sum = 0;
    for (u64 r = 0; r < rounds; r++) {
        sum += __atomic_fetch_add(&words[r % 8], r, __ATOMIC_SEQ_CST);
        sum ^= __atomic_fetch_or(&words[(r + 1) % 8], r << 3, __ATOMIC_SEQ_CST);
    }
    return sum;
}
