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

// A softmax whose logits come one by one: the largest so far, and the sum of exp(logit - largest).
struct Softmax {
    double largest = -INFINITY, total = 0;

    __device__ void add(double logit) {
        const double before = largest;
        largest = larger(largest, logit);
        total = total * exp(before - largest) + exp(logit - largest);
    }
    __device__ double weight(double logit) const { return exp(logit - largest) / total; }
};

__device__ inline Softmax over_warp(Softmax own) {
    const double largest = warp_max(own.largest);
    own.total = warp_sum(own.total == 0 ? 0 : own.total * exp(own.largest - largest));  // 0: this thread had none
    own.largest = largest;
    return own;
}
