// What the programs share. A program has `prepare`, which is not measured, and `work`, which is, and returns a number that
// depends on all it did.
#ifndef BENCH_H
#define BENCH_H

typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;
typedef long i64;

void prepare(void);
u64 work(u64 rounds);
// A trap to S or HS, for programs that expect one: its cause, and a0 of the code it came from; returns what a0 is then.
u64 s_trap(u64 cause, u64 a0);

// Bits of mstatus that name a mode.
enum { IN_U = 0, IN_S = 1 << 11 };
#define IN_VS (1ul << 39 | IN_S)
// f(a) in that mode.
u64 run_in(u64 mode, u64 (*f)(u64), u64 a);

// A xorshift generator.
static inline u64 next(u64 *state) {
    u64 x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}
static inline u64 mix(u64 hash, u64 value) { return (hash ^ value) * 0x100000001b3ul; }

static inline u64 bits_of(double x) {
    u64 bits;
    __builtin_memcpy(&bits, &x, 8);
    return bits;
}

#define csr_read(csr) ({ u64 v_; asm volatile("csrr %0, " #csr : "=r"(v_)); v_; })
#define csr_write(csr, value) asm volatile("csrw " #csr ", %0" ::"r"(value) : "memory")
#define csr_set(csr, value) asm volatile("csrs " #csr ", %0" ::"r"(value) : "memory")
#define csr_clear(csr, value) asm volatile("csrc " #csr ", %0" ::"r"(value) : "memory")

// GCC 12 hands the assembler an ISA without H.
#define hfence_gvma_all() asm volatile(".insn r 0x73, 0, 0x31, x0, x0, x0" ::: "memory")
#define hfence_gvma(gpa) asm volatile(".insn r 0x73, 0, 0x31, x0, %0, x0" ::"r"((gpa) >> 2) : "memory")

// ---- Page tables. Level 0 is a leaf of 4 KiB. ----
enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128, RWX = V | R | W | X | A | D };
#define PAGE 0x1000ul
#define MODE_39 (8ul << 60)
#define RAM 0x80000000ul
// Where programs have memory: 16 MiB for tables, and 256 MiB.
#define TABLES 0x88000000ul
#define ARENA 0x90000000ul
#define ARENA_BYTES 0x10000000ul

// A root of so many pages.
u64 *new_table(u64 pages);
// Maps one page of a level in an Sv39 (or, with a root of four pages, Sv39x4) table.
void map(u64 *root, u64 root_mask, u64 va, u64 pa, int level, u64 bits);
#define map_s(root, ...) map(root, 0x1ff, __VA_ARGS__)
#define map_g(root, ...) map(root, 0x7ff, __VA_ARGS__)
// The program's own 4 MiB, at their own address.
void map_image(u64 *root, u64 root_mask, u64 bits);
#define atp(root, tag) (MODE_39 | (u64)(tag) << 44 | (u64)(root) >> 12)

#endif
