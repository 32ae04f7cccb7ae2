// Products of 48x48 matrices of words.
#include "bench.h"
#define N 48
static u32 a[N][N], b[N][N], c[N][N];
u64 work(u64 rounds) {
    u64 state = 3, hash = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) a[i][j] = next(&state), b[i][j] = next(&state);
    for (u64 r = 0; r < rounds; r++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                u32 sum = 0;
                for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
                c[i][j] = sum;
            }
        hash = mix(hash, c[r % N][r / N % N]);
        a[r % N][0] ^= c[0][r % N];
    }
    return hash;
}
