// Pooling in NHWC.
#pragma once
#include "threads.h"

namespace pooling {

struct Shape {
    i64 n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw;

    void check() { kw = most(1, kw), sh = most(1, sh), sw = most(1, sw), dh = most(1, dh), dw = most(1, dw); }  // they are divided by
};

// A window's range of kernel positions that lie inside.
static inline void inside(i64 start, i64 size, i64 kernel, i64 dilation, i64* low, i64* high) {
    *low = start < 0 ? up(-start, dilation) : 0;
    *high = least(kernel, start < size ? (size - 1 - start) / dilation + 1 : 0);
}

// The greatest element, and at which kernel position it was (as int32).
static void greatest(const Shape& s, const float* x, float* y, int32_t* which) {
    threads::ranges(s.n * s.oh, 1, (double)s.n * s.oh * s.ow * s.c * s.kh * s.kw * 0.15, [&](i64 low, i64 high) {
        for (i64 l = low; l < high; l++) {
            i64 n = l / s.oh, y0 = l % s.oh * s.sh - s.ph, a0, a1, b0, b1;
            inside(y0, s.h, s.kh, s.dh, &a0, &a1);
            for (i64 j = 0; j < s.ow; j++) {
                i64 x0 = j * s.sw - s.pw, at = (l * s.ow + j) * s.c;
                inside(x0, s.w, s.kw, s.dw, &b0, &b1);
                auto column = [&](i64 c, int k) {
                    vf best = splat(-__builtin_inff());
                    vi place = vi{} + (int)(a0 * s.kw + b0);
                    for (i64 a = a0; a < a1; a++)
                        for (i64 b = b0; b < b1; b++) {
                            const float* p = x + ((n * s.h + y0 + a * s.dh) * s.w + x0 + b * s.dw) * s.c + c;
                            vf v = k == VL ? load(p) : load_some(p, k);
                            vi better = (v > best) | (v != v);
                            best = pick(better, v, best);
                            place = (better & (int)(a * s.kw + b)) | (~better & place);
                        }
                    if (k == VL) store(y + at + c, best), store((float*)which + at + c, (vf)place);
                    else store_some(y + at + c, best, k), store_some((float*)which + at + c, (vf)place, k);
                };
                i64 c = 0;
                for (; c + VL <= s.c; c += VL) column(c, VL);
                if (c < s.c) column(c, (int)(s.c - c));
            }
        }
    });
}

// Where in its plane each of these elements was, planes first, from kernel positions with channels last.
static void places(const Shape& s, const int32_t* which, i64* index) {
    threads::each(s.n * s.c, (double)s.n * s.c * s.oh * s.ow * 4, [&](i64 plane) {
        const int32_t* from = which + plane / s.c * s.oh * s.ow * s.c + plane % s.c;
        i64* to = index + plane * s.oh * s.ow;
        int width = (int)s.kw;
        for (i64 i = 0; i < s.oh; i++)
            for (i64 j = 0; j < s.ow; j++, from += s.c)
                *to++ = (i * s.sh - s.ph + *from / width * s.dh) * s.w + j * s.sw - s.pw + *from % width * s.dw;
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
    threads::each(s.n, (double)s.n * s.oh * s.ow * s.c * s.kh * s.kw * 0.2, [&](i64 n) {
        memset(gx + n * s.h * s.w * s.c, 0, s.h * s.w * s.c * 4);
        for (i64 i = 0; i < s.oh; i++)
            for (i64 j = 0; j < s.ow; j++) {
                i64 at = ((n * s.oh + i) * s.ow + j) * s.c, y0 = i * s.sh - s.ph, x0 = j * s.sw - s.pw, a0, a1, b0, b1;
                inside(y0, s.h, s.kh, s.dh, &a0, &a1);
                inside(x0, s.w, s.kw, s.dw, &b0, &b1);
                auto column = [&](i64 c, int k) {
                    vf d = k == VL ? load(g + at + c) : load_some(g + at + c, k);
                    if (mask) d = pick((k == VL ? load(mask + at + c) : load_some(mask + at + c, k)) > vf{}, d, vf{});
                    vi place = (vi)(k == VL ? load((const float*)which + at + c) : load_some((const float*)which + at + c, k));
                    for (i64 a = a0; a < a1; a++)
                        for (i64 b = b0; b < b1; b++) {
                            float* p = gx + ((n * s.h + y0 + a * s.dh) * s.w + x0 + b * s.dw) * s.c + c;
                            vf v = pick(place == (int)(a * s.kw + b), d, vf{});
                            if (k == VL) store(p, load(p) + v);
                            else store_some(p, load_some(p, k) + v, k);
                        }
                };
                i64 c = 0;
                for (; c + VL <= s.c; c += VL) column(c, VL);
                if (c < s.c) column(c, (int)(s.c - c));
            }
    });
}

// Sums over windows times scale (oh, ow).
static void average(const Shape& s, const float* x, const float* scale, float* y) {
    threads::ranges(s.n * s.oh, 1, (double)s.n * s.oh * s.ow * s.c * s.kh * s.kw * 0.1, [&](i64 low, i64 high) {
        for (i64 l = low; l < high; l++) {
            i64 n = l / s.oh, i = l % s.oh, y0 = i * s.sh - s.ph, a0, a1, b0, b1;
            inside(y0, s.h, s.kh, 1, &a0, &a1);
            for (i64 j = 0; j < s.ow; j++) {
                float* to = y + (l * s.ow + j) * s.c;
                inside(j * s.sw - s.pw, s.w, s.kw, 1, &b0, &b1);
                memset(to, 0, s.c * 4);
                for (i64 a = a0; a < a1; a++)
                    for (i64 b = b0; b < b1; b++) {
                        const float* p = x + ((n * s.h + y0 + a) * s.w + j * s.sw - s.pw + b) * s.c;
                        for (i64 c = 0; c < s.c; c++) to[c] += p[c];
                    }
                for (i64 c = 0; c < s.c; c++) to[c] *= scale[i * s.ow + j];
            }
        }
    });
}

static void average_gradient(const Shape& s, const float* g, const float* scale, float* gx) {
    threads::each(s.n, (double)s.n * s.oh * s.ow * s.c * s.kh * s.kw * 0.1, [&](i64 n) {
        memset(gx + n * s.h * s.w * s.c, 0, s.h * s.w * s.c * 4);
        for (i64 i = 0; i < s.oh; i++)
            for (i64 j = 0; j < s.ow; j++) {
                const float* d = g + ((n * s.oh + i) * s.ow + j) * s.c;
                i64 y0 = i * s.sh - s.ph, x0 = j * s.sw - s.pw, a0, a1, b0, b1;
                inside(y0, s.h, s.kh, 1, &a0, &a1);
                inside(x0, s.w, s.kw, 1, &b0, &b1);
                for (i64 a = a0; a < a1; a++)
                    for (i64 b = b0; b < b1; b++) {
                        float* p = gx + ((n * s.h + y0 + a) * s.w + x0 + b) * s.c;
                        for (i64 c = 0; c < s.c; c++) p[c] += d[c] * scale[i * s.ow + j];
                    }
            }
    });
}

}  // namespace pooling
