// Both stages, pages of 2 MiB.
#define VS_LEVEL 1
#define G_LEVEL 1
#include "random.h"
