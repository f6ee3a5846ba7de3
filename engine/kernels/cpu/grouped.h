// Convolutions of groups narrower than a vector, as many channels after as before: with channels last, a vector holds whole groups.
// At each kernel position a group of K channels takes K products, each of the vector with its k-th channel in all lanes of the
// group; K is 1 where each channel is by itself. Weights are (K, kernel positions, channels), the channels those of the result.
#pragma once
#include "conv.h"
#include "pooling.h"

namespace grouped {

using conv::Shape;

constexpr i64 CHUNK = 64;  // channels of a weight gradient's task

// Calls f(k, y) for each k, with every lane of y the k-th of its group in x.
template <int K, int k, int... I>
static inline vf from_group(Numbers<I...>, vf x) { return __builtin_shufflevector(x, x, (I / K * K + k)...); }
template <int K, int k = 0, class F>
static inline void each_of_group(vf x, const F& f) {
    if constexpr (K == 1) f(0, x);
    else f(k, from_group<K, k>(Upto<VL>::All{}, x));
    if constexpr (k + 1 < K) each_of_group<K, k + 1>(x, f);
}

// A part of every place of a line: the weight of kernel position `position` times what stands at `offset` of `row`, `step` places
// further from place to place.
struct Tap {
    const float* row;
    i64 position, offset;
};

struct Line {
    i64 step, width, c, apart, n;  // places from one to the next, places in a row, channels, floats from one k's weights to the next
    Tap taps[conv::TAPS];
    Line(i64 step, i64 width, i64 c, i64 taps) : step(step), width(width), c(c), apart(taps * c), n(0) {}
    Line(const Line& l, i64 n) : step(l.step), width(l.width), c(l.c), apart(l.apart), n(n) {}  // with other taps
};

// The places of [0, count) at which `offset + step * place` is inside of a row.
static inline void within(i64 offset, i64 step, i64 width, i64 count, i64* low, i64* high) {
    *low = least(count, offset < 0 ? up(-offset, step) : 0);
    *high = most(*low, least(count, offset < width ? (width - 1 - offset) / step + 1 : 0));
}

// `some` channels from `at` on of P places from `t` on, all taps of which are inside; VL of them where WHOLE.
template <int K, int P, bool WHOLE>
static inline void places(const Line& l, const float* w, const float* shift, float* y, i64 apart, i64 t, i64 at, int some) {
    auto read = [&](const float* p) { return WHOLE ? load(p) : load_some(p, some); };
    vf sums[P], start = shift ? read(shift + at) : vf{};
    for (vf& s : sums) s = start;
    for (i64 i = 0; i < l.n; i++) {
        const float* p = l.taps[i].row + (l.taps[i].offset + t * l.step) * l.c + at;
        vf weight[K];
        for (int k = 0; k < K; k++) weight[k] = read(w + k * l.apart + l.taps[i].position * l.c + at);
        for (int q = 0; q < P; q++) each_of_group<K>(read(p + q * l.step * l.c), [&](int k, vf x) { sums[q] += x * weight[k]; });
    }
    for (int q = 0; q < P; q++) {
        float* to = y + (t + q) * apart + at;
        WHOLE ? store(to, sums[q]) : store_some(to, sums[q], some);
    }
}

template <int K, bool WHOLE>
static inline void inner(const Line& l, const float* w, const float* shift, float* y, i64 apart, i64 low, i64 high, i64 at, int some) {
    i64 t = low;
    for (; t + 8 <= high; t += 8) places<K, 8, WHOLE>(l, w, shift, y, apart, t, at, some);
    if (t + 4 <= high) places<K, 4, WHOLE>(l, w, shift, y, apart, t, at, some), t += 4;
    if (t + 2 <= high) places<K, 2, WHOLE>(l, w, shift, y, apart, t, at, some), t += 2;
    if (t < high) places<K, 1, WHOLE>(l, w, shift, y, apart, t, at, some);
}

// All channels of places [low, high), whose taps are all inside.
template <int K>
static void whole(const Line& l, const float* w, const float* shift, float* y, i64 apart, i64 low, i64 high) {
    i64 at = 0;
    for (; at + VL <= l.c; at += VL) inner<K, true>(l, w, shift, y, apart, low, high, at, VL);
    if (at < l.c) inner<K, false>(l, w, shift, y, apart, low, high, at, (int)(l.c - at));
}

// A line of places y, which are `apart` floats apart.
template <int K>
static void run(const Line& l, const float* w, const float* shift, float* y, i64 apart, i64 count) {
    i64 low = 0, high = count;
    for (i64 i = 0; i < l.n; i++) {
        i64 from, to;
        within(l.taps[i].offset, l.step, l.width, count, &from, &to);
        low = most(low, from), high = least(high, to);
    }
    low = least(low, count), high = most(low, high);
    Line some(l, 0);
    auto edge = [&](i64 t) {
        some.n = 0;
        for (i64 i = 0; i < l.n; i++) {
            i64 j = l.taps[i].offset + t * l.step;
            if (j >= 0 && j < l.width) some.taps[some.n++] = l.taps[i];
        }
        whole<K>(some, w, shift, y, apart, t, t + 1);
    };
    for (i64 t = 0; t < low; t++) edge(t);
    if (low < high) whole<K>(l, w, shift, y, apart, low, high);
    for (i64 t = high; t < count; t++) edge(t);
}

static double cost(const Shape& s) { return (double)s.n * s.od * s.oh * s.ow * s.c * s.from() * s.taps() * 0.1; }

// The taps of a row of the output, of those rows that are inside.
static void look(const Shape& s, const float* x, i64 row, Line& l) {
    i64 n = row / s.oh / s.od, z0 = row / s.oh % s.od * s.sd - s.pd, y0 = row % s.oh * s.sh - s.ph, e0, e1, a0, a1;
    pooling::inside(z0, s.d, s.kd, s.dd, &e0, &e1);
    pooling::inside(y0, s.h, s.kh, s.dh, &a0, &a1);
    l.n = 0;
    for (i64 e = e0; e < e1; e++)
        for (i64 a = a0; a < a1; a++)
            for (i64 b = 0; b < s.kw; b++)
                l.taps[l.n++] = {x + ((n * s.d + z0 + e * s.dd) * s.h + y0 + a * s.dh) * s.w * s.c, (e * s.kh + a) * s.kw + b, b * s.dw - s.pw};
}

template <int K>
static void forward(const Shape& s, const float* x, const float* w, const float* shift, float* y) {
    threads::ranges(s.n * s.od * s.oh, 1, cost(s), [&](i64 first, i64 last) {
        Line l(s.sw, s.w, s.c, s.taps());
        for (i64 row = first; row < last; row++) {
            look(s, x, row, l);
            run<K>(l, w, shift, y + row * s.ow * s.c, s.c, s.ow);
        }
    });
}

// The places of a row of gx that are `sw` apart have the same taps: they are a line of their own.
template <int K>
static void data(const Shape& s, const float* g, const float* w, float* gx) {
    threads::ranges(s.n * s.d * s.h, 1, cost(s), [&](i64 first, i64 last) {
        Line l(1, s.ow, s.c, s.taps());
        for (i64 row = first; row < last; row++)
            for (i64 r = 0; r < least(s.sw, s.w); r++) {
                l.n = 0;
                for (i64 t = 0; t < s.taps(); t++) {
                    i64 z = row / s.h % s.d + s.pd - t / s.kw / s.kh * s.dd, y = row % s.h + s.ph - t / s.kw % s.kh * s.dh, column = r + s.pw - t % s.kw * s.dw;
                    if (z < 0 || z % s.sd || z / s.sd >= s.od || y < 0 || y % s.sh || y / s.sh >= s.oh || column % s.sw) continue;
                    l.taps[l.n++] = {g + ((row / s.h / s.d * s.od + z / s.sd) * s.oh + y / s.sh) * s.ow * s.c, t, column / s.sw};
                }
                run<K>(l, w, nullptr, gx + (row * s.w + r) * s.c, s.sw * s.c, up(s.w - r, s.sw));
            }
    });
}

// What a row of the output's gradient adds to the gradients of N taps' weights.
template <int K, int N, bool WHOLE>
static inline void add(const Line& l, const Tap* tap, const float* g, i64 count, i64 low, i64 high, float* gw, i64 at, int some) {
    auto read = [&](const float* p) { return WHOLE ? load(p) : load_some(p, some); };
    vf sums[N][K] = {};
    auto place = [&](i64 j, bool inside) {
        vf d = read(g + j * l.c + at);
        for (int i = 0; i < N; i++) {
            i64 from = tap[i].offset + j * l.step;
            if (inside || (uint64_t)from < (uint64_t)l.width) each_of_group<K>(read(tap[i].row + from * l.c + at), [&](int k, vf x) { sums[i][k] += x * d; });
        }
    };
    for (i64 j = 0; j < low; j++) place(j, false);
    for (i64 j = low; j < high; j++) place(j, true);
    for (i64 j = high; j < count; j++) place(j, false);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < K; k++) {
            float* to = gw + k * l.apart + tap[i].position * l.c + at;
            WHOLE ? store(to, load(to) + sums[i][k]) : store_some(to, load_some(to, some) + sums[i][k], some);
        }
}

