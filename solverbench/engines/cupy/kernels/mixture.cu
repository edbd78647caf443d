// The prediction of a mixture with diagonal covariances, and its responsibilities, in one launch.
//
// Component k has mean mu_k = alpha m_k and variances 1/precision_k at this time. A warp takes a state: the logits
//
//     constant_k - sum_j precision_kj (x_j - mu_kj)^2 / 2
//
// stay in its row of `responsibility` until the softmax has replaced them; then
//
//     out_j = sum_k r_k (lift_kj + slope_kj (x_j - mu_kj)).
//
// Differences are squared as they are, in float64: nothing cancels, at the price of reading the parameters for every
// state. In many dimensions two matrix products (fields/posterior.py) are faster.
#include "types.cuh"
#include "warp.cuh"

template <class T>
struct Mixture {
    const T* x;                // (n, d)
    T* out;                    // (n, d)
    double* responsibility;    // (n, K)
    const double* constant;    // (K,), log weight - log|S|/2
    const double* mu;          // (K, d)
    const double* precision;   // (K, d)
    const double* slope;       // (K, d)
    const double* lift;        // (K, d)
    int64 n, K, d;
};

template <class T>
__global__ void __launch_bounds__(256) mixture(Mixture<T> a) {
    const int lane = threadIdx.x % 32;
    const int64 warp = (blockIdx.x * (int64)blockDim.x + threadIdx.x) / 32, warps = gridDim.x * (int64)blockDim.x / 32;
    for (int64 row = warp; row < a.n; row += warps) {
        const T* const x = a.x + row * a.d;
        double* const r = a.responsibility + row * a.K;
        Softmax all;
        for (int64 k = 0; k < a.K; k++) {
            double square = 0;
            for (int64 j = lane; j < a.d; j += 32) {
                const double y = wide(x[j]) - a.mu[k * a.d + j];
                square = fma(a.precision[k * a.d + j] * y, y, square);
            }
            const double logit = fma(-0.5, warp_sum(square), a.constant[k]);
            all.add(logit);
            if (lane == k % 32) r[k] = logit;  // read by the same lane below
        }
        for (int64 k = lane; k < a.K; k += 32) r[k] = all.weight(r[k]);
        __syncwarp();
        for (int64 j = lane; j < a.d; j += 32) {
            double sum = 0;
            for (int64 k = 0; k < a.K; k++) {
                const double y = wide(x[j]) - a.mu[k * a.d + j];
                sum = fma(r[k], fma(a.slope[k * a.d + j], y, a.lift[k * a.d + j]), sum);
            }
            narrow(sum, a.out[row * a.d + j]);
        }
        __syncwarp();
    }
}
