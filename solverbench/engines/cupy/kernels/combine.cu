// A linear combination of K states in one pass over memory.
#include "terms.cuh"

template <class T, int K>
__global__ void __launch_bounds__(256, 3) combine(Terms<T, K> a) {
    typedef typename Sum<T>::type A;
    const int W = 16 / sizeof(T);
    const A zero[W] = {};
    const int64 n = a.samples * a.d, whole = a.vector ? n / W : 0;
    const int64 thread = blockIdx.x * (int64)blockDim.x + threadIdx.x, threads = gridDim.x * (int64)blockDim.x;
#pragma unroll 1
    for (int64 i = thread; i < whole; i += threads)
        combine_pack<W>(a, i * W, zero, finish<A>(a, a.bound ? quotient(i * W, a.d) : 0));
#pragma unroll 1
    for (int64 i = whole * W + thread; i < n; i += threads)
        combine_one(a, i, (A)0, finish<A>(a, a.bound ? quotient(i, a.d) : 0));
}
