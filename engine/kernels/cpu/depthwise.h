// Convolutions of each channel with a kernel of its own (groups = channels), in NHWC; weights are (kernel positions, channels).
#pragma once
#include "conv.h"
#include "pooling.h"

namespace depthwise {

using conv::Shape;

constexpr int MOST_TAPS = 128, AT_ONCE = 4;

// A part of every place of a line: `weight` times what stands at `offset` of `row`, `step` places further from place to place.
struct Tap {
    const float *row, *weight;
    i64 offset;
};

struct Line {
    i64 step, width, c;  // places from one to the next, places in a row, channels
    int n;
    Tap taps[MOST_TAPS];
    Line(i64 step, i64 width, i64 c) : step(step), width(width), c(c), n(0) {}
};

// The places of [0, count) at which `offset + step * place` is inside of a row.
static inline void within(i64 offset, i64 step, i64 width, i64 count, i64* low, i64* high) {
    *low = least(count, offset < 0 ? up(-offset, step) : 0);
    *high = most(*low, least(count, offset < width ? (width - 1 - offset) / step + 1 : 0));
}

// k channels from `at` on of y[0 .. count), which are `apart` floats apart; [low, high) are those that have all taps.
template <bool WHOLE>
static inline void channels(const Line& l, const float* shift, float* y, i64 apart, i64 count, i64 low, i64 high, i64 at, int k) {
    auto read = [&](const float* p) { return WHOLE ? load(p) : load_some(p, k); };
    auto write = [&](i64 t, vf v) { WHOLE ? store(y + t * apart + at, v) : store_some(y + t * apart + at, v, k); };
    vf start = shift ? read(shift + at) : vf{};
    auto edge = [&](i64 t) {
        vf sum = start;
        for (int i = 0; i < l.n; i++) {
            i64 j = l.taps[i].offset + t * l.step;
            if (j >= 0 && j < l.width) sum += read(l.taps[i].row + j * l.c + at) * read(l.taps[i].weight + at);
        }
        write(t, sum);
    };
    i64 t = 0, further = l.step * l.c;
    for (; t < low; t++) edge(t);
    for (; t + AT_ONCE <= high; t += AT_ONCE) {
        vf sums[AT_ONCE];
        for (vf& s : sums) s = start;
        for (int i = 0; i < l.n; i++) {
            const float* p = l.taps[i].row + (l.taps[i].offset + t * l.step) * l.c + at;
            vf w = read(l.taps[i].weight + at);
            for (int q = 0; q < AT_ONCE; q++) sums[q] += read(p + q * further) * w;
        }
        for (int q = 0; q < AT_ONCE; q++) write(t + q, sums[q]);
    }
    for (; t < count; t++) edge(t);
}

static void run(const Line& l, const float* shift, float* y, i64 apart, i64 count) {
    i64 low = 0, high = count;
    for (int i = 0; i < l.n; i++) {
        i64 from, to;
        within(l.taps[i].offset, l.step, l.width, count, &from, &to);
        low = most(low, from), high = least(high, to);
    }
    high = most(low, high);
    i64 at = 0;
    for (; at + VL <= l.c; at += VL) channels<true>(l, shift, y, apart, count, low, high, at, VL);
    if (at < l.c) channels<false>(l, shift, y, apart, count, low, high, at, (int)(l.c - at));
}

static double cost(const Shape& s) { return (double)s.n * s.oh * s.ow * s.c * s.kh * s.kw * 0.1; }

static void forward(const Shape& s, const float* x, const float* w, const float* shift, float* y) {
    threads::ranges(s.n * s.oh, 1, cost(s), [&](i64 first, i64 last) {
        Line l(s.sw, s.w, s.c);
        for (i64 row = first; row < last; row++) {
            i64 y0 = row % s.oh * s.sh - s.ph, a0, a1;
            pooling::inside(y0, s.h, s.kh, s.dh, &a0, &a1);
            l.n = 0;
            for (i64 a = a0; a < a1; a++)
                for (i64 b = 0; b < s.kw; b++)
                    l.taps[l.n++] = {x + (row / s.oh * s.h + y0 + a * s.dh) * s.w * s.c, w + (a * s.kw + b) * s.c, b * s.dw - s.pw};
            run(l, shift, y + row * s.ow * s.c, s.c, s.ow);
        }
    });
}

// The places of a row of gx that are `sw` apart have the same taps: they are a line of their own.
static void data(const Shape& s, const float* g, const float* w, float* gx) {
    threads::ranges(s.n * s.h, 1, cost(s), [&](i64 first, i64 last) {
        Line l(1, s.ow, s.c);
        for (i64 row = first; row < last; row++)
            for (i64 r = 0; r < least(s.sw, s.w); r++) {
                l.n = 0;
                for (i64 a = 0; a < s.kh; a++) {
                    i64 from = row % s.h + s.ph - a * s.dh;
                    if (from < 0 || from % s.sh || from / s.sh >= s.oh) continue;
                    for (i64 b = 0; b < s.kw; b++) {
                        i64 column = r + s.pw - b * s.dw;
                        if (column % s.sw) continue;
                        l.taps[l.n++] = {g + (row / s.h * s.oh + from / s.sh) * s.ow * s.c, w + (a * s.kw + b) * s.c, column / s.sw};
                    }
                }
                run(l, nullptr, gx + (row * s.w + r) * s.c, s.sw * s.c, up(s.w - r, s.sw));
            }
    });
}

// k channels from `at` on of one kernel position's gradient: rows are added up by themselves, then together.
template <bool WHOLE>
static inline void position(const Shape& s, const float* x, const float* g, i64 a, i64 b, i64 at, int k, float* gw) {
    auto read = [&](const float* p) { return WHOLE ? load(p) : load_some(p, k); };
    i64 j0, j1, offset = b * s.dw - s.pw;
    within(offset, s.sw, s.w, s.ow, &j0, &j1);
    vf total{};
    for (i64 row = 0; row < s.n * s.oh; row++) {
        i64 from = row % s.oh * s.sh - s.ph + a * s.dh;
        if (from < 0 || from >= s.h) continue;
        const float* p = x + ((row / s.oh * s.h + from) * s.w + offset) * s.c + at;
        const float* q = g + row * s.ow * s.c + at;
        vf sums[AT_ONCE] = {};
        i64 j = j0;
        for (; j + AT_ONCE <= j1; j += AT_ONCE)
            for (int i = 0; i < AT_ONCE; i++) sums[i] += read(p + (j + i) * s.sw * s.c) * read(q + (j + i) * s.c);
        for (; j < j1; j++) sums[0] += read(p + j * s.sw * s.c) * read(q + j * s.c);
        total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
    float* to = gw + (a * s.kw + b) * s.c + at;
    WHOLE ? store(to, total) : store_some(to, total, k);
}

static void weight(const Shape& s, const float* x, const float* g, float* gw) {
    i64 blocks = up(s.c, VL);
    threads::each(s.kh * blocks, cost(s), [&](i64 task) {
        i64 at = task % blocks * VL;
        for (i64 b = 0; b < s.kw; b++)
            at + VL <= s.c ? position<true>(s, x, g, task / blocks, b, at, VL, gw) : position<false>(s, x, g, task / blocks, b, at, (int)(s.c - at), gw);
    });
}

}  // namespace depthwise
