// What stands between the two matrix products of a mixture's field (fields/posterior.py): from the states' inner
// products with all components, the responsibilities and the weights that go back into the same products.
//
// A row of `inner` holds the rank products of each component, then one for each mean. With P = inner - shift the logits
//
//     constant_k + linear inner_k - square_k / 2 + sum_r energy_kr P_kr^2
//
// are formed in float64 and stay in `responsibility` until the softmax has replaced them; then inner becomes
// r_k gain_kr P_kr and r_k pull. A warp takes a state, a thread the components from its number on in steps of 32.
#include "types.cuh"
#include "warp.cuh"

template <class T>
struct Responsibility {
    T* inner;                // (n, K rank + K)
    const T* square;         // (n, K), or null where all components have the same diagonal
    double* responsibility;  // (n, K)
    const double* constant;  // (K,)
    const double* energy;    // (K rank,)
    const T* shift;          // (K rank,)
    const T* gain;           // (K rank,)
    int64 n, K, rank;
    double linear, pull;
};

template <class T>
__global__ void __launch_bounds__(256) responsibility(Responsibility<T> a) {
    const int lane = threadIdx.x % 32;
    const int64 warp = (blockIdx.x * (int64)blockDim.x + threadIdx.x) / 32, warps = gridDim.x * (int64)blockDim.x / 32;
    const int64 columns = a.K * a.rank;
    for (int64 row = warp; row < a.n; row += warps) {
        T* const inner = a.inner + row * (columns + a.K);
        double* const r = a.responsibility + row * a.K;
        Softmax all;
        for (int64 k = lane; k < a.K; k += 32) {
            double logit = fma(a.linear, wide(inner[columns + k]), a.constant[k]);
            if (a.square) logit = fma(-0.5, wide(a.square[row * a.K + k]), logit);
            for (int64 j = k * a.rank; j < (k + 1) * a.rank; j++) {
                const double P = inner[j] - a.shift[j];
                logit = fma(a.energy[j] * P, P, logit);
            }
            all.add(logit);
            r[k] = logit;
        }
        all = over_warp(all);
        for (int64 k = lane; k < a.K; k += 32) {
            const double weight = all.weight(r[k]);
            r[k] = weight;
            inner[columns + k] = (T)(a.pull * weight);
            for (int64 j = k * a.rank; j < (k + 1) * a.rank; j++)
                inner[j] = (inner[j] - a.shift[j]) * a.gain[j] * (T)weight;
        }
    }
}
