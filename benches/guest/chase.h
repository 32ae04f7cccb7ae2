// A chain of pointers through lines of 64 bytes, in random order.
#include "bench.h"
#define LINES (BYTES / 64)
#define line(i) ((u64 *)(ARENA + (i) * 64))
void prepare(void) {
    // Sattolo's shuffle makes one cycle of all lines.
    for (u64 i = 0; i < LINES; i++) line(i)[0] = i;
    u64 state = 17;
    for (u64 i = LINES - 1; i > 0; i--) {
        u64 j = (next(&state) >> 8) % i, t = line(i)[0];
        line(i)[0] = line(j)[0];
        line(j)[0] = t;
    }
    for (u64 i = 0; i < LINES; i++) line(i)[0] = (u64)line(line(i)[0]);
}
u64 work(u64 rounds) {
    u64 *p = line(0);
    for (u64 r = 0; r < rounds; r++)
        for (int k = 0; k < 1000; k++) p = (u64 *)*p;
    return (u64)p;
}
