// Out of the cache.
#define BYTES 0x4000000ul
#include "chase.h"
