// Number types: how a state is stored, and in what its sums are formed.
//
// float32 is summed in float64, so that a combination is rounded once, when it is stored, in whatever order its terms
// come; float16 and bfloat16 are summed in float32. The narrow types are bit patterns of our own: no CUDA header is
// needed to compile, and bfloat16 is integer arithmetic, the same on every machine.
#pragma once

typedef long long int64;
typedef unsigned long long uint64;

struct f16 {
    unsigned short bits;
};
struct bf16 {
    unsigned short bits;
};

template <class T>
struct Sum {
    typedef float type;
};
template <>
struct Sum<float> {
    typedef double type;
};
template <>
struct Sum<double> {
    typedef double type;
};

template <class T>
struct Real {  // in which normal numbers are drawn
    typedef float type;
};
template <>
struct Real<double> {
    typedef double type;
};

// N numbers that travel together, in loads of at most 16 bytes.
template <class T, int N>
struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) Pack {
    T v[N];
};

#ifndef HOST_SHIM
#define INFINITY __int_as_float(0x7f800000)

__device__ inline float from_f16(unsigned short bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}

__device__ inline unsigned short to_f16(float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}
#endif

__device__ inline double wide(double x) { return x; }
__device__ inline double wide(float x) { return x; }
__device__ inline float wide(f16 x) { return from_f16(x.bits); }
__device__ inline float wide(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }

__device__ inline void narrow(double x, double& to) { to = x; }
__device__ inline void narrow(double x, float& to) { to = (float)x; }
__device__ inline void narrow(float x, f16& to) { to.bits = to_f16(x); }
__device__ inline void narrow(float x, bf16& to) {  // to nearest, ties to even; nan stays nan
    unsigned u = __float_as_uint(x);
    to.bits = x != x ? 0x7fffu : (unsigned short)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
