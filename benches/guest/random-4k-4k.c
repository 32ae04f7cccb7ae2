// Both stages, pages of 4 KiB.
#define VS_LEVEL 0
#define G_LEVEL 0
#include "random.h"
