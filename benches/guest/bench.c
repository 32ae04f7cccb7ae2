// Runs a program and prints what it found, how many instructions that took, and how often it did what it does.
#include "bench.h"

extern u64 rounds;
_Noreturn void finish(u64 code);

static void put(char c) {
    volatile u8 *uart = (volatile u8 *)0x10000000;
    while (!(uart[5] & 0x20)) {
    }
    uart[0] = c;
}
static void text(const char *s) {
    while (*s) put(*s++);
}
static void number(u64 n, u64 base) {
    char digits[24];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n);
    while (count) put(digits[--count]);
}

_Noreturn void broken(u64 cause, u64 pc, u64 value) {
    text("trap ");
    number(cause, 16);
    text(" at ");
    number(pc, 16);
    text(" tval ");
    number(value, 16);
    text("\n");
    finish(1);
}

void start(void) {
    prepare();
    // What comes before this line is not measured, and nothing after the next one.
    text("bench prepared\n");
    u64 before = csr_read(minstret);
    u64 found = work(rounds);
    u64 after = csr_read(minstret);
    text("bench rounds=");
    number(rounds, 10);
    text(" instructions=");
    number(after - before, 10);
    text(" found=0x");
    number(found, 16);
    text("\n");
    finish(0);
}

__attribute__((weak)) void prepare(void) {}
__attribute__((weak)) u64 s_trap(u64 cause, u64 a0) {
    (void)a0;
    broken(cause, csr_read(sepc), csr_read(stval));
}

static u64 free_table = TABLES;
u64 *new_table(u64 pages) {
    free_table = (free_table + pages * PAGE - 1) & -(pages * PAGE);
    u64 *table = (u64 *)free_table;
    free_table += pages * PAGE;
    for (u64 i = 0; i < pages * 512; i++) table[i] = 0;
    return table;
}
void map(u64 *root, u64 root_mask, u64 va, u64 pa, int level, u64 bits) {
    u64 *table = root, mask = root_mask;
    for (int at = 2; at > level; at--) {
        u64 *pte = &table[va >> (12 + 9 * at) & mask];
        if (!*pte) *pte = (u64)new_table(1) >> 2 | V;
        table = (u64 *)(*pte >> 10 << 12);
        mask = 0x1ff;
    }
    table[va >> (12 + 9 * level) & mask] = pa >> 2 | bits;
}
void map_image(u64 *root, u64 root_mask, u64 bits) {
    for (u64 at = RAM; at < RAM + 0x400000; at += 0x200000) map(root, root_mask, at, at, 1, bits);
    // The console and nothing else of the devices, to say what went wrong.
    map(root, root_mask, 0x10000000, 0x10000000, 0, bits & ~X);
}

void *memset(void *to, int c, u64 n) {
    for (u8 *p = to; n; n--) *p++ = c;
    return to;
}
void *memcpy(void *to, const void *from, u64 n) {
    u8 *p = to;
    const u8 *q = from;
    for (; n; n--) *p++ = *q++;
    return to;
}
