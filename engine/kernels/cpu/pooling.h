// Pooling in NHWC, or NDHWC.
#pragma once
#include "threads.h"

namespace pooling {

struct Shape {
    i64 n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw;
    i64 d, od, kd, sd, pd, dd;  // the depth of a volume; an image's is 1

    i64 taps() const { return kd * kh * kw; }
    void check() {  // what is divided by
        kh = most(1, kh), kw = most(1, kw), sd = most(1, sd), sh = most(1, sh), sw = most(1, sw), dd = most(1, dd), dh = most(1, dh), dw = most(1, dw);
    }
};

// A window's range of kernel positions that lie inside.
static inline void inside(i64 start, i64 size, i64 kernel, i64 dilation, i64* low, i64* high) {
    *low = start < 0 ? up(-start, dilation) : 0;
    *high = least(kernel, start < size ? (size - 1 - start) / dilation + 1 : 0);
}

// The windows of a row of the result: where they start, and which kernel positions are inside.
struct Row {
    i64 n, z0, y0, e0, e1, a0, a1;
    Row(const Shape& s, i64 l) : n(l / s.oh / s.od), z0(l / s.oh % s.od * s.sd - s.pd), y0(l % s.oh * s.sh - s.ph) {
        inside(z0, s.d, s.kd, s.dd, &e0, &e1);
        inside(y0, s.h, s.kh, s.dh, &a0, &a1);
    }
    i64 first(const Shape& s, i64 j) const {  // the first kernel position that is inside
        i64 b0, b1;
        inside(j * s.sw - s.pw, s.w, s.kw, s.dw, &b0, &b1);
        return (e0 * s.kh + a0) * s.kw + b0;
    }
    // Calls f(kernel position, where its channels are) for each that is inside in the window of column j.
    template <class F>
    void each(const Shape& s, i64 j, const F& f) const {
        i64 x0 = j * s.sw - s.pw, b0, b1;
        inside(x0, s.w, s.kw, s.dw, &b0, &b1);
        for (i64 q = e0; q < e1; q++)
            for (i64 a = a0; a < a1; a++)
                for (i64 b = b0; b < b1; b++)
                    f((q * s.kh + a) * s.kw + b, (((n * s.d + z0 + q * s.dd) * s.h + y0 + a * s.dh) * s.w + x0 + b * s.dw) * s.c);
    }
};

static double cost(const Shape& s) { return (double)s.n * s.od * s.oh * s.ow * s.c * s.taps() * 0.15; }

// Calls f(channel, how many, whether they fill a vector) for all channels.
template <class F>
static inline void channels(const Shape& s, const F& f) {
    i64 c = 0;
    for (; c + VL <= s.c; c += VL) f(c, VL, true);
    if (c < s.c) f(c, (int)(s.c - c), false);
}

// The greatest element, and at which kernel position it was (as int32).
static void greatest(const Shape& s, const float* x, float* y, int32_t* which) {
    threads::ranges(s.n * s.od * s.oh, 1, cost(s), [&](i64 low, i64 high) {
        for (i64 l = low; l < high; l++) {
            Row row(s, l);
            for (i64 j = 0; j < s.ow; j++)
                channels(s, [&](i64 c, int k, bool whole) {
                    i64 at = (l * s.ow + j) * s.c + c;
                    vf best = splat(-__builtin_inff());
                    vi place = vi{} + (int)row.first(s, j);
                    row.each(s, j, [&](i64 position, i64 from) {
                        vf v = whole ? load(x + from + c) : load_some(x + from + c, k);
                        vi better = (v > best) | (v != v);
                        best = pick(better, v, best);
                        place = (better & (int)position) | (~better & place);
                    });
                    if (whole) store(y + at, best), store((float*)which + at, (vf)place);
                    else store_some(y + at, best, k), store_some((float*)which + at, (vf)place, k);
                });
        }
    });
}

// Where in its plane, or volume, each of these elements was, planes first, from kernel positions with channels last.
static void places(const Shape& s, const int32_t* which, i64* index) {
    threads::each(s.n * s.c, (double)s.n * s.c * s.od * s.oh * s.ow * 4, [&](i64 plane) {
        const int32_t* from = which + plane / s.c * s.od * s.oh * s.ow * s.c + plane % s.c;
        i64* to = index + plane * s.od * s.oh * s.ow;
        int width = (int)s.kw, height = (int)s.kh;
        for (i64 e = 0; e < s.od; e++)
            for (i64 i = 0; i < s.oh; i++)
                for (i64 j = 0; j < s.ow; j++, from += s.c) {
                    i64 z = e * s.sd - s.pd + *from / width / height * s.dd, y = i * s.sh - s.ph + *from / width % height * s.dh;
                    *to++ = (z * s.h + y) * s.w + j * s.sw - s.pw + *from % width * s.dw;
                }
    });
}

// y (planes, size): the elements of g (planes, count) added up where the index says.
static void scatter(const float* g, const i64* index, i64 planes, i64 count, i64 size, float* y) {
    threads::each(planes, (double)planes * (count * 2 + size * 0.1), [&](i64 p) {
        memset(y + p * size, 0, size * 4);
        for (i64 i = p * count; i < (p + 1) * count; i++)
            if ((uint64_t)index[i] < (uint64_t)size) y[p * size + index[i]] += g[i];
    });
}

// Each gradient to where its element came from; 0 where `mask`, which lies as the pooled elements do, is not above 0.
static void greatest_gradient(const Shape& s, const float* g, const int32_t* which, const float* mask, float* gx) {
    threads::each(s.n, cost(s), [&](i64 n) {
        memset(gx + n * s.d * s.h * s.w * s.c, 0, s.d * s.h * s.w * s.c * 4);
        for (i64 l = n * s.od * s.oh; l < (n + 1) * s.od * s.oh; l++) {
            Row row(s, l);
            for (i64 j = 0; j < s.ow; j++)
                channels(s, [&](i64 c, int k, bool whole) {
                    i64 at = (l * s.ow + j) * s.c + c;
                    auto read = [&](const float* p) { return whole ? load(p) : load_some(p, k); };
                    vf d = read(g + at);
                    if (mask) d = pick(read(mask + at) > vf{}, d, vf{});
                    vi place = (vi)read((const float*)which + at);
                    row.each(s, j, [&](i64 position, i64 from) {
                        float* p = gx + from + c;
                        vf v = read(p) + pick(place == (int)position, d, vf{});
                        whole ? store(p, v) : store_some(p, v, k);
                    });
                });
        }
    });
}

// Sums over windows times scale (od, oh, ow).
static void average(const Shape& s, const float* x, const float* scale, float* y) {
    threads::ranges(s.n * s.od * s.oh, 1, cost(s), [&](i64 low, i64 high) {
        for (i64 l = low; l < high; l++) {
            Row row(s, l);
            for (i64 j = 0; j < s.ow; j++) {
                float *to = y + (l * s.ow + j) * s.c, times = scale[l % (s.od * s.oh) * s.ow + j];
                memset(to, 0, s.c * 4);
                row.each(s, j, [&](i64, i64 from) {
                    for (i64 c = 0; c < s.c; c++) to[c] += x[from + c];
                });
                for (i64 c = 0; c < s.c; c++) to[c] *= times;
            }
        }
    });
}

static void average_gradient(const Shape& s, const float* g, const float* scale, float* gx) {
    threads::each(s.n, cost(s), [&](i64 n) {
        memset(gx + n * s.d * s.h * s.w * s.c, 0, s.d * s.h * s.w * s.c * 4);
        for (i64 l = n * s.od * s.oh; l < (n + 1) * s.od * s.oh; l++) {
            Row row(s, l);
            for (i64 j = 0; j < s.ow; j++) {
                const float* d = g + (l * s.ow + j) * s.c;
                float times = scale[l % (s.od * s.oh) * s.ow + j];
                row.each(s, j, [&](i64, i64 to) {
                    for (i64 c = 0; c < s.c; c++) gx[to + c] += d[c] * times;
                });
            }
        }
    });
}

}  // namespace pooling
