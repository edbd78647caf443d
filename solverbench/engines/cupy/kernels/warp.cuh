// Values that the 32 threads of a warp agree on.
#pragma once

__device__ inline double larger(double a, double b) {  // nan is kept
    return b > a || b != b ? b : a;
}

__device__ inline double warp_max(double x) {
    for (int step = 16; step > 0; step /= 2) x = larger(x, __shfl_xor_sync(0xffffffffu, x, step));
    return x;
}

__device__ inline double warp_sum(double x) {
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}
