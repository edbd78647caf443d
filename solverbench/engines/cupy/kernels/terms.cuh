// The argument of the kernels that combine states: out = bounded(sum_k c_k row_k + c_noise z).
//
// One structure passed by value, of eight-byte fields only, so that its layout is the same for every compiler;
// `combine.py` fills it. `out` may be one of the rows: an element is read before it is written, by the same thread.
#pragma once
#include "types.cuh"

template <class T, int K>
struct Terms {
    T* out;  // what differs from launch to launch comes first
    const T* row[K > 0 ? K : 1];
    int64 samples, d;      // states are (samples, d)
    int64 vector;          // whether all rows allow loads of 16 bytes, and none of these straddles a thresholded sample
    const double* bound;   // or null; of each sample its s: the result is clipped to [-s, s] and divided by s
    int64 first;           // number of the first sample
    uint64 seed, stream;
    double c[K > 0 ? K : 1];
    double low, high;      // the result is clipped to [low, high]
    double c_noise;
};

// A 64-bit division takes a hundred instructions; numbers here are >= 0.
__device__ inline int64 quotient(int64 a, int64 b) {
    return (a | b) >> 32 ? a / b : (int64)((unsigned)a / (unsigned)b);
}

// Comparisons that are false for nan, which therefore stays.
template <class A>
__device__ inline A clipped(A x, A low, A high) {
    return x < low ? low : x > high ? high : x;
}

// What a sum of one sample goes through before it is stored: low = -s, high = s, scale = 1/s for a thresholded sample.
template <class A>
struct Finish {
    A low, high, scale;
};

template <class A, class T, int K>
__device__ inline Finish<A> finish(const Terms<T, K>& a, int64 sample) {
    if (!a.bound) return {(A)a.low, (A)a.high, (A)1};
    const A s = (A)a.bound[sample];
    return {-s, s, 1 / s};
}

// Elements i .. i + N - 1 of the result; `z` is the noise of these elements, already scaled.
template <int N, class T, int K, class A>
__device__ inline void combine_pack(const Terms<T, K>& a, int64 i, const A (&z)[N], const Finish<A>& f) {
    Pack<T, N> in[K > 0 ? K : 1], out;
#pragma unroll
    for (int k = 0; k < K; k++) in[k] = *(const Pack<T, N>*)(a.row[k] + i);  // all loads before any is waited for
#pragma unroll
    for (int w = 0; w < N; w++) {
        A sum = z[w];
#pragma unroll
        for (int k = 0; k < K; k++) sum = fma((A)a.c[k], wide(in[k].v[w]), sum);
        narrow(clipped(sum, f.low, f.high) * f.scale, out.v[w]);
    }
    *(Pack<T, N>*)(a.out + i) = out;
}

template <class T, int K, class A>
__device__ inline void combine_one(const Terms<T, K>& a, int64 i, A z, const Finish<A>& f) {
    const A one[1] = {z};
    combine_pack<1>(a, i, one, f);
}
