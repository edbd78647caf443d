// What a kernel takes for granted on a GPU, for the host's C++ compiler: the threads of a launch run one after another.
#pragma once
#define HOST_SHIM
#include <cmath>
#include <cstdint>
#include <cstddef>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __launch_bounds__(...)

struct Index {
    unsigned x;
};
static thread_local Index threadIdx, blockIdx, blockDim, gridDim;

using std::exp;
using std::fma;

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}

inline float __uint_as_float(unsigned u) {
    float x;
    std::memcpy(&x, &u, 4);
    return x;
}

inline unsigned __float_as_uint(float x) {
    unsigned u;
    std::memcpy(&u, &x, 4);
    return u;
}

inline void sincospi(double x, double* s, double* c) {
    *s = std::sin(M_PI * x);
    *c = std::cos(M_PI * x);
}

inline void sincospif(float x, float* s, float* c) {
    *s = (float)std::sin(M_PI * (double)x);
    *c = (float)std::cos(M_PI * (double)x);
}

inline float from_f16(unsigned short bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float x;
    if (exponent == 31)
        x = fraction ? NAN : INFINITY;
    else if (exponent)
        x = std::ldexp(1024.0f + fraction, exponent - 25);
    else
        x = std::ldexp((float)fraction, -24);
    return std::copysign(x, bits & 0x8000 ? -1.0f : 1.0f);
}

inline unsigned short to_f16(float x) {  // to nearest, ties to even, by the rounding of float arithmetic itself
    const unsigned short sign = std::signbit(x) ? 0x8000 : 0;
    if (x != x) return 0x7fff;
    x = std::fabs(x);
    if (x >= 65520.0f) return sign | 0x7c00;
    int exponent;
    std::frexp(x, &exponent);
    const int step = x < 0x1p-14f ? -24 : exponent - 11;  // of the last place
    const unsigned whole = (unsigned)std::nearbyint(std::ldexp(x, -step));
    return sign | (unsigned short)(step == -24 ? whole : ((step + 24) << 10) + whole);
}

#ifndef FIBERS
inline void run_block(unsigned threads, const std::function<void()>& body) {
    for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) body();
}
#else
// Threads that exchange values: each runs on a stack of its own until it waits, then the next; from the last to the
// first on every second round, so that what only one order makes right is seen.
#include <ucontext.h>
#include <vector>

struct Fibers {
    ucontext_t scheduler;
    std::vector<ucontext_t> context;
    std::vector<std::vector<char>> stack;
    std::vector<bool> done;
    std::vector<double> slot;
    const std::function<void()>* body;
};
static Fibers fibers;

inline void wait_for_others() {
    swapcontext(&fibers.context[threadIdx.x], &fibers.scheduler);
}

inline double __shfl_xor_sync(unsigned, double value, int lanes) {
    const unsigned self = threadIdx.x;
    fibers.slot[self] = value;
    wait_for_others();
    const double other = fibers.slot[self ^ (unsigned)lanes];
    wait_for_others();
    return other;
}

inline void __syncwarp() {
    wait_for_others();
}

inline void start_fiber() {
    (*fibers.body)();
    fibers.done[threadIdx.x] = true;
}

inline void run_block(unsigned threads, const std::function<void()>& body) {
    fibers.body = &body;
    fibers.context.assign(threads, {});
    fibers.stack.assign(threads, std::vector<char>(1 << 16));
    fibers.done.assign(threads, false);
    fibers.slot.assign(threads, 0);
    for (unsigned i = 0; i < threads; i++) {
        getcontext(&fibers.context[i]);
        fibers.context[i].uc_stack.ss_sp = fibers.stack[i].data();
        fibers.context[i].uc_stack.ss_size = fibers.stack[i].size();
        fibers.context[i].uc_link = &fibers.scheduler;
        makecontext(&fibers.context[i], start_fiber, 0);
    }
    bool alive = true;
    for (int round = 0; alive; round++) {
        alive = false;
        for (unsigned k = 0; k < threads; k++) {
            const unsigned i = round % 2 ? threads - 1 - k : k;
            if (fibers.done[i]) continue;
            threadIdx.x = i;
            swapcontext(&fibers.scheduler, &fibers.context[i]);
            alive = true;
        }
    }
}
#endif

// Blocks first .. last - 1 of a launch, so that a test may look at the last blocks of a huge one.
template <class A>
size_t launch(void (*kernel)(A), const void* argument, unsigned grid, unsigned block, unsigned first, unsigned last) {
    A a;
    std::memcpy(&a, argument, sizeof a);
    gridDim.x = grid;
    blockDim.x = block;
    for (blockIdx.x = first; blockIdx.x < last; blockIdx.x++)
        run_block(block, [&] { kernel(a); });
    return sizeof a;
}
