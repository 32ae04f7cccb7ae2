// LR and SC: a counter that is compared and exchanged.
#include "bench.h"
static u64 counter;
u64 work(u64 rounds) {
    u64 sum = 0;
    for (u64 r = 0; r < rounds; r++) {
        u64 old = __atomic_load_n(&counter, __ATOMIC_RELAXED);
        __atomic_compare_exchange_n(&counter, &old, old + r, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        sum = sum * 3 + old;
    }
    return sum;
}
