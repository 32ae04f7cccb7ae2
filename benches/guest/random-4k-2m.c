// Both stages, 4 KiB on 2 MiB.
#define VS_LEVEL 0
#define G_LEVEL 1
#include "random.h"
