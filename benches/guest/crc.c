// CRC-32 of 64 KiB, a table of 256 words.
#include "bench.h"
static u8 bytes[65536];
static u32 table[256];
void prepare(void) {
    u64 state = 7;
    for (u32 i = 0; i < sizeof bytes; i++) bytes[i] = next(&state);
    for (u32 i = 0; i < 256; i++) {
        u32 c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
        table[i] = c;
    }
}
u64 work(u64 rounds) {
    u64 hash = 0;
    for (u64 r = 0; r < rounds; r++) {
        u32 crc = ~(u32)r;
        for (u32 i = 0; i < sizeof bytes; i++) crc = table[(crc ^ bytes[i]) & 0xff] ^ crc >> 8;
        hash = mix(hash, ~crc);
    }
    return hash;
}
