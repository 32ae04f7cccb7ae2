// Sv39, pages of 2 MiB.
#define VS_LEVEL 1
#include "random.h"
