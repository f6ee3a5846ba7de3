// Recurrent cells over time; engine/ops/recurrent.py has their formulas. The sequences of a batch do not meet: a task takes some of
// them through all steps, with the weights packed once for all.
#pragma once
#include "rows.h"

namespace recurrent {

using rows::every;
using rows::put;
using rows::some;

enum Cell : i64 { TANH, RELU, GRU, LSTM };

// `n` sequences of `steps`, states of `h` floats; from the last step to the first if `reverse`.
struct Shape {
    i64 cell, steps, n, h, reverse;
    i64 gates() const { return cell == LSTM ? 4 : cell == GRU ? 3 : 1; }
    i64 width() const { return gates() * h; }
    i64 time(i64 step) const { return reverse ? steps - 1 - step : step; }
};

// What is not there for a cell stays away.
static inline const float* past(const float* p, i64 n) { return p ? p + n : p; }
static inline float* past(float* p, i64 n) { return p ? p + n : p; }
static inline vf sigmoid(vf x) { return 1.f / (1.f + vexp(-x)); }

// B (k, n) in panels of NR columns.
static const float* packed(const float* b, i64 k, i64 n, i64 row, i64 col) {
    float* to = gemm::scratch(1, up(n, gemm::NR) * gemm::NR * k);
    threads::each(up(n, gemm::NR), (double)n * k * 0.2, [&](i64 panel) {
        i64 column = panel * gemm::NR;
        gemm::pack(b, k, row, col, column, (int)least(gemm::NR, n - column), to + column * k);
    });
    return to;
}

// C (m, n) = A (m, k) B, all without gaps; `f` as for other products.
static void multiply(i64 m, i64 n, i64 k, const float* a, const float* panels, float* c, const gemm::Finish& f) {
    for (i64 column = 0; column < n; column += gemm::NR)
        for (i64 row = 0; row < m; row += gemm::MR) {
            int count = (int)least(gemm::MR, m - row);
            gemm::Segment s;
            float* to[gemm::MR];
            for (int i = 0; i < count; i++) s.a[i] = a + (row + i) * k, to[i] = c + (row + i) * n;
            s.b = panels + column * k, s.n = k;
            gemm::product(count, &s, 1, 1, gemm::NR, to, column, (int)least(gemm::NR, n - column), f);
        }
}

// Calls body(low, high) for some of the sequences at a time: more of them use what is packed once more, and the bits are the same.
template <class F>
static void tasks(const Shape& s, const F& body) {
    i64 wanted = threads::pool.wanted, some = wanted == 1 ? s.n : up(up(s.n, 2 * wanted), gemm::MR) * gemm::MR;
    threads::ranges(s.n, most(1, some), (double)s.steps * s.n * s.width() * s.h / (VL * 2.5), body);
}

// The next state of one sequence from x and the product with W_hh; what the derivative needs goes to `kept`.
template <i64 CELL>
static inline void step(i64 h, const float* x, const float* p, const float* before, const float* c, float* y, float* cells, float* kept) {
    every(h, [&](i64 i, int k) {
        auto at = [&](const float* from, i64 gate) { return some(from + gate * h + i, k); };
        auto sum = [&](i64 gate) { return at(x, gate) + at(p, gate); };
        auto keep = [&](i64 gate, vf v) { put(kept + gate * h + i, v, k); };
        if constexpr (CELL == TANH) put(y + i, vtanh(sum(0)), k);
        if constexpr (CELL == RELU) put(y + i, vmax(sum(0), vf{}), k);
        if constexpr (CELL == GRU) {
            vf r = sigmoid(sum(0)), z = sigmoid(sum(1)), part = at(p, 2);
            vf candidate = vtanh(at(x, 2) + r * part);
            put(y + i, candidate + z * (at(before, 0) - candidate), k);
            keep(0, r), keep(1, z), keep(2, candidate), keep(3, part);
        }
        if constexpr (CELL == LSTM) {
            vf in = sigmoid(sum(0)), forget = sigmoid(sum(1)), g = vtanh(sum(2)), out = sigmoid(sum(3));
            vf next = forget * at(c, 0) + in * g;
            put(cells + i, next, k), put(y + i, out * vtanh(next), k);
            keep(0, in), keep(1, forget), keep(2, g), keep(3, out);
        }
    });
}

// x, y: (steps, n, width and h); w: (width, h); first h and c: (n, h); kept: (steps, n, 4 h).
template <i64 CELL>
static void forward(const Shape& s, const float* x, const float* w, const float* b, const float* h, const float* c, float* y, float* cells, float* kept) {
    const float* panels = packed(w, s.h, s.width(), 1, s.h);
    gemm::Finish f;
    f.bias = b;
    tasks(s, [&](i64 low, i64 high) {
        float* product = gemm::scratch(2, (high - low) * s.width());
        for (i64 i = 0; i < s.steps; i++) {
            i64 t = s.time(i) * s.n, last = s.time(i - 1) * s.n;
            const float *before = i ? past(y, last * s.h) : h, *memory = i ? past(cells, last * s.h) : c;
            multiply(high - low, s.width(), s.h, before + low * s.h, panels, product, f);
            for (i64 r = low; r < high; r++)
                step<CELL>(s.h, x + (t + r) * s.width(), product + (r - low) * s.width(), before + r * s.h, past(memory, r * s.h), y + (t + r) * s.h,
                    past(cells, (t + r) * s.h), past(kept, (t + r) * 4 * s.h));
        }
    });
}

// The gradients of x (and, of a GRU, of the product) from those of y and c; what goes to the step before is left in dh and dc.
template <i64 CELL>
static inline void step_back(
    i64 h, const float* gy, const float* gc, const float* y, const float* before, const float* c, const float* cells, const float* kept, float* dx, float* dp,
    float* dh, float* dc
) {
    every(h, [&](i64 i, int k) {
        auto at = [&](const float* from, i64 gate) { return some(from + gate * h + i, k); };
        auto give = [&](float* to, i64 gate, vf v) { put(to + gate * h + i, v, k); };
        vf d = at(gy, 0) + at(dh, 0);
        if constexpr (CELL == TANH) give(dx, 0, d * (1.f - at(y, 0) * at(y, 0)));
        if constexpr (CELL == RELU) give(dx, 0, pick(at(y, 0) > vf{}, d, vf{}));
        if constexpr (CELL == GRU) {
            vf r = at(kept, 0), z = at(kept, 1), n = at(kept, 2);
            vf candidate = d * (1.f - z) * (1.f - n * n);
            vf dr = candidate * at(kept, 3) * r * (1.f - r), dz = d * (at(before, 0) - n) * z * (1.f - z);
            give(dx, 0, dr), give(dx, 1, dz), give(dx, 2, candidate);
            give(dp, 0, dr), give(dp, 1, dz), give(dp, 2, candidate * r);
            give(dh, 0, d * z);
        }
        if constexpr (CELL == LSTM) {
            vf in = at(kept, 0), forget = at(kept, 1), g = at(kept, 2), out = at(kept, 3), seen = vtanh(at(cells, 0));
            vf e = at(gc, 0) + d * out * (1.f - seen * seen) + at(dc, 0);
            give(dx, 0, e * g * in * (1.f - in)), give(dx, 1, e * at(c, 0) * forget * (1.f - forget));
            give(dx, 2, e * in * (1.f - g * g)), give(dx, 3, d * seen * out * (1.f - out));
            give(dc, 0, e * forget);
        }
    });
}

template <i64 CELL>
static void backward(
    const Shape& s, const float* gy, const float* gc, const float* w, const float* y, const float* h, const float* c, const float* cells, const float* kept, float* dx,
    float* dp, float* dh, float* dc
) {
    const float* panels = packed(w, s.width(), s.h, s.h, 1);
    gemm::Finish f;
    f.accumulate = CELL == GRU;
    tasks(s, [&](i64 low, i64 high) {
        i64 size = (high - low) * s.h * 4;
        memset(dh + low * s.h, 0, size);
        if (CELL == LSTM) memset(dc + low * s.h, 0, size);
        for (i64 i = s.steps - 1; i >= 0; i--) {
            i64 t = s.time(i) * s.n, last = s.time(i - 1) * s.n;
            const float *before = i ? past(y, last * s.h) : h, *memory = i ? past(cells, last * s.h) : c;
            for (i64 r = low; r < high; r++) {
                i64 at = (t + r) * s.h;
                step_back<CELL>(s.h, gy + at, past(gc, at), past(y, at), past(before, r * s.h), past(memory, r * s.h), past(cells, at), past(kept, 4 * at),
                    dx + (t + r) * s.width(), past(dp, (t + r) * s.width()), dh + r * s.h, past(dc, r * s.h));
            }
            multiply(high - low, s.h, s.width(), (CELL == GRU ? dp : dx) + (t + low) * s.width(), panels, dh + low * s.h, f);
        }
    });
}

}  // namespace recurrent
