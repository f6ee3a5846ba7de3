// What works on one row after the other: sums, softmax, cross-entropy, layer normalization.
#pragma once
#include "gemm.h"

namespace rows {

constexpr i64 GRAIN = 16;

template <class F>
static inline float total(i64 n, const F& f) {
    vf s[4] = {};
    i64 i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        for (int j = 0; j < 4; j++) s[j] += f(i + j * VL, VL);
    for (; i + VL <= n; i += VL) s[0] += f(i, VL);
    float t = ::sum((s[0] + s[1]) + (s[2] + s[3]));
    if (i < n) t += ::sum(f(i, (int)(n - i)));
    return t;
}
static inline vf some(const float* p, int n) { return n == VL ? load(p) : load_some(p, n); }
static inline void put(float* p, vf v, int n) {
    if (n == VL) store(p, v);
    else store_some(p, v, n);
}
template <class F>
static inline void every(i64 n, const F& f) {
    i64 i = 0;
    for (; i + VL <= n; i += VL) f(i, VL);
    if (i < n) f(i, (int)(n - i));
}
static inline float greatest(const float* x, i64 n) {
    if (n < 1) return -__builtin_inff();
    vf m = splat(x[0]);
    every(n, [&](i64 i, int w) { m = vmax(w == VL ? load(x + i) : first_lanes(load_some(x + i, w), w, m), m); });
    return fold(m, vmax);
}
// Zeros where there is nothing, so that sums over a part of a vector come out right.
static inline vf kept(vf v, int n) { return n == VL ? v : first_lanes(v, n); }

static void sum(const float* x, i64 count, i64 n, float scale, float* y) {
    threads::ranges(count, GRAIN, (double)count * n * 0.1, [&](i64 low, i64 high) {
        for (i64 r = low; r < high; r++) y[r] = scale * total(n, [&](i64 i, int w) { return some(x + r * n + i, w); });
    });
}

// The sums of a few rows' columns: 16 rows in single precision, then in double.
static void sum_columns(const float* x, i64 count, i64 n, float scale, float* y) {
    typedef double vd __attribute__((vector_size(VL * 8)));
    threads::ranges(n, 4 * VL, (double)count * n * 0.1, [&](i64 low, i64 high) {
        every(high - low, [&](i64 i, int w) {
            vd totals = {};
            for (i64 from = 0; from < count; from += 16) {
                vf s[4] = {};
                i64 r = from, end = least(count, from + 16);
                for (; r + 4 <= end; r += 4)
                    for (int j = 0; j < 4; j++) s[j] += some(x + (r + j) * n + low + i, w);
                for (; r < end; r++) s[0] += some(x + r * n + low + i, w);
                totals += __builtin_convertvector((s[0] + s[1]) + (s[2] + s[3]), vd);
            }
            put(y + low + i, __builtin_convertvector(totals * scale, vf), w);
        });
    });
}

static void softmax(const float* x, i64 count, i64 n, bool logarithm, float* y) {
    threads::ranges(count, GRAIN, (double)count * n, [&](i64 low, i64 high) {
        for (i64 r = low; r < high; r++) {
            const float* a = x + r * n;
            float* to = y + r * n;
            float m = greatest(a, n);
            float z = total(n, [&](i64 i, int w) {
                vf e = vexp(some(a + i, w) - m);
                if (!logarithm) put(to + i, e, w);
                return kept(e, w);
            });
            float l = m + vlog(splat(z))[0];
            every(n, [&](i64 i, int w) { put(to + i, logarithm ? some(a + i, w) - l : some(to + i, w) * (1.f / z), w); });
        }
    });
}

static void softmax_gradient(const float* g, const float* y, i64 count, i64 n, bool logarithm, float* gx) {
    threads::ranges(count, GRAIN, (double)count * n, [&](i64 low, i64 high) {
        for (i64 r = low; r < high; r++) {
            const float *a = g + r * n, *b = y + r * n;
            float s = total(n, [&](i64 i, int w) { return logarithm ? some(a + i, w) : some(a + i, w) * some(b + i, w); });
            every(n, [&](i64 i, int w) {
                vf v = some(b + i, w);
                put(gx + r * n + i, logarithm ? some(a + i, w) - vexp(v) * s : v * (some(a + i, w) - s), w);
            });
        }
    });
}

// What was looked up and is not there, if anything was: a class or a row, and its number. 0 else.
static thread_local i64 missing = 0;
enum What : i64 { CLASS, ROW };
static void miss(What what, i64 number) { missing = 1 + what + 2 * (number < 0 ? -2 * number - 1 : 2 * number); }

// A row's exponentials, less its greatest element m: their sum; their shares of it too, if they are wanted.
static inline float exponentials(const float* a, i64 n, float m, float* share) {
    vf last{};
    float s = total(n, [&](i64 i, int w) {
        vf e = last = kept(vexp(some(a + i, w) - m), w);
        if (share && n > VL) put(share + i, e, w);
        return e;
    });
    if (share) every(n, [&](i64 i, int w) { put(share + i, (n > VL ? some(share + i, w) : last) * (1.f / s), w); });
    return s;
}

// What is left of a row's shares as the gradient of its cross-entropy, `scale` times.
static inline void less_target(float* share, i64 n, i64 target, float scale) {
    every(n, [&](i64 i, int w) { put(share + i, (some(share + i, w) - pick(indices(Upto<VL>::All{}) == (int)(target - i), splat(1.f), vf{})) * scale, w); });
}

// Mean (or sum) of the cross-entropies of (count, n) logits with class numbers; how many counted goes to `counted`, and the
// softmax to `shares`, if it is wanted.
static void cross_entropy(const float* x, const i64* target, i64 count, i64 n, i64 ignored, bool mean, float* loss, float* counted, float* shares) {
    double sum = 0;
    i64 used = 0;
    float z[VL] = {}, lack[VL];  // of several rows, for one logarithm: the sum of exponentials, and what its logarithm is added to
    int held = 0;
    auto add = [&] {
        store(z, vlog(load(z)));
        for (int i = 0; i < held; i++) sum += (double)z[i] + lack[i];
        held = 0;
    };
    for (i64 r = 0; r < count; r++) {
        const float* a = x + r * n;
        float* share = shares ? shares + r * n : nullptr;
        if (target[r] == ignored) {
            if (share) memset(share, 0, n * 4);
            continue;
        }
        if (target[r] < 0 || target[r] >= n) return miss(CLASS, target[r]);
        float m = greatest(a, n);
        z[held] = exponentials(a, n, m, share);
        lack[held++] = m - a[target[r]];
        used++;
        if (held == VL) add();
    }
    add();
    *loss = (float)(mean ? sum / used : sum);
    *counted = (float)used;
}

// Its derivative by the logits x; without them, by the shares that are in gx already.
static void cross_entropy_gradient(const float* g, const float* x, const i64* target, i64 count, i64 n, i64 ignored, bool mean, const float* counted, float* gx) {
    float scale = mean ? *g / *counted : *g;
    for (i64 r = 0; r < count; r++) {
        float* to = gx + r * n;
        if (target[r] == ignored) {
            memset(to, 0, n * 4);
            continue;
        }
        if (x) exponentials(x + r * n, n, greatest(x + r * n, n), to);
        less_target(to, n, target[r], scale);
    }
}

// Zeros in a part of `whole` floats. So large, they go past the caches, which they would pass through twice: read before they are
// written, and written back.
static void clear(float* y, i64 n, i64 whole) {
#if __has_builtin(__builtin_nontemporal_store)
    typedef float aligned __attribute__((vector_size(VL * 4)));
    constexpr i64 LARGE = 1 << 21;
    i64 head = least(n, -((uintptr_t)y / 4) & (VL - 1)), i = head;
    if (whole >= LARGE && n >= VL) {
        memset(y, 0, head * 4);
        for (; i + VL <= n; i += VL) __builtin_nontemporal_store(aligned{}, (aligned*)(y + i));
        memset(y + i, 0, (n - i) * 4);
#if defined(__x86_64__)
        __builtin_ia32_sfence();
#endif
        return;
    }
#endif
    memset(y, 0, n * 4);
}

// Rows of a large table are far from each other, and nothing but the index tells which is next.
static void prefetch(const float* row, i64 width) {
    for (i64 i = 0; i < least(width, 256); i += 16) __builtin_prefetch(row + i);
}
constexpr i64 AHEAD = 8;  // rows

// Parts of a table that threads share.
static i64 part(i64 n) { return most(1, up(n, threads::pool.wanted == 1 ? 1 : 4 * threads::pool.wanted)); }

// y (count, width): the rows of w (n, width) that the index names.
static void look_up(const float* w, const i64* index, i64 count, i64 n, i64 width, float* y) {
    for (i64 r = 0; r < count; r++)
        if (index[r] < 0 || index[r] >= n) return miss(ROW, index[r]);
    threads::ranges(count, GRAIN, (double)count * width * 0.1, [&](i64 low, i64 high) {
        for (i64 r = low; r < high; r++) {
            if (r + AHEAD < high) prefetch(w + index[r + AHEAD] * width, width);
            memcpy(y + r * width, w + index[r] * width, width * 4);
        }
    });
}

// gw (n, width): each row's gradients, added up in the order of the index; none for row `padding`.
static void look_up_gradient(const float* g, const i64* index, i64 count, i64 n, i64 width, i64 padding, float* gw) {
    threads::ranges(n, part(n), (double)(count * 2 + n) * width * 0.2, [&](i64 low, i64 high) {
        clear(gw + low * width, (high - low) * width, n * width);
        for (i64 r = 0; r < count; r++) {
            i64 next = index[least(r + AHEAD, count - 1)];
            if (next >= low && next < high) prefetch(gw + next * width, width);
            if (index[r] < low || index[r] >= high || index[r] == padding) continue;
            float* to = gw + index[r] * width;
            every(width, [&](i64 i, int k) { put(to + i, some(to + i, k) + some(g + r * width + i, k), k); });
        }
    });
}

// Bags of rows: that of number b has the indices from start[b] to start[b + 1], but for those of row `padding`.
struct Bags {
    const i64 *index, *start;
    i64 bags, count, n, width, padding, mean;

