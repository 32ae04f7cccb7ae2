// A sparse matrix of 2048 rows, 8 doubles each, times a vector.
#include "bench.h"
#define ROWS 2048
#define EACH 8
static double values[ROWS * EACH], x[ROWS], y[ROWS];
static u32 columns[ROWS * EACH];
void prepare(void) {
    u64 state = 13;
    for (int i = 0; i < ROWS * EACH; i++) columns[i] = (next(&state) >> 16) % ROWS, values[i] = (next(&state) >> 40) * 0x1p-26;
    for (int i = 0; i < ROWS; i++) x[i] = 1;
}
u64 work(u64 rounds) {
    for (u64 r = 0; r < rounds; r++) {
        for (int i = 0; i < ROWS; i++) {
            double sum = 0;
            for (int k = 0; k < EACH; k++) sum += values[i * EACH + k] * x[columns[i * EACH + k]];
            y[i] = sum;
        }
        for (int i = 0; i < ROWS; i++) x[i] = 0.5 + 0.5 * y[i];
    }
    u64 hash = 0;
    for (int i = 0; i < ROWS; i += 16) hash = mix(hash, bits_of(x[i]));
    return hash;
}
