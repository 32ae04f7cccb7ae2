// Sv39, pages of 4 KiB.
#define VS_LEVEL 0
#include "random.h"
