// Five bodies that attract each other: division and square root.
#include "bench.h"
struct body {
    double x[3], v[3], m;
};
static struct body bodies[5] = {
    {{0, 0, 0}, {0, 0, 0}, 39.5},
    {{4.84, -1.16, -0.10}, {0.606, 2.81, -0.02}, 0.0377},
    {{8.34, 4.12, -0.40}, {-1.01, 1.82, 0.008}, 0.0113},
    {{12.9, -15.1, -0.22}, {1.08, 0.869, -0.011}, 0.0017},
    {{15.4, -25.9, 0.18}, {0.979, 0.595, -0.035}, 0.0020},
};
u64 work(u64 rounds) {
    for (u64 r = 0; r < rounds; r++) {
        for (int i = 0; i < 5; i++)
            for (int j = i + 1; j < 5; j++) {
                double d[3], square = 0;
                for (int k = 0; k < 3; k++) d[k] = bodies[i].x[k] - bodies[j].x[k], square += d[k] * d[k];
                double force = 0.01 / (square * __builtin_sqrt(square));
                for (int k = 0; k < 3; k++) {
                    bodies[i].v[k] -= d[k] * bodies[j].m * force;
                    bodies[j].v[k] += d[k] * bodies[i].m * force;
                }
            }
        for (int i = 0; i < 5; i++)
            for (int k = 0; k < 3; k++) bodies[i].x[k] += 0.01 * bodies[i].v[k];
    }
    u64 hash = 0;
    for (int i = 0; i < 5; i++) hash = mix(hash, bits_of(bodies[i].x[0]));
    return hash;
}
