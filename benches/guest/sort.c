// Quicksort of 4096 words, and insertion sort of short runs.
#include "bench.h"
#define N 4096
static u32 words[N];
static void sort(u32 *a, i64 low, i64 high) {
    while (high - low > 8) {
        u32 pivot = a[(low + high) / 2];
        i64 i = low, j = high;
        while (i <= j) {
            while (a[i] < pivot) i++;
            while (a[j] > pivot) j--;
            if (i <= j) {
                u32 t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        if (j - low < high - i) {
            sort(a, low, j);
            low = i;
        } else {
            sort(a, i, high);
            high = j;
        }
    }
    for (i64 i = low + 1; i <= high; i++) {
        u32 t = a[i];
        i64 j = i - 1;
        for (; j >= low && a[j] > t; j--) a[j + 1] = a[j];
        a[j + 1] = t;
    }
}
u64 work(u64 rounds) {
    u64 state = 1, hash = 0;
    for (u64 r = 0; r < rounds; r++) {
        for (int i = 0; i < N; i++) words[i] = next(&state);
        sort(words, 0, N - 1);
        for (int i = 0; i < N; i += 64) hash = mix(hash, words[i]);
    }
    return hash;
}
