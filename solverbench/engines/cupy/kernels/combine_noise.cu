// A linear combination of K states and of normal numbers that are drawn where they are added, and never stored.
//
// With K = 0 it draws noise. A thread takes one block of four words, which is eight normal numbers: those of positions
// 4 b .. 4 b + 3 and the same half a sample further, so that every word is computed once.
#include "philox.cuh"
#include "terms.cuh"

template <class T, int K>
__global__ void __launch_bounds__(256, 1) combine_noise(Terms<T, K> a) {
    typedef typename Sum<T>::type A;
    const int64 half = (a.d + 1) / 2, blocks = (half + 3) / 4, items = a.samples * blocks;
    const int64 thread = blockIdx.x * (int64)blockDim.x + threadIdx.x, threads = gridDim.x * (int64)blockDim.x;
#pragma unroll 1
    for (int64 item = thread; item < items; item += threads) {
        const int64 sample = quotient(item, blocks), b = item - sample * blocks;
        const Words counter = {{(uint64)a.first * (uint64)blocks + (uint64)item + 1, 0, 0, 0}};
        const Words words = philox(counter, a.seed, a.stream);
        A cosine[4], sine[4];
#pragma unroll
        for (int w = 0; w < 4; w++) {
            typename Real<T>::type c, s;
            normal_pair(words.w[w], c, s);
            cosine[w] = (A)a.c_noise * c;
            sine[w] = (A)a.c_noise * s;
        }
        const Finish<A> f = finish<A>(a, sample);
        const int64 i = sample * a.d + 4 * b;
        if (a.vector && a.d % 8 == 0) {
            combine_pack<4>(a, i, cosine, f);
            combine_pack<4>(a, i + half, sine, f);
        } else {
#pragma unroll
            for (int w = 0; w < 4; w++) {
                if (4 * b + w < half) combine_one(a, i + w, cosine[w], f);
                if (4 * b + w < a.d - half) combine_one(a, i + half + w, sine[w], f);
            }
        }
    }
}
