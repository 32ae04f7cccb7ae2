// Fibonacci's numbers by deep calls.
#include "bench.h"
__attribute__((noinline)) static u64 fib(u64 n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
u64 work(u64 rounds) {
    u64 sum = 0;
    for (u64 r = 0; r < rounds; r++) sum += fib(20);
    return sum;
}
