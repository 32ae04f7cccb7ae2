// Runs one of the programs that need nothing of the machine as a program of this computer: what it must find.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench.h"

__attribute__((weak)) void prepare(void) {}

int main(int count, char **words) {
    if (count != 2 || mmap((void *)ARENA, ARENA_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != (void *)ARENA)
        return 1;
    prepare();
    printf("0x%lx\n", work(strtoul(words[1], 0, 0)));
    return 0;
}
