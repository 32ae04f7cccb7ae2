// No translation.
#include "random.h"
