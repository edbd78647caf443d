// Standard normal numbers as engines/noise.py defines them: Philox-4x64-10 words, two numbers each.
//
// Salmon et al. (2011), under the key (seed, stream). The words are numpy's, bit for bit; the numbers agree up to the
// rounding of the logarithm and of the cosine, whose angle is taken in half turns: shorter and more exact than in radians.
#pragma once
#include "types.cuh"

struct Words {
    uint64 w[4];
};

__device__ inline Words philox(Words c, uint64 k0, uint64 k1) {
    const uint64 M0 = 0xD2E7470EE14C6C93ull, M1 = 0xCA5A826395121157ull;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint64 low = M0 * c.w[0], low_carry = __umul64hi(M0, c.w[0]);
        const uint64 high = M1 * c.w[2], high_carry = __umul64hi(M1, c.w[2]);
        c.w[0] = high_carry ^ c.w[1] ^ k0;
        c.w[1] = high;
        c.w[2] = low_carry ^ c.w[3] ^ k1;
        c.w[3] = low;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    return c;
}

// Box and Muller (1958): a word is the uniform numbers of a radius and of an angle.
__device__ inline void normal_pair(uint64 word, float& cosine, float& sine) {
    const float u = ((float)(unsigned)(word >> 32) + 0.5f) * 0x1p-32f;
    const float r = sqrtf(fmaxf(-2.0f * logf(u), 0.0f));  // u may round to 1
    float s, c;
    sincospif((float)(unsigned)word * 0x1p-31f, &s, &c);
    cosine = r * c;
    sine = r * s;
}

__device__ inline void normal_pair(uint64 word, double& cosine, double& sine) {
    const double u = ((double)(unsigned)(word >> 32) + 0.5) * 0x1p-32;
    const double r = sqrt(-2.0 * log(u));
    double s, c;
    sincospi((double)(unsigned)word * 0x1p-31, &s, &c);
    cosine = r * c;
    sine = r * s;
}
