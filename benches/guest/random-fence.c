// Sv39, pages of 4 KiB, and SFENCE.VMA every 2^20 accesses.
#define VS_LEVEL 0
#define FENCE_EVERY (1ul << 20)
#include "random.h"
