// 3 x 3 convolution with stride 1 by Winograd's F(4 x 4, 3 x 3) (Lavin and Gray, 2016): 36 products of (tiles, channels) with
// (channels, output channels) in place of 144. Channels are multiples of VL. NHWC, weights (O, C, 3, 3).
#pragma once
#include "conv.h"

namespace winograd {

using gemm::NR;

// The points of interpolation: 0, p1, -p1, p2, -p2 and infinity. With 1 and 2 most coefficients are whole numbers, but the greatest errors are four times as large.
constexpr float p1 = 0.625f, p2 = 1.5f, s1 = p1 * p1, s2 = p2 * p2, n1 = 1 / (2 * s1 * (s1 - s2)), n2 = 1 / (2 * s2 * (s2 - s1));

static inline void input(const vf* d, vf* o, int step) {  // B^T d
    vf p = d[4] - s2 * d[2], q = p1 * (d[3] - s2 * d[1]), r = d[4] - s1 * d[2], s = p2 * (d[3] - s1 * d[1]);
    o[0] = s1 * s2 * d[0] - (s1 + s2) * d[2] + d[4];
    o[step] = p + q, o[2 * step] = p - q, o[3 * step] = r + s, o[4 * step] = r - s;
    o[5 * step] = s1 * s2 * d[1] - (s1 + s2) * d[3] + d[5];
}
static inline void output(const vf* m, vf* o, int step) {  // A^T m
    vf s = m[1] + m[2], q = m[1] - m[2], u = m[3] + m[4], w = m[3] - m[4];
    o[0] = m[0] + s + u, o[step] = p1 * q + p2 * w, o[2 * step] = s1 * s + s2 * u, o[3 * step] = s1 * p1 * q + s2 * p2 * w + m[5];
}
static inline void output_back(const vf* d, vf* o, int step) {  // A d
    vf s = d[0] + s1 * d[2], q = p1 * d[1] + s1 * p1 * d[3], u = d[0] + s2 * d[2], w = p2 * d[1] + s2 * p2 * d[3];
    o[0] = d[0], o[step] = s + q, o[2 * step] = s - q, o[3 * step] = u + w, o[4 * step] = u - w, o[5 * step] = d[3];
}
static inline void filter(const vf* g, vf* o, int step) {  // G g
    vf s = n1 * g[0] + n1 * s1 * g[2], q = n1 * p1 * g[1], u = n2 * g[0] + n2 * s2 * g[2], w = n2 * p2 * g[1];
    o[0] = 1 / (s1 * s2) * g[0], o[step] = s + q, o[2 * step] = s - q, o[3 * step] = u + w, o[4 * step] = u - w, o[5 * step] = g[2];
}
static inline void filter_back(const vf* u, vf* o, int step) {  // G^T u
    vf s = n1 * (u[1] + u[2]), q = n1 * (u[1] - u[2]), p = n2 * (u[3] + u[4]), r = n2 * (u[3] - u[4]);
    o[0] = 1 / (s1 * s2) * u[0] + s + p, o[step] = p1 * q + p2 * r, o[2 * step] = s1 * s + s2 * p + u[5];
}

// How far apart the frequencies of `count` tiles or filters lie: somewhat more than they are long, since a power of two apart all 36
// would meet in one set of the cache. And the floats of all 36; of those in panels of NR channels.
static i64 apart(i64 count, i64 channels) { return count * channels + 48; }
static i64 transforms(i64 count, i64 channels) { return 36 * apart(count, channels); }
static i64 panelled(i64 count, i64 channels) { return up(channels, NR) * transforms(count, NR); }

// Forward, channels are added up in parts, and the parts then: rounding in long sums is what a result shows most, and layers add
// it up. Gradients do not meet it layer after layer.
static i64 part(i64 channels) { return channels > 64 ? 32 : 8; }
constexpr i64 SOME = 128;  // channels whose weights, at all frequencies of a panel, stay in the outer cache

// `in` and `out` are the steps from channel to channel; `turned` for the data gradient: taps turned round.
struct Weights {
    const float* w;
    i64 in, out;
    bool turned;
};

// An output panel's weights of the channels [low, high) at each of the 36 frequencies: (36, high - low, NR).
static void filters(const Weights& weights, i64 low, i64 high, i64 to, i64 panel, float* u) {
    i64 size = apart(high - low, NR);
    for (i64 j = 0; j < NR && panel * NR + j < to; j += VL)
        for (i64 i = low; i < high; i++) {
            const float* q = weights.w + i * weights.in + (panel * NR + j) * weights.out;
            alignas(64) float tap[9][VL];
            for (int e = 0; e < VL; e += 8) transpose8(q + e * weights.out, weights.out, tap[0] + e, VL);
            for (int e = 0; e < VL; e++) tap[8][e] = q[e * weights.out + 8];
            vf g[3][3], t[3][6], r[6];
            for (int k = 0; k < 9; k++) g[k % 3][k / 3] = load(tap[weights.turned ? 8 - k : k]);
            for (int k = 0; k < 3; k++) filter(g[k], t[k], 1);  // along rows: t[column][6]
            for (int a = 0; a < 6; a++) {
                vf line[3] = {t[0][a], t[1][a], t[2][a]};
                filter(line, r, 1);
                for (int b = 0; b < 6; b++) store(u + (a * 6 + b) * size + (i - low) * NR + j, r[b]);
            }
        }
}

// Tiles [first, first + count) of an image stack: v (36, count, c).
static void inputs(const float* x, i64 h, i64 w, i64 c, i64 ph, i64 pw, i64 th, i64 tw, i64 first, i64 count, float* v) {
    static const float nothing[4096] = {};
    threads::ranges(count, 8, (double)count * c * 6, [&](i64 low, i64 high) {
        for (i64 t = low; t < high; t++) {
            i64 tile = first + t, n = tile / (th * tw), i0 = tile / tw % th * 4 - ph, j0 = tile % tw * 4 - pw;
            const float* at[36];
            for (int k = 0; k < 36; k++) {
                i64 i = i0 + k / 6, j = j0 + k % 6;
                at[k] = i >= 0 && i < h && j >= 0 && j < w ? x + ((n * h + i) * w + j) * c : nothing;
            }
            for (i64 q = 0; q < c; q += VL) {
                vf m[6][6], r[6];
                for (int b = 0; b < 6; b++) {
                    vf d[6];
                    for (int a = 0; a < 6; a++) d[a] = load(at[a * 6 + b] + q);
                    input(d, &m[0][b], 6);
                }
                for (int a = 0; a < 6; a++) {
                    input(m[a], r, 1);
                    for (int b = 0; b < 6; b++) store(v + (a * 6 + b) * apart(count, c) + t * c + q, r[b]);
                }
            }
        }
    });
}

// Products m (panels, 36, count, NR) to their panels [panel, end) of the channels of y.
static void outputs(const float* m, i64 h, i64 w, i64 o, i64 th, i64 tw, i64 first, i64 count, i64 panel, i64 end, float* y, const gemm::Finish& f) {
    i64 left = panel * NR, right = least(o, end * NR), size = apart(count, NR);
    threads::ranges(count, 8, (double)count * (right - left) * 5, [&](i64 low, i64 high) {
        for (i64 t = low; t < high; t++) {
            i64 tile = first + t, n = tile / (th * tw), i0 = tile / tw % th * 4, j0 = tile % tw * 4;
            i64 ih = least(4, h - i0), jw = least(4, w - j0);
            for (i64 q = left; q < right; q += VL) {
                const float* from = m + (q - left) / NR * 36 * size + t * NR + q % NR;
                vf r[4][6], z[4], bias = f.bias ? load(f.bias + q) : vf{};
                for (int b = 0; b < 6; b++) {
                    vf d[6];
                    for (int a = 0; a < 6; a++) d[a] = load(from + (a * 6 + b) * size);
                    output(d, &r[0][b], 6);
                }
                for (i64 a = 0; a < ih; a++) {
                    output(r[a], z, 1);
                    for (i64 b = 0; b < jw; b++) {
                        i64 at = ((n * h + i0 + a) * w + j0 + b) * o + q;
                        vf v = z[b] + bias;
                        if (f.accumulate) v += load(y + at);
                        if (f.relu) v = pick(v > vf{}, v, vf{});
                        if (f.mask) v = pick(load(f.mask + at) > vf{}, v, vf{});
                        store(y + at, v);
                    }
                }
            }
        }
    });
}

// The transforms m (panels, 36, count, NR) of the panels [panel, end) of the channels of an output's gradient.
static void outputs_back(const float* g, i64 h, i64 w, i64 o, i64 th, i64 tw, i64 first, i64 count, i64 panel, i64 end, float* m) {
    i64 left = panel * NR, right = least(o, end * NR), size = apart(count, NR);
    threads::ranges(count, 8, (double)count * (right - left) * 5, [&](i64 low, i64 high) {
        for (i64 t = low; t < high; t++) {
            i64 tile = first + t, n = tile / (th * tw), i0 = tile / tw % th * 4, j0 = tile % tw * 4;
            i64 ih = least(4, h - i0), jw = least(4, w - j0);
            const float* from = g + ((n * h + i0) * w + j0) * o;
            for (i64 q = left; q < right; q += VL) {
                float* to = m + (q - left) / NR * 36 * size + t * NR + q % NR;
                vf r[6][4], z[6];
                for (int b = 0; b < 4; b++) {
                    vf d[4];
                    for (int a = 0; a < 4; a++) d[a] = a < ih && b < jw ? load(from + (a * w + b) * o + q) : vf{};
                    output_back(d, &r[0][b], 4);
                }
                for (int a = 0; a < 6; a++) {
                    output_back(r[a], z, 1);
                    for (int b = 0; b < 6; b++) store(to + (a * 6 + b) * size, z[b]);
                }
            }
        }
    });
}

// How many tiles at a time: their transforms stay in the outer cache. Where weights are large, all tiles if they can, so that the
// weights pass by once.
static i64 group(i64 c, i64 o, i64 tiles) {
    if (36 * c * o > (1 << 20) && 36 * tiles * (c + o) <= (1 << 22)) return tiles;
    return least(tiles, most(48, (3 << 18) / most(1, 36 * (c + o)) / 8 * 8));
}

// Into how many chains the sum over tiles is cut that is a weight's gradient: as many as cost little beside the transforms, each
// being as large as the weight's own transform. Threads share the chains.
static i64 chains(i64 c, i64 o, i64 tiles) {
    i64 n = 4;
    while (n > 1 && tiles * (c + o) < 4 * n * c * o) n /= 2;
    return n;
}

// Working memory from (n, ., ., from) to (n, h, w, to): the weight's transforms, those of the inputs and of the outputs.
static i64 workspace(i64 n, i64 h, i64 w, i64 from, i64 to, i64 chains) {
    i64 size = group(from, to, n * up(h, 4) * up(w, 4));
    return chains * panelled(from, to) + transforms(size, from) + panelled(size, to);
}

static i64 workspace(const conv::Shape& s) {
    i64 sums = chains(s.c, s.o, s.n * up(s.oh, 4) * up(s.ow, 4));
    return most(workspace(s.n, s.oh, s.ow, s.c, s.o, sums), workspace(s.n, s.h, s.w, s.o, s.c, 1));
}

// y (n, oh, ow, to) from x (n, h, w, from). Where there are many groups of tiles, threads share the groups: transforms stay with
// the core that made them. Else they share the panels of output channels, and a panel's weights are transformed where they are used:
// if there is one group only, SOME channels at a time, which stay in the outer cache.
static void apply(const float* x, i64 n, i64 h, i64 w, i64 from, i64 ph, i64 pw, i64 oh, i64 ow, i64 to, const Weights& weights, float* y, const gemm::Finish& f, float* work) {
    using namespace gemm;
    i64 th = up(oh, 4), tw = up(ow, 4), tiles = n * th * tw, size = group(from, to, tiles), groups = up(tiles, size), panels = up(to, NR);
    i64 piece = weights.turned ? SOME : part(from), wanted = threads::pool.wanted;
    float *u = work, *v = u + panelled(from, to);
    double cost = 36.0 * from * to / (VL * 2.5);
    auto transform = [&](i64 panel) { filters(weights, 0, from, to, panel, u + panel * transforms(from, NR)); };
    // of frequencies [q, end) and channels [low, high), whose weights are u: added to m where there were channels before
    auto products = [&](i64 panel, i64 q, i64 end, i64 low, i64 high, const float* u, i64 count, const float* v, float* m) {
        int width = (int)least(NR, to - panel * NR);
        for (; q < end; q++)
            for (i64 t = 0; t < count; t += MR) {
                int rows = (int)least(MR, count - t);
                Segment s;
                float* at[MR];
                for (int i = 0; i < rows; i++) at[i] = m + q * apart(count, NR) + (t + i) * NR;
                for (i64 k = low; k < high; k += piece) {
                    for (int i = 0; i < rows; i++) s.a[i] = v + q * apart(count, from) + (t + i) * from + k;
                    s.b = u + q * apart(high - low, NR) + (k - low) * NR, s.n = least(piece, high - k);
                    Finish sum;
                    sum.accumulate = k > 0;
                    product(rows, &s, 1, 1, NR, at, 0, width, sum);
                }
            }
    };
    auto finish = [&](i64 panel, i64 first, i64 count, const float* v) {  // a panel's products, and what becomes of them
        float* m = scratch(1, transforms(count, NR));
        if (groups > 1) products(panel, 0, 36, 0, from, u + panel * transforms(from, NR), count, v, m);
        else
            for (i64 low = 0; low < from; low += SOME) {
                i64 high = least(from, low + SOME);
                float* own = scratch(0, transforms(SOME, NR));
                filters(weights, low, high, to, panel, own);
                products(panel, 0, 36, low, high, own, count, v, m);
            }
        outputs(m, oh, ow, to, th, tw, first, count, panel, panel + 1, y, f);
    };
    auto cut = [&](i64 parts) { return least(size, up(up(tiles, parts * wanted), MR) * MR); };
    i64 parts = 4;  // groups of a thread, of `few` tiles each: so many that all threads have as many
    while (parts < 8 && up(tiles, cut(parts)) % wanted) parts++;
    i64 few = cut(parts);
    if (wanted > 1 && groups > 1 && few >= 32 && up(tiles, few) >= 4 * wanted) {
        threads::each(panels, (double)from * to * 8, transform);
        threads::each(up(tiles, few), cost * tiles, [&](i64 task) {
            i64 first = task * few, count = least(few, tiles - first);
            float* v = scratch(3, transforms(few, from));
            inputs(x, h, w, from, ph, pw, th, tw, first, count, v);
            for (i64 panel = 0; panel < panels; panel++) finish(panel, first, count, v);
        });
        return;
    }
    bool share = panels < 2 * wanted;  // too few panels: the frequencies are shared too
    for (i64 first = 0; first < tiles; first += size) {
        i64 count = least(size, tiles - first);
        inputs(x, h, w, from, ph, pw, th, tw, first, count, v);
        if (!share) {
            threads::each(panels, cost * count, [&](i64 panel) {
                if (first == 0 && groups > 1) transform(panel);
                finish(panel, first, count, v);
            });
            continue;
        }
        float* m = v + transforms(count, from);
        if (first == 0) threads::each(panels, (double)from * to * 8, transform);
        threads::each(panels * 6, cost * count, [&](i64 task) {
            i64 panel = task / 6, q = task % 6 * 6;
            products(panel, q, q + 6, 0, from, u + panel * transforms(from, NR), count, v, m + panel * transforms(count, NR));
        });
        outputs(m, oh, ow, to, th, tw, first, count, 0, panels, y, f);
    }
}

static void forward(const conv::Shape& s, const float* x, const float* w, float* y, const gemm::Finish& f, float* work) {
    apply(x, s.n, s.h, s.w, s.c, s.ph, s.pw, s.oh, s.ow, s.o, Weights{w, 9, s.c * 9, false}, y, f, work);
}

static void data(const conv::Shape& s, const float* g, const float* w, float* gx, const gemm::Finish& f, float* work) {
    apply(g, s.n, s.oh, s.ow, s.o, 2 - s.ph, 2 - s.pw, s.h, s.w, s.c, Weights{w, s.c * 9, 9, true}, gx, f, work);
}

// gw (o, c, 3, 3) from x and g. Threads share chains of tiles where there are such, else panels of output channels; if all is one
// group, a panel's sums are made of SOME channels at a time, and transformed while they are in the outer cache.
static void weight(const conv::Shape& s, const float* x, const float* g, float* gw, float* work) {
    using namespace gemm;
    i64 th = up(s.oh, 4), tw = up(s.ow, 4), tiles = s.n * th * tw, panels = up(s.o, NR), sums = chains(s.c, s.o, tiles);
    i64 per = up(tiles, sums), size = up(per, up(per, group(s.c, s.o, tiles))), wanted = threads::pool.wanted;
    i64 whole = panelled(s.c, s.o);
    float *u = work, *common = u + sums * whole;
    bool alone = wanted > 1 && sums % wanted == 0, share = !alone && panels < 2 * wanted;  // a thread has its own chain; frequencies are shared
    bool once = size == tiles && !share;
    // of frequencies [q, end) and channels [low, high), whose sums are u
    auto products = [&](i64 panel, i64 q, i64 end, i64 low, i64 high, float* u, i64 count, const float* v, const float* m, bool more) {
        int width = (int)least(NR, s.o - panel * NR);
        for (; q < end; q++)
            for (i64 c = low; c < high; c += MR) {
                int rows = (int)least(MR, high - c);
                Segment t;
                float* at[MR];
                for (int i = 0; i < rows; i++) t.a[i] = v + q * apart(count, s.c) + c + i, at[i] = u + q * apart(high - low, NR) + (c - low + i) * NR;
                t.b = m + q * apart(count, NR), t.n = count;
                Finish f;
                f.accumulate = more;
                product(rows, &t, 1, s.c, NR, at, 0, width, f);
            }
    };
    auto back = [&](i64 panel, i64 low, i64 high, const float* u, i64 sums) {  // the sums of channels [low, high) to gw
        int width = (int)least(NR, s.o - panel * NR);
        for (i64 o = 0; o < width; o += VL)
            for (i64 c = low; c < high; c++) {
                vf t[3][6], r[3];
                for (int b = 0; b < 6; b++) {
                    vf d[6];
                    for (int a = 0; a < 6; a++) {
                        const float* at = u + (a * 6 + b) * apart(high - low, NR) + (c - low) * NR + o;
                        d[a] = load(at);
                        for (i64 n = 1; n < sums; n++) d[a] += load(at + n * whole);
                    }
                    filter_back(d, &t[0][b], 6);
                }
                alignas(64) float tap[9][VL];
                for (int a = 0; a < 3; a++) {
                    filter_back(t[a], r, 1);
                    for (int b = 0; b < 3; b++) store(tap[a * 3 + b], r[b]);
                }
                float* to = gw + ((panel * NR + o) * s.c + c) * 9;
                for (int e = 0; e < VL; e += 8) transpose8(tap[0] + e, VL, to + e * s.c * 9, s.c * 9);
                for (int e = 0; e < VL; e++) to[e * s.c * 9 + 8] = tap[8][e];
            }
    };
    auto chain = [&](i64 c) {
        for (i64 low = c * per, end = least(tiles, low + per), first = low; first < end; first += size) {
            i64 count = least(size, end - first);
            float *sum = u + c * whole, *v = alone ? scratch(3, transforms(size, s.c)) : common, *m = v + transforms(count, s.c);
            bool more = first > low;
            inputs(x, s.h, s.w, s.c, s.ph, s.pw, th, tw, first, count, v);
            if (share) outputs_back(g, s.oh, s.ow, s.o, th, tw, first, count, 0, panels, m);
            threads::each(share ? panels * 6 : panels, 36.0 * count * s.c * s.o / (VL * 2.5), [&](i64 task) {
                i64 panel = share ? task / 6 : task, q = task % 6 * 6;
                if (share) return products(panel, q, q + 6, 0, s.c, sum + panel * transforms(s.c, NR), count, v, m + panel * transforms(count, NR), more);
                float* own = scratch(1, transforms(count, NR));
                outputs_back(g, s.oh, s.ow, s.o, th, tw, first, count, panel, panel + 1, own);
                if (!once) return products(panel, 0, 36, 0, s.c, sum + panel * transforms(s.c, NR), count, v, own, more);
                float* some = scratch(0, transforms(SOME, NR));
                for (i64 at = 0; at < s.c; at += SOME) {
                    i64 next = least(s.c, at + SOME);
                    products(panel, 0, 36, at, next, some, count, v, own, false);
                    back(panel, at, next, some, 1);
                }
            });
        }
    };
    if (alone) threads::each(sums, 36.0 * tiles * s.c * s.o / (VL * 2.5), chain);
    else
        for (i64 c = 0; c < sums; c++) chain(c);
    if (!once) threads::each(panels, (double)s.c * s.o * 8 * sums, [&](i64 panel) { back(panel, 0, s.c, u + panel * transforms(s.c, NR), sums); });
}

}  // namespace winograd