// As many taps together as there are registers for their sums.
template <int K, bool WHOLE, int N = K == 1 ? 9 : K == 2 ? 5 : K == 4 ? 3 : 1>
static void add_all(const Line& l, i64 first, const float* g, i64 count, i64 low, i64 high, float* gw, i64 at, int some) {
    for (; first + N <= l.n; first += N) add<K, N, WHOLE>(l, l.taps + first, g, count, low, high, gw, at, some);
    if constexpr (N > 1) add_all<K, WHOLE, N - 1>(l, first, g, count, low, high, gw, at, some);
}

// Into how many parts the rows of a weight's gradient are cut, where there are few channels to cut by; and the floats of all parts.
static i64 parts(const Shape& s) { return most(1, least(s.n * s.od * s.oh, 8 / most(1, up(s.c, CHUNK)))); }
static i64 workspace(const Shape& s) { return parts(s) * s.from() * s.taps() * s.c; }

template <int K>
static void weight(const Shape& s, const float* x, const float* g, float* gw, float* work) {
    i64 chunks = up(s.c, CHUNK), cuts = parts(s), rows = s.n * s.od * s.oh, size = K * s.taps() * s.c;
    i64 low = 0, high = s.ow;  // the places that have all taps
    for (i64 b = 0; b < s.kw; b++) {
        i64 from, to;
        within(b * s.dw - s.pw, s.sw, s.w, s.ow, &from, &to);
        low = most(low, from), high = least(high, to);
    }
    low = least(low, s.ow), high = most(low, high);
    threads::each(chunks * cuts, cost(s), [&](i64 task) {
        i64 part = task / chunks, left = task % chunks * CHUNK, right = least(s.c, left + CHUNK);
        float* sums = work + part * size;
        for (i64 i = 0; i < K * s.taps(); i++) memset(sums + i * s.c + left, 0, (right - left) * 4);
        Line l(s.sw, s.w, s.c, s.taps());
        for (i64 row = rows * part / cuts; row < rows * (part + 1) / cuts; row++) {
            look(s, x, row, l);
            const float* d = g + row * s.ow * s.c;
            i64 at = left;
            for (; at + VL <= right; at += VL) add_all<K, true>(l, 0, d, s.ow, low, high, sums, at, VL);
            if (at < right) add_all<K, false>(l, 0, d, s.ow, low, high, sums, at, (int)(right - at));
        }
    });
    threads::ranges(size, 1 << 12, (double)size * cuts, [&](i64 first, i64 last) {
        for (i64 i = first; i < last; i++) {
            float sum = work[i];
            for (i64 part = 1; part < cuts; part++) sum += work[part * size + i];
            gw[i] = sum;
        }
    });
}

// Calls f by the channels of a group.
template <class F>
static void by_width(i64 channels, const F& f) {
    if (channels == 1) f.template operator()<1>();
    if (channels == 2) f.template operator()<2>();
    if constexpr (VL > 4)
        if (channels == 4) f.template operator()<4>();
    if constexpr (VL > 8)
        if (channels == 8) f.template operator()<8>();
}

}  // namespace grouped