    i64 begin(i64 b) const { return least(most(start[b], 0), count); }
    i64 end(i64 b) const { return b + 1 < bags ? begin(b + 1) : count; }
    float scale(i64 b) const {
        i64 used = 0;
        for (i64 i = begin(b); i < end(b); i++) used += index[i] != padding;
        return mean && used ? 1.f / used : 1.f;
    }
};

// y (bags, width): the sum or mean of each bag's rows.
static void sum_bags(const Bags& s, const float* w, float* y) {
    for (i64 i = 0; i < s.count; i++)
        if (s.index[i] < 0 || s.index[i] >= s.n) return miss(ROW, s.index[i]);
    threads::ranges(s.bags, GRAIN, (double)s.count * s.width * 0.2, [&](i64 low, i64 high) {
        for (i64 b = low; b < high; b++) {
            float *to = y + b * s.width, scale = s.scale(b);
            memset(to, 0, s.width * 4);
            for (i64 i = s.begin(b); i < s.end(b); i++) {
                prefetch(w + s.index[least(i + AHEAD, s.count - 1)] * s.width, s.width);
                if (s.index[i] != s.padding) every(s.width, [&](i64 c, int k) { put(to + c, some(to + c, k) + some(w + s.index[i] * s.width + c, k), k); });
            }
            if (scale != 1.f) every(s.width, [&](i64 c, int k) { put(to + c, some(to + c, k) * scale, k); });
        }
    });
}

// gw (n, width): each row's gradients, added up in the order of the index.
static void sum_bags_gradient(const Bags& s, const float* g, float* gw) {
    threads::ranges(s.n, part(s.n), (double)(s.count * 2 + s.n) * s.width * 0.2, [&](i64 low, i64 high) {
        clear(gw + low * s.width, (high - low) * s.width, s.n * s.width);
        for (i64 b = 0; b < s.bags; b++) {
            float scale = s.scale(b);
            for (i64 i = s.begin(b); i < s.end(b); i++) {
                i64 next = s.index[least(i + AHEAD, s.count - 1)];
                if (next >= low && next < high) prefetch(gw + next * s.width, s.width);
                if (s.index[i] < low || s.index[i] >= high || s.index[i] == s.padding) continue;
                float* to = gw + s.index[i] * s.width;
                every(s.width, [&](i64 c, int k) { put(to + c, some(to + c, k) + some(g + b * s.width + c, k) * scale, k); });
            }
        }
    });
}

static void normalize(const float* x, const float* w, const float* b, i64 count, i64 n, float eps, float* y, float* mean, float* variance) {
    threads::ranges(count, GRAIN, (double)count * n * 0.4, [&](i64 low, i64 high) {
        for (i64 r = low; r < high; r++) {
            const float* a = x + r * n;
            float m = total(n, [&](i64 i, int k) { return some(a + i, k); }) / n;
            float v = total(n, [&](i64 i, int k) {
                vf d = kept(some(a + i, k) - m, k);
                return d * d;
            }) / n;
            float scale = 1.f / __builtin_sqrtf(v + eps);
            every(n, [&](i64 i, int k) {
                vf d = (some(a + i, k) - m) * scale;
                if (w) d = d * some(w + i, k);
                if (b) d = d + some(b + i, k);
                put(y + r * n + i, d, k);
            });
            mean[r] = m, variance[r] = v;
        }
    });
}

// gx of layer normalization; gw and gb, if wanted, from sums over parts of the rows in `partial` (up(count, part), 2, n).
static void normalize_gradient(
    const float* g, const float* x, const float* w, const float* mean, const float* variance, i64 count, i64 n, float eps, float* gx, float* gw, float* gb, float* partial, i64 part
) {
    threads::ranges(count, part, (double)count * n * 0.6, [&](i64 low, i64 high) {
        float* sums = partial + low / part * 2 * n;
        memset(sums, 0, 2 * n * 4);
        for (i64 r = low; r < high; r++) {
            const float *a = x + r * n, *d = g + r * n;
            float m = mean[r], scale = 1.f / __builtin_sqrtf(variance[r] + eps);
            vf s1{}, s2{};
            every(n, [&](i64 i, int k) {
                vf hat = kept((some(a + i, k) - m) * scale, k), q = some(d + i, k), v = w ? q * some(w + i, k) : q;
                s1 += v, s2 += v * hat;
                put(sums + i, some(sums + i, k) + q * hat, k);
                put(sums + n + i, some(sums + n + i, k) + q, k);
            });
            float m1 = ::sum(s1) / n, m2 = ::sum(s2) / n;
            every(n, [&](i64 i, int k) {
                vf hat = (some(a + i, k) - m) * scale, q = some(d + i, k), v = w ? q * some(w + i, k) : q;
                put(gx + r * n + i, (v - m1 - hat * m2) * scale, k);
            });
        }
    });
    i64 parts = up(count, part);
    for (i64 i = 0; i < n; i++) {
        double a = 0, b = 0;
        for (i64 p = 0; p < parts; p++) a += partial[p * 2 * n + i], b += partial[p * 2 * n + n + i];
        if (gw) gw[i] = (float)a;
        if (gb) gb[i] = (float)b;
    }
}

}  // namespace rows
