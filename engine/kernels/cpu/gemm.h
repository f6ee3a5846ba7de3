// Matrix products, and everything that can be written as one: a register tile of MR x NV vectors accumulates over
// segments. In a segment each of the MR rows of A is a pointer of its own, so the same kernel serves matrices in either
// order, the windows of a convolution (a segment a kernel position) and weight gradients (a segment a row of pixels).
// The order of additions in an element never depends on the tile it lies in: results do not depend on threads or blocks.
#pragma once
#include "threads.h"

namespace gemm {

constexpr int MR = VL == 8 ? 6 : 8, NV = 2, NR = NV * VL;

struct Segment {
    const float* a[MR];  // where each row begins
    const float* b;      // NR columns of B, or as many as there are
    i64 n;               // how many products
};

// What happens to a tile when it is written: + C, + bias, maximum with 0, 0 where `mask` is not above 0.
struct Finish {
    const float* bias = nullptr;
    const float* mask = nullptr;  // lies as C does
    const float* base = nullptr;  // where C begins, to find the place in `mask`
    bool accumulate = false, relu = false;
};

template <int M, int N>
static inline void tile(const Segment* s, i64 count, i64 ka, i64 kb, float* const* c, i64 column, int width, const Finish& f) {
    vf acc[M][N] = {};
    for (i64 t = 0; t < count; t++, s++) {
        const float* a[M];
        for (int m = 0; m < M; m++) a[m] = s->a[m];
        const float* b = s->b;
        i64 at = 0;
        for (i64 k = s->n; k; k--, b += kb, at += ka) {
            vf q[N];
            for (int j = 0; j < N; j++) q[j] = load(b + j * VL);
            for (int m = 0; m < M; m++)
                for (int j = 0; j < N; j++) acc[m][j] += a[m][at] * q[j];
        }
    }
    for (int m = 0; m < M; m++)
        for (int j = 0; j < N && j * VL < width; j++) {
            float* to = c[m] + column + j * VL;
            int n = width - j * VL < VL ? width - j * VL : VL;
            bool whole = n == VL;
            vf v = acc[m][j];
            if (f.bias) v += whole ? load(f.bias + column + j * VL) : load_some(f.bias + column + j * VL, n);
            if (f.accumulate) v += whole ? load(to) : load_some(to, n);
            if (f.relu) v = pick(v > vf{}, v, vf{});
            if (f.mask) {
                const float* at = f.mask + (to - f.base);
                v = pick((whole ? load(at) : load_some(at, n)) > vf{}, v, vf{});
            }
            if (whole) store(to, v);
            else store_some(to, v, n);
        }
}

template <int N>
static inline void rows(int m, const Segment* s, i64 count, i64 ka, i64 kb, float* const* c, i64 column, int width, const Finish& f) {
    switch (m) {
        case 1: return tile<1, N>(s, count, ka, kb, c, column, width, f);
        case 2: return tile<2, N>(s, count, ka, kb, c, column, width, f);
        case 3: return tile<3, N>(s, count, ka, kb, c, column, width, f);
        case 4: return tile<4, N>(s, count, ka, kb, c, column, width, f);
        case 5: return tile<5, N>(s, count, ka, kb, c, column, width, f);
        case 6: return tile<6, N>(s, count, ka, kb, c, column, width, f);
#if !defined(__AVX2__) || defined(__AVX512F__)
        case 7: return tile<7, N>(s, count, ka, kb, c, column, width, f);
        case 8: return tile<8, N>(s, count, ka, kb, c, column, width, f);
#endif
    }
}

// C[m rows at c[], column .. column + width) from `count` segments. ka: step of k in A; kb: step of k in B.
static inline void product(int m, const Segment* s, i64 count, i64 ka, i64 kb, float* const* c, i64 column, int width, const Finish& f) {
    if (width > VL) rows<2>(m, s, count, ka, kb, c, column, width, f);
    else rows<1>(m, s, count, ka, kb, c, column, width, f);
}

// Memory of the calling thread's own that lasts until it asks again; `slot` tells uses apart.
static float* scratch(int slot, i64 floats) {
    static thread_local float* held[4];
    static thread_local i64 size[4];
    if (size[slot] < floats) {
        __builtin_free(held[slot]);
        i64 bytes = (floats * 4 + 4095) / 4096 * 4096;
        held[slot] = (float*)__builtin_malloc(bytes + 64);
        size[slot] = floats;
    }
    return (float*)(((uintptr_t)held[slot] + 63) / 64 * 64);
}

// Columns [column, column + width) of B (k, n) as rows of NR, zeros beyond its width.
static void pack(const float* b, i64 k, i64 row, i64 col, i64 column, int width, float* to) {
    const float* from = b + column * col;
    if (col == 1) {
        for (i64 i = 0; i < k; i++, to += NR) {
            memcpy(to, from + i * row, sizeof(float) * width);
            for (int j = width; j < NR; j++) to[j] = 0;
        }
        return;
    }
    int j = 0;
    for (; j + 8 <= width && row == 1; j += 8) {  // transposed in registers, 8 by 8
        i64 i = 0;
        for (; i + 8 <= k; i += 8) transpose8(from + j * col + i, col, to + i * NR + j, NR);
        for (; i < k; i++)
            for (int q = j; q < j + 8; q++) to[i * NR + q] = from[q * col + i];
    }
    for (i64 i = 0; i < k; i++) {
        for (int q = j; q < width; q++) to[i * NR + q] = from[q * col + i * row];
        for (int q = width; q < NR; q++) to[i * NR + q] = 0;
    }
}

// C (m, n), rows ldc apart, = A (m, k) B (k, n), each with a step by row and a step by column.
static void matrix(i64 m, i64 n, i64 k, const float* a, i64 arow, i64 acol, const float* b, i64 brow, i64 bcol, float* c, i64 ldc, const Finish& finish) {
    Finish f = finish;
    f.base = c;
    i64 panels = up(n, NR), blocks = up(m, MR);
    // threads share the panels, and the rows too where there are few panels; the cut changes no bits
    i64 parts = least(blocks, up(2 * threads::pool.wanted, panels));
    if (threads::pool.wanted == 1) parts = 1;
    i64 per = up(blocks, parts);
    double cost = (double)m * n * k / (VL * 2.5);
    threads::each(panels * parts, cost, [&](i64 task) {
        i64 column = task / parts * NR, first = task % parts * per, last = least(blocks, first + per);
        if (first >= last) return;
        int width = (int)least(NR, n - column);
        const float* panel = b + column * bcol;
        i64 step = brow;
        int whole = width > VL ? NR : VL;
        // rows of B far apart cost a page each: copied once where they are used again
        if (bcol != 1 || width < whole || ((last - first) > 2 && brow > 256)) {
            float* packed = scratch(0, k * NR);
            pack(b, k, brow, bcol, column, width, packed);
            panel = packed, step = NR;
        }
        for (i64 block = first; block < last; block++) {
            int count = (int)least(MR, m - block * MR);
            Segment s;
            float* to[MR];
            for (int i = 0; i < count; i++) {
                s.a[i] = a + (block * MR + i) * arow;
                to[i] = c + (block * MR + i) * ldc;
            }
            s.b = panel, s.n = k;
            product(count, &s, 1, acol, step, to, column, width, f);
        }
    });
}

}  // namespace gemm
