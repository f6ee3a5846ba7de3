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

// Frequencies lie this far apart more than they are long: a power of two apart, all 36 would meet in one set of the cache.
constexpr i64 GAP = 48;

// Forward, channels are added up in parts, and the parts then: rounding in long sums is what a result shows most, and layers add
// it up. Gradients do not meet it layer after layer.
static i64 part(i64 channels) { return channels > 64 ? 32 : 16; }

// The weights of an output panel at each of the 36 frequencies: (36, from, NR), frequencies `size` apart. `in` and `out` are the
// steps from channel to channel; `turned` for the data gradient: taps turned round.
static void filters(const float* w, i64 from, i64 to, i64 in, i64 out, bool turned, i64 panel, float* u, i64 size) {
    for (i64 i = 0; i < from; i++)
        for (i64 j0 = 0; j0 < NR; j0 += VL) {
            i64 j = panel * NR + j0;
            vf g[3][3], t[3][6], r[6];
            for (int k = 0; k < 9; k++) {
                float lane[VL] = {};
                const float* q = w + i * in + j * out + (turned ? 8 - k : k);
                for (int e = 0; e < VL && j + e < to; e++) lane[e] = q[e * out];
                g[k % 3][k / 3] = load(lane);
            }
            for (int k = 0; k < 3; k++) filter(g[k], t[k], 1);  // along rows: t[column][6]
            for (int a = 0; a < 6; a++) {
                vf line[3] = {t[0][a], t[1][a], t[2][a]};
                filter(line, r, 1);
                for (int b = 0; b < 6; b++) store(u + (a * 6 + b) * size + i * NR + j0, r[b]);
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
                    for (int b = 0; b < 6; b++) store(v + (a * 6 + b) * (count * c + GAP) + t * c + q, r[b]);
                }
            }
        }
    });
}

