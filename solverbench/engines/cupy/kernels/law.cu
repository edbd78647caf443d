// Transition kernels of many plans on a linear field: the backward sweep of engines/law.py, a thread for each pair of a
// plan and a direction.
//
// A plan is a list of steps over slots, in each of which lives the derivative w of the output with respect to a value:
//
//     combination   w[to] += c w[from]              evaluation or jump   b += offset w[from],  w[to] += slope w[from]
//     draw          Q += w[from]^2
//
// and the first step that reaches a slot sets it. All threads of a warp that have the same plan do the same; slots are
// as many arrays over the threads of the launch, so that neighbours' loads join.
#include "types.cuh"

struct Laws {
    const int* step;        // (steps, 4): kind (0 combination, 1 affine, 2 draw; + 4 if `to` is set), from, to, map
    const double* c;        // (steps,)
    const int64* first;     // (plans + 1,), the first step of each plan
    const int64* input;     // (plans,), the slot of the derivative with respect to the start, or -1
    const double* slope;    // (maps, d)
    const double* offset;   // (maps, d)
    double* slots;          // (slots, threads of the launch)
    double* A;              // (plans, d)
    double* b;              // (plans, d)
    double* Q;              // (plans, d)
    int64 plans, d;
};

__global__ void __launch_bounds__(256) law(Laws a) {
    const int64 thread = blockIdx.x * (int64)blockDim.x + threadIdx.x, threads = gridDim.x * (int64)blockDim.x;
    double* const w = a.slots + thread;
    for (int64 item = thread; item < a.plans * a.d; item += threads) {
        const int64 plan = item / a.d, i = item - plan * a.d;
        double b = 0, Q = 0;
        w[0] = 1;  // of the output
        for (int64 s = a.first[plan]; s < a.first[plan + 1]; s++) {
            const int kind = a.step[4 * s], to = a.step[4 * s + 2];
            const double from = w[a.step[4 * s + 1] * threads];
            double factor = a.c[s];
            if ((kind & 3) == 2) {
                Q = fma(from, from, Q);
                continue;
            }
            if ((kind & 3) == 1) {
                const int64 at = a.step[4 * s + 3] * a.d + i;
                factor = a.slope[at];
                b = fma(from, a.offset[at], b);
            }
            w[to * threads] = kind & 4 ? factor * from : fma(factor, from, w[to * threads]);
        }
        a.A[item] = a.input[plan] < 0 ? 0 : w[a.input[plan] * threads];
        a.b[item] = b;
        a.Q[item] = Q;
    }
}
