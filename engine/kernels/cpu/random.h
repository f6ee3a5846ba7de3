// Philox4x32-10 (Salmon et al., 2011): the numbers of engine/backend/philox.py, bit for bit.
#pragma once
#include "threads.h"

namespace philox {

typedef uint32_t vu __attribute__((vector_size(VL * 4), aligned(4)));
typedef uint64_t vw __attribute__((vector_size(VL * 8)));

static inline void product(vu a, uint32_t m, vu* high, vu* low) {
    vw p = __builtin_convertvector(a, vw) * (uint64_t)m;
    *low = a * m, *high = __builtin_convertvector(p >> 32, vu);
}

// Words [0, 4 VL) from counter `start`: word[i] holds word i of VL counters.
static inline void block(uint64_t seed, uint64_t stream, uint64_t start, vu* word) {
    vu c0, c1, c2 = vu{} + (uint32_t)stream, c3 = vu{} + (uint32_t)(stream >> 32);
    for (int i = 0; i < VL; i++) c0[i] = (uint32_t)(start + i), c1[i] = (uint32_t)((start + i) >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        vu h0, l0, h1, l1;
        product(c0, 0xD2511F53u, &h0, &l0);
        product(c2, 0xCD9E8D57u, &h1, &l1);
        c0 = h1 ^ c1 ^ k0, c1 = l1, c2 = h0 ^ c3 ^ k1, c3 = l0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    word[0] = c0, word[1] = c1, word[2] = c2, word[3] = c3;
}

// Numbers in [0, 1) of 24 bits, from counter `start` on.
static void uniform(i64 n, uint64_t seed, uint64_t stream, uint64_t start, float* y) {
    constexpr i64 STEP = 4 * VL;
    threads::ranges(n, 1 << 13, (double)n * 0.5, [&](i64 low, i64 high) {
        for (i64 i = low; i < high; i += STEP) {
            vu word[4];
            block(seed, stream, start + i / 4, word);
            i64 m = least(STEP, high - i);
            for (i64 k = 0; k < m; k++) y[i + k] = (float)(word[k % 4][k / 4] >> 8) * 0x1p-24f;
        }
    });
}

// y = x / (1 - p) where a uniform number is at least p, else 0.
static void dropout(const float* x, i64 n, float p, float scale, uint64_t seed, uint64_t stream, uint64_t start, float* y) {
    constexpr i64 STEP = 4 * VL;
    threads::ranges(n, 1 << 13, (double)n * 0.7, [&](i64 low, i64 high) {
        for (i64 i = low; i < high; i += STEP) {
            vu word[4];
            uint32_t flat[STEP];
            block(seed, stream, start + i / 4, word);
            for (int k = 0; k < VL; k++)
                for (int q = 0; q < 4; q++) flat[4 * k + q] = word[q][k];
            i64 m = least(STEP, high - i);
            for (i64 k = 0; k < m; k++) y[i + k] = (float)(flat[k] >> 8) * 0x1p-24f >= p ? x[i + k] * scale : x[i + k] * 0.f;
        }
    });
}

}  // namespace philox
