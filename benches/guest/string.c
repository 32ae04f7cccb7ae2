// Text: copy, compare, search, case, hash of words.
#include "bench.h"
#define N 8192
static char text[N + 1], copy[N + 1];
void prepare(void) {
    u64 state = 5;
    for (int i = 0; i < N; i++) {
        u64 x = next(&state) >> 20;
        text[i] = x % 6 == 0 ? ' ' : 'a' + x / 6 % 26;
    }
}
static u64 length(const char *s) {
    const char *p = s;
    while (*p) p++;
    return p - s;
}
u64 work(u64 rounds) {
    u64 hash = 0;
    for (u64 r = 0; r < rounds; r++) {
        char *to = copy;
        for (const char *from = text; (*to++ = *from++);) {
        }
        u64 len = length(copy);
        for (u64 i = 0; i < len; i++)
            if (copy[i] >= 'a' && copy[i] <= 'z' && (i + r) % 3 == 0) copy[i] -= 32;
        u64 same = 0;
        for (u64 i = 0; i < len; i++) same += (copy[i] | 32) == (text[i] | 32);
        u32 word = 2166136261u;
        for (const char *p = copy; *p; p++) {
            if (*p == ' ') {
                hash = mix(hash, word);
                word = 2166136261u;
            } else {
                word = (word ^ *p) * 16777619u;
            }
        }
        const char *needle = text + (r * 97) % (N - 16);
        u64 found = 0;
        for (u64 i = 0; i + 5 < len; i++) {
            int k = 0;
            while (k < 5 && text[i + k] == needle[k]) k++;
            found += k == 5;
        }
        hash = mix(hash, same + found);
    }
    return hash;
}