static void outputs(const float* m, i64 h, i64 w, i64 o, i64 th, i64 tw, i64 first, i64 count, float* y, const gemm::Finish& f) {
    threads::ranges(count, 8, (double)count * o * 5, [&](i64 low, i64 high) {
        for (i64 t = low; t < high; t++) {
            i64 tile = first + t, n = tile / (th * tw), i0 = tile / tw % th * 4, j0 = tile % tw * 4;
            i64 ih = least(4, h - i0), jw = least(4, w - j0);
            for (i64 q = 0; q < o; q += VL) {
                vf r[4][6], z[4], bias = f.bias ? load(f.bias + q) : vf{};
                for (int b = 0; b < 6; b++) {
                    vf d[6];
                    for (int a = 0; a < 6; a++) d[a] = load(m + (a * 6 + b) * (count * o + GAP) + t * o + q);
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

static void outputs_back(const float* g, i64 h, i64 w, i64 o, i64 th, i64 tw, i64 first, i64 count, float* m) {
    threads::ranges(count, 8, (double)count * o * 5, [&](i64 low, i64 high) {
        for (i64 t = low; t < high; t++) {
            i64 tile = first + t, n = tile / (th * tw), i0 = tile / tw % th * 4, j0 = tile % tw * 4;
            i64 ih = least(4, h - i0), jw = least(4, w - j0);
            const float* from = g + ((n * h + i0) * w + j0) * o;
            for (i64 q = 0; q < o; q += VL) {
                vf r[6][4], z[6];
                for (int b = 0; b < 4; b++) {
                    vf d[4];
                    for (int a = 0; a < 4; a++) d[a] = a < ih && b < jw ? load(from + (a * w + b) * o + q) : vf{};
                    output_back(d, &r[0][b], 4);
                }
                for (int a = 0; a < 6; a++) {
                    output_back(r[a], z, 1);
                    for (int b = 0; b < 6; b++) store(m + (a * 6 + b) * (count * o + GAP) + t * o + q, z[b]);
                }
            }
        }
    });
}

// How many tiles at a time: their transforms stay in the outer cache. Where weights are large, all tiles if they can, so that the
// weights pass by once.
static i64 group(i64 c, i64 o, i64 tiles) {
    if (36 * c * o > (1 << 20) && 36 * tiles * (c + o) <= (1 << 22)) return tiles;
    return least(tiles, most(48, (3 << 18) / (36 * (c + o)) / 8 * 8));
}

static i64 workspace(const conv::Shape& s) {
    i64 tiles = s.n * up(s.oh + 4, 4) * up(s.ow + 4, 4), t = most(group(s.c, s.o, tiles), 64);
    return 36 * (2 * t * (s.c + s.o) + (s.c + NR) * (s.o + NR) + 3 * GAP * (2 + up(most(s.c, s.o), NR)));
}

struct Weights {
    const float* w;
    i64 in, out;
    bool turned;
};

// y (n, oh, ow, to) from x (n, h, w, from). Where there are many groups of tiles, threads share the groups: transforms stay with
// the core that made them. Else they share the panels of output channels, and a panel's weights are transformed where they are used.
static void apply(const float* x, i64 n, i64 h, i64 w, i64 from, i64 ph, i64 pw, i64 oh, i64 ow, i64 to, const Weights& weights, float* y, const gemm::Finish& f, float* work) {
    using namespace gemm;
    i64 th = up(oh, 4), tw = up(ow, 4), tiles = n * th * tw, size = group(from, to, tiles), groups = up(tiles, size), panels = up(to, NR);
    i64 apart = from * NR + GAP, piece = weights.turned ? from : part(from), wanted = threads::pool.wanted;
    float* u = work;
    double cost = 36.0 * from * to / (VL * 2.5);
    auto transform = [&](i64 panel) { filters(weights.w, from, to, weights.in, weights.out, weights.turned, panel, u + 36 * panel * apart, apart); };
    auto products = [&](i64 panel, i64 low, i64 high, i64 count, const float* v, float* m) {  // frequencies [low, high)
        int width = (int)least(NR, to - panel * NR);
        for (i64 q = low; q < high; q++)
            for (i64 t = 0; t < count; t += MR) {
                int rows = (int)least(MR, count - t);
                Segment s;
                float* at[MR];
                for (int i = 0; i < rows; i++) at[i] = m + q * (count * to + GAP) + (t + i) * to;
                for (i64 k = 0; k < from; k += piece) {
                    for (int i = 0; i < rows; i++) s.a[i] = v + q * (count * from + GAP) + (t + i) * from + k;
                    s.b = u + (36 * panel + q) * apart + k * NR, s.n = least(piece, from - k);
                    Finish sum;
                    sum.accumulate = k > 0;
                    product(rows, &s, 1, 1, NR, at, panel * NR, width, sum);
                }
            }
    };
    if (wanted > 1 && groups >= 4 * wanted) {
        threads::each(panels, (double)from * to * 8, transform);
        threads::each(groups, cost * tiles, [&](i64 task) {
            i64 first = task * size, count = least(size, tiles - first);
            float *v = scratch(3, 36 * (size * (from + to) + 2 * GAP)), *m = v + 36 * (size * from + GAP);
            inputs(x, h, w, from, ph, pw, th, tw, first, count, v);
            for (i64 panel = 0; panel < panels; panel++) products(panel, 0, 36, count, v, m);
            outputs(m, oh, ow, to, th, tw, first, count, y, f);
        });
        return;
    }
    float *v = u + 36 * panels * apart, *m = v + 36 * (size * from + GAP);
    for (i64 first = 0; first < tiles; first += size) {
        i64 count = least(size, tiles - first), slices = panels >= 2 * wanted ? 1 : 6;
        inputs(x, h, w, from, ph, pw, th, tw, first, count, v);
        if (first == 0 && slices > 1) threads::each(panels, (double)from * to * 8, transform);
        threads::each(panels * slices, cost * count, [&](i64 task) {
            i64 panel = task / slices, slice = task % slices;
            if (first == 0 && slices == 1) transform(panel);
            products(panel, slice * 36 / slices, (slice + 1) * 36 / slices, count, v, m);
        });
        outputs(m, oh, ow, to, th, tw, first, count, y, f);
    }
}

static void forward(const conv::Shape& s, const float* x, const float* w, float* y, const gemm::Finish& f, float* work) {
    apply(x, s.n, s.h, s.w, s.c, s.ph, s.pw, s.oh, s.ow, s.o, Weights{w, 9, s.c * 9, false}, y, f, work);
}

static void data(const conv::Shape& s, const float* g, const float* w, float* gx, const gemm::Finish& f, float* work) {
    apply(g, s.n, s.oh, s.ow, s.o, 2 - s.ph, 2 - s.pw, s.h, s.w, s.c, Weights{w, s.c * 9, 9, true}, gx, f, work);
}

static void weight(const conv::Shape& s, const float* x, const float* g, float* gw, float* work) {
    using namespace gemm;
    i64 th = up(s.oh, 4), tw = up(s.ow, 4), tiles = s.n * th * tw, size = group(s.c, s.o, tiles), panels = up(s.o, NR), blocks = up(s.c, MR);
    i64 apart = s.c * NR + GAP;  // of the frequencies of a panel
    float *u = work, *v = u + 36 * panels * apart, *m = v + 36 * (size * s.c + GAP);
    auto back = [&](i64 panel) {
        int width = (int)least(NR, s.o - panel * NR);
        for (i64 o = 0; o < width; o += VL)
            for (i64 c = 0; c < s.c; c++) {
                vf t[3][6], r[3];
                for (int b = 0; b < 6; b++) {
                    vf d[6];
                    for (int a = 0; a < 6; a++) d[a] = load(u + 36 * panel * apart + (a * 6 + b) * apart + c * NR + o);
                    filter_back(d, &t[0][b], 6);
                }
                float lanes[9][VL];
                for (int a = 0; a < 3; a++) {
                    filter_back(t[a], r, 1);
                    for (int b = 0; b < 3; b++) store(lanes[a * 3 + b], r[b]);
                }
                for (int e = 0; e < VL; e++)
                    for (int k = 0; k < 9; k++) gw[((panel * NR + o + e) * s.c + c) * 9 + k] = lanes[k][e];
            }
    };
    for (i64 first = 0; first < tiles; first += size) {
        i64 count = least(size, tiles - first), slices = panels >= 2 * threads::pool.wanted ? 1 : 6;
        inputs(x, s.h, s.w, s.c, s.ph, s.pw, th, tw, first, count, v);
        outputs_back(g, s.oh, s.ow, s.o, th, tw, first, count, m);
        bool last = first + count == tiles;
        threads::each(panels * slices, 36.0 * count * s.c * s.o / (VL * 2.5), [&](i64 task) {
            i64 panel = task / slices, slice = task % slices;
            int width = (int)least(NR, s.o - panel * NR);
            float* b = scratch(0, count * NR);
            for (i64 q = slice * 36 / slices; q < (slice + 1) * 36 / slices; q++) {
                pack(m + q * (count * s.o + GAP), count, s.o, 1, panel * NR, width, b);
                for (i64 block = 0; block < blocks; block++) {
                    int rows = (int)least(MR, s.c - block * MR);
                    Segment t;
                    float* at[MR];
                    for (int i = 0; i < rows; i++) t.a[i] = v + q * (count * s.c + GAP) + block * MR + i, at[i] = u + (36 * panel + q) * apart + (block * MR + i) * NR;
                    t.b = b, t.n = count;
                    Finish f;
                    f.accumulate = first > 0;
                    product(rows, &t, 1, s.c, NR, at, 0, width, f);
                }
            }
            if (last && slices == 1) back(panel);
        });
        if (last && slices > 1) threads::each(panels, (double)s.c * s.o * 8, back);
    }
}

}  // namespace winograd
