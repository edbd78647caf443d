// One tile of a softmax over more columns than fit: scores become weights relative to the largest logit so far.
//
// Milakov & Gimelshein (2018). With m the running maximum and l the running total of a row, a tile of logits s gives
//
//     m' = max(m, max s),   w = exp(s - m'),   r = exp(m - m'),   l' = r l + sum w,
//
// and a sum of weighted values is continued as r (sum) + w V. Logits are scale * score + bias, formed in float64: it is
// their differences that matter, and they are large at small noise. A warp takes a row.
#include "types.cuh"
#include "warp.cuh"

template <class T>
struct Tile {
    T* scores;           // (n, c), replaced by the weights
    const double* bias;  // (c,)
    double* maximum;     // (n,), -inf before the first tile
    double* total;       // (n,), 0 before the first tile
    T* rescale;          // (n,), r
    int64 n, c;
    double scale;
};

template <class T>
__global__ void __launch_bounds__(256) online_softmax(Tile<T> a) {
    const int lane = threadIdx.x % 32;
    const int64 warp = (blockIdx.x * (int64)blockDim.x + threadIdx.x) / 32, warps = gridDim.x * (int64)blockDim.x / 32;
    for (int64 row = warp; row < a.n; row += warps) {
        T* const s = a.scores + row * a.c;
        const double before = a.maximum[row];
        double m = before;
        for (int64 j = lane; j < a.c; j += 32) m = larger(m, fma(a.scale, (double)s[j], a.bias[j]));
        m = warp_max(m);
        const double reference = m == -INFINITY ? 0 : m;  // no column counts so far: all weights are 0
        double sum = 0;
        for (int64 j = lane; j < a.c; j += 32) {
            const T w = exp((T)(fma(a.scale, (double)s[j], a.bias[j]) - reference));
            s[j] = w;
            sum += w;
        }
        sum = warp_sum(sum);
        if (lane == 0) {
            const double r = exp(before - reference);
            a.maximum[row] = m;
            a.total[row] = fma(r, a.total[row], sum);
            a.rescale[row] = (T)r;
        }
    }
}
