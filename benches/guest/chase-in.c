// In the cache.
#define BYTES 0x40000ul
#include "chase.h"
