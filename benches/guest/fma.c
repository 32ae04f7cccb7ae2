// Products of 32x32 matrices of doubles, with fused multiply-add.
#include "bench.h"
#define N 32
static double a[N][N], b[N][N], c[N][N];
u64 work(u64 rounds) {
    u64 state = 3, hash = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) a[i][j] = (next(&state) >> 40) * 0x1p-24, b[i][j] = (next(&state) >> 40) * 0x1p-24;
    for (u64 r = 0; r < rounds; r++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double sum = 0;
                for (int k = 0; k < N; k++) sum = __builtin_fma(a[i][k], b[k][j], sum);
                c[i][j] = sum;
            }
        double x = c[r % N][r / N % N];
        hash = mix(hash, bits_of(x));
        a[r % N][0] = x / 16;
    }
    return hash;
}
