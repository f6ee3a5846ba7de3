// 3 x 3 convolution with stride 1 by Winograd's F(4 x 4, 3 x 3) (Lavin and Gray, 2016): 36 products of (tiles, channels) with
// (channels, output channels) in place of 144. Channels are multiples of VL. NHWC, weights (O, C, 3, 3). That of volumes, NDHWC and
// (O, C, KD, 3, 3), adds up the products of KD slices.
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

// A convolution as its tiles are cut. At each `place` in a plane there is a tile in each slice; in a group of places the tiles of a
// slice lie together, so what tap k of the depth adds to a tile comes from (k - pd) times as many tiles further as there are places.
struct Layer {
    i64 n, d, h, w, from, pd, ph, pw, od, oh, ow, to, kd;

    i64 th() const { return up(oh, 4); }
    i64 tw() const { return up(ow, 4); }
    i64 places() const { return n * th() * tw(); }
    i64 floats() const { return 36 * (d * from + od * to); }  // of a place's transforms
    i64 some() const { return most(32, 128 / kd / 32 * 32); }  // channels whose weights, at all frequencies of a panel, stay in the outer cache
};
static Layer forth(const conv::Shape& s) { return {s.n, s.d, s.h, s.w, s.c, s.pd, s.ph, s.pw, s.od, s.oh, s.ow, s.o, s.kd}; }
static Layer back(const conv::Shape& s) { return {s.n, s.od, s.oh, s.ow, s.o, s.kd - 1 - s.pd, 2 - s.ph, 2 - s.pw, s.d, s.h, s.w, s.c, s.kd}; }

// The place and slice of tile t of a group, and where in a plane of which image it begins.
struct Tile {
    i64 n, z, i, j;
    Tile(const Layer& l, i64 first, i64 count, i64 t) {
        i64 place = first + t % count, tw = l.tw(), all = l.th() * tw;
        n = place / all, z = t / count, i = place % all / tw * 4, j = place % tw * 4;
    }
};

static const float nothing[4096] = {};

// Forward, channels are added up in parts, and the parts then: rounding in long sums is what a result shows most, and layers add
// it up. Gradients do not meet it layer after layer.
static i64 part(i64 channels) { return channels > 64 ? 32 : 8; }

// `in` and `out` are the steps from channel to channel; `turned` for the data gradient: taps turned round.
struct Weights {
    const float* w;
    i64 kd, in, out;
    bool turned;
};

// An output panel's weights of the channels [low, high) at each of the 36 frequencies: (36, kd, high - low, NR).
static void filters(const Weights& weights, i64 low, i64 high, i64 to, i64 panel, float* u) {
    i64 count = high - low, size = apart(weights.kd * count, NR);
    for (i64 j = 0; j < NR && panel * NR + j < to; j += VL)
        for (i64 row = 0; row < weights.kd * count; row++) {
            i64 k = row / count, slice = weights.turned ? weights.kd - 1 - k : k;
            const float* q = weights.w + (low + row % count) * weights.in + (panel * NR + j) * weights.out + slice * 9;
            alignas(64) float tap[9][VL];
            for (int e = 0; e < VL; e += 8) transpose8(q + e * weights.out, weights.out, tap[0] + e, VL);
            for (int e = 0; e < VL; e++) tap[8][e] = q[e * weights.out + 8];
            vf g[3][3], t[3][6], r[6];
            for (int k = 0; k < 9; k++) g[k % 3][k / 3] = load(tap[weights.turned ? 8 - k : k]);
            for (int k = 0; k < 3; k++) filter(g[k], t[k], 1);  // along rows: t[column][6]
            for (int a = 0; a < 6; a++) {
                vf line[3] = {t[0][a], t[1][a], t[2][a]};
                filter(line, r, 1);
                for (int b = 0; b < 6; b++) store(u + (a * 6 + b) * size + row * NR + j, r[b]);
            }
        }
}

// Tiles of the input at places [first, first + count): v (36, d * count, c).
static void inputs(const float* x, const Layer& l, i64 first, i64 count, float* v) {
    i64 c = l.from, tiles = l.d * count;
    threads::ranges(tiles, 8, (double)tiles * c * 6, [&](i64 low, i64 high) {
        for (i64 t = low; t < high; t++) {
            Tile tile(l, first, count, t);
            const float *at[36], *plane = x + (tile.n * l.d + tile.z) * l.h * l.w * c;
            for (int k = 0; k < 36; k++) {
                i64 i = tile.i - l.ph + k / 6, j = tile.j - l.pw + k % 6;
                at[k] = i >= 0 && i < l.h && j >= 0 && j < l.w ? plane + (i * l.w + j) * c : nothing;
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
                    for (int b = 0; b < 6; b++) store(v + (a * 6 + b) * apart(tiles, c) + t * c + q, r[b]);
                }
            }
        }
    });
}

// Products m (panels, 36, od * count, NR) to their panels [panel, end) of the channels of y.
static void outputs(const float* m, const Layer& l, i64 first, i64 count, i64 panel, i64 end, float* y, const gemm::Finish& f) {
    i64 o = l.to, left = panel * NR, right = least(o, end * NR), tiles = l.od * count, size = apart(tiles, NR);
    threads::ranges(tiles, 8, (double)tiles * (right - left) * 5, [&](i64 low, i64 high) {
        for (i64 t = low; t < high; t++) {
            Tile tile(l, first, count, t);
            i64 ih = least(4, l.oh - tile.i), jw = least(4, l.ow - tile.j), begin = (((tile.n * l.od + tile.z) * l.oh + tile.i) * l.ow + tile.j) * o;
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
                        i64 at = begin + (a * l.ow + b) * o + q;
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

// The transforms m (panels, 36, od * count, NR) of the panels [panel, end) of the channels of an output's gradient.
static void outputs_back(const float* g, const Layer& l, i64 first, i64 count, i64 panel, i64 end, float* m) {
    i64 o = l.to, left = panel * NR, right = least(o, end * NR), tiles = l.od * count, size = apart(tiles, NR);
    threads::ranges(tiles, 8, (double)tiles * (right - left) * 5, [&](i64 low, i64 high) {
        for (i64 t = low; t < high; t++) {
            Tile tile(l, first, count, t);
            i64 ih = least(4, l.oh - tile.i), jw = least(4, l.ow - tile.j);
            const float* from = g + (((tile.n * l.od + tile.z) * l.oh + tile.i) * l.ow + tile.j) * o;
            for (i64 q = left; q < right; q += VL) {
                float* to = m + (q - left) / NR * 36 * size + t * NR + q % NR;
                vf r[6][4], z[6];
                for (int b = 0; b < 4; b++) {
                    vf d[4];
                    for (int a = 0; a < 4; a++) d[a] = a < ih && b < jw ? load(from + (a * l.ow + b) * o + q) : vf{};
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

// How many places at a time: their transforms stay in the outer cache. Where weights are large, all places if they can, so that the
// weights pass by once.
static i64 group(const Layer& l) {
    i64 places = l.places(), fit = (3 << 18) / most(1, l.floats());
    if (36 * l.kd * l.from * l.to > (1 << 20) && places * l.floats() <= (1 << 22)) return places;
    return least(places, most(up(48, l.od), fit > 8 ? fit / 8 * 8 : fit));
}

// Into how many chains the sum over tiles is cut that is a weight's gradient: as many as cost little beside the transforms, each
// being as large as the weight's own transform. Threads share the chains.
static i64 chains(const Layer& l) {
    i64 n = 4;
    while (n > 1 && l.places() * l.floats() < 36 * 4 * n * l.kd * l.from * l.to) n /= 2;
    return n;
}

// Working memory: the weight's transforms, those of the inputs and of the outputs.
static i64 workspace(const Layer& l, i64 chains) {
    i64 size = group(l);
    return chains * panelled(l.kd * l.from, l.to) + transforms(l.d * size, l.from) + panelled(l.od * size, l.to);
}

static i64 workspace(const conv::Shape& s) { return most(workspace(forth(s), chains(forth(s))), workspace(back(s), 1)); }

// Where there are many groups of places, threads share the groups: transforms stay with the core that made them. Else they share the
// panels of output channels, and a panel's weights are transformed where they are used: if there is one group only, some channels at
// a time, which stay in the outer cache.
static void apply(const float* x, const Layer& l, const Weights& weights, float* y, const gemm::Finish& f, float* work) {
    using namespace gemm;
    i64 from = l.from, to = l.to, places = l.places(), size = group(l), groups = up(places, size), panels = up(to, NR), some = l.some();
    i64 piece = weights.turned ? some : part(from), wanted = threads::pool.wanted;
    float *u = work, *v = u + panelled(l.kd * from, to);
    double cost = 36.0 * l.od * l.kd * from * to / (VL * 2.5);
    auto transform = [&](i64 panel) { filters(weights, 0, from, to, panel, u + panel * transforms(l.kd * from, NR)); };
    // of frequencies [q, end) and channels [low, high), whose weights are u: added to m where there were channels before
    auto products = [&](i64 panel, i64 q, i64 end, i64 low, i64 high, const float* u, i64 count, const float* v, float* m) {
        int width = (int)least(NR, to - panel * NR);
        i64 tiles = l.od * count, sources = l.d * count;
        for (; q < end; q++)
            for (i64 t = 0; t < tiles; t += MR) {
                int rows = (int)least(MR, tiles - t), taps = 0;
                Segment segment[conv::TAPS / 9];
                float* at[MR];
                for (int i = 0; i < rows; i++) at[i] = m + q * apart(tiles, NR) + (t + i) * NR;
                for (i64 tap = 0; tap < l.kd; tap++) {
                    i64 source = t + (tap - l.pd) * count;
                    if (source + rows <= 0 || source >= sources) continue;
                    Segment& s = segment[taps++];
                    const float* a = v + q * apart(sources, from) + source * from + low;
                    for (int i = 0; i < rows; i++) s.a[i] = source + i >= 0 && source + i < sources ? a + i * from : nothing;
                    s.b = u + q * apart(l.kd * (high - low), NR) + tap * (high - low) * NR;
                }
                for (i64 k = low; k < high; k += piece) {
                    for (int tap = 0; tap < taps; tap++) segment[tap].n = least(piece, high - k);
                    Finish sum;
                    sum.accumulate = k > 0;
                    product(rows, segment, taps, 1, NR, at, 0, width, sum);
                    for (int tap = 0; tap < taps; tap++) {
                        for (int i = 0; i < rows; i++) segment[tap].a[i] += piece;
                        segment[tap].b += piece * NR;
                    }
                }
            }
    };
    auto finish = [&](i64 panel, i64 first, i64 count, const float* v) {  // a panel's products, and what becomes of them
        float* m = scratch(1, transforms(l.od * count, NR));
        if (groups > 1) products(panel, 0, 36, 0, from, u + panel * transforms(l.kd * from, NR), count, v, m);
        else
            for (i64 low = 0; low < from; low += some) {
                i64 high = least(from, low + some);
                float* own = scratch(0, transforms(l.kd * some, NR));
                filters(weights, low, high, to, panel, own);
                products(panel, 0, 36, low, high, own, count, v, m);
            }
        outputs(m, l, first, count, panel, panel + 1, y, f);
    };
    i64 grain = up(MR, l.od);
    auto cut = [&](i64 parts) { return least(size, up(up(places, parts * wanted), grain) * grain); };
    i64 parts = 4;  // groups of a thread, of `few` places each: so many that all threads have as many
    while (parts < 8 && up(places, cut(parts)) % wanted) parts++;
    i64 few = cut(parts);
    if (wanted > 1 && groups > 1 && few * l.od >= 32 && up(places, few) >= 4 * wanted) {
        threads::each(panels, (double)l.kd * from * to * 8, transform);
        threads::each(up(places, few), cost * places, [&](i64 task) {
            i64 first = task * few, count = least(few, places - first);
            float* v = scratch(3, transforms(l.d * few, from));
            inputs(x, l, first, count, v);
            for (i64 panel = 0; panel < panels; panel++) finish(panel, first, count, v);
        });
        return;
    }
    bool share = panels < 2 * wanted;  // too few panels: the frequencies are shared too
    for (i64 first = 0; first < places; first += size) {
        i64 count = least(size, places - first);
        inputs(x, l, first, count, v);
        if (!share) {
            threads::each(panels, cost * count, [&](i64 panel) {
                if (first == 0 && groups > 1) transform(panel);
                finish(panel, first, count, v);
            });
            continue;
        }
        float* m = v + transforms(l.d * count, from);
        if (first == 0) threads::each(panels, (double)l.kd * from * to * 8, transform);
        threads::each(panels * 6, cost * count, [&](i64 task) {
            i64 panel = task / 6, q = task % 6 * 6;
            products(panel, q, q + 6, 0, from, u + panel * transforms(l.kd * from, NR), count, v, m + panel * transforms(l.od * count, NR));
        });
        outputs(m, l, first, count, 0, panels, y, f);
    }
}

static void forward(const conv::Shape& s, const float* x, const float* w, float* y, const gemm::Finish& f, float* work) {
    apply(x, forth(s), Weights{w, s.kd, s.kd * 9, s.c * s.kd * 9, false}, y, f, work);
}

static void data(const conv::Shape& s, const float* g, const float* w, float* gx, const gemm::Finish& f, float* work) {
    apply(g, back(s), Weights{w, s.kd, s.c * s.kd * 9, s.kd * 9, true}, gx, f, work);
}

// gw (o, c, kd, 3, 3) from x and g. Threads share chains of places where there are such, else panels of output channels; if all is one
// group, a panel's sums are made of some channels at a time, and transformed while they are in the outer cache.
static void weight(const conv::Shape& s, const float* x, const float* g, float* gw, float* work) {
    using namespace gemm;
    Layer l = forth(s);
    i64 places = l.places(), panels = up(s.o, NR), sums = chains(l), some = l.some(), step = s.kd * 9;
    i64 per = up(places, sums), size = up(per, up(per, group(l))), wanted = threads::pool.wanted;
    i64 whole = panelled(s.kd * s.c, s.o), one = transforms(s.kd * s.c, NR);
    float *u = work, *common = u + sums * whole;
    bool alone = wanted > 1 && sums % wanted == 0, share = !alone && panels < 2 * wanted;  // a thread has its own chain; frequencies are shared
    bool once = size == places && !share;
    // of frequencies [q, end) and channels [low, high), whose sums are u
    auto products = [&](i64 panel, i64 q, i64 end, i64 low, i64 high, float* u, i64 count, const float* v, const float* m, bool more) {
        int width = (int)least(NR, s.o - panel * NR);
        for (; q < end; q++)
            for (i64 tap = 0; tap < s.kd; tap++) {
                i64 shift = (tap - s.pd) * count, first = most(0, -shift), last = least(s.od * count, s.d * count - shift);  // tiles that meet one of the input
                for (i64 c = low; c < high; c += MR) {
                    int rows = (int)least(MR, high - c);
                    Segment t;
                    float* at[MR];
                    for (int i = 0; i < rows; i++) {
                        t.a[i] = v + q * apart(s.d * count, s.c) + (first + shift) * s.c + c + i;
                        at[i] = u + q * apart(s.kd * (high - low), NR) + (tap * (high - low) + c - low + i) * NR;
                    }
                    t.b = m + q * apart(s.od * count, NR) + first * NR, t.n = most(0, last - first);
                    Finish f;
                    f.accumulate = more;
                    product(rows, &t, 1, s.c, NR, at, 0, width, f);
                }
            }
    };
    auto back = [&](i64 panel, i64 low, i64 high, const float* u, i64 sums) {  // the sums of channels [low, high) to gw
        int width = (int)least(NR, s.o - panel * NR);
        for (i64 o = 0; o < width; o += VL)
            for (i64 row = 0; row < s.kd * (high - low); row++) {
                vf t[3][6], r[3];
                for (int b = 0; b < 6; b++) {
                    vf d[6];
                    for (int a = 0; a < 6; a++) {
                        const float* at = u + (a * 6 + b) * apart(s.kd * (high - low), NR) + row * NR + o;
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
                float* to = gw + ((panel * NR + o) * s.c + low + row % (high - low)) * step + row / (high - low) * 9;
                for (int e = 0; e < VL; e += 8) transpose8(tap[0] + e, VL, to + e * s.c * step, s.c * step);
                for (int e = 0; e < VL; e++) to[e * s.c * step + 8] = tap[8][e];
            }
    };
    auto chain = [&](i64 c) {
        for (i64 low = c * per, end = least(places, low + per), first = low; first < end; first += size) {
            i64 count = least(size, end - first);
            float *sum = u + c * whole, *v = alone ? scratch(3, transforms(s.d * size, s.c)) : common, *m = v + transforms(s.d * count, s.c);
            bool more = first > low;
            inputs(x, l, first, count, v);
            if (share) outputs_back(g, l, first, count, 0, panels, m);
            threads::each(share ? panels * 6 : panels, 36.0 * count * s.od * s.kd * s.c * s.o / (VL * 2.5), [&](i64 task) {
                i64 panel = share ? task / 6 : task, q = task % 6 * 6;
                if (share) return products(panel, q, q + 6, 0, s.c, sum + panel * one, count, v, m + panel * transforms(s.od * count, NR), more);
                float* own = scratch(1, transforms(s.od * count, NR));
                outputs_back(g, l, first, count, panel, panel + 1, own);
                if (!once) return products(panel, 0, 36, 0, s.c, sum + panel * one, count, v, own, more);
                float* few = scratch(0, transforms(s.kd * some, NR));
                for (i64 at = 0; at < s.c; at += some) {
                    i64 next = least(s.c, at + some);
                    products(panel, 0, 36, at, next, few, count, v, own, false);
                    back(panel, at, next, few, 1);
                }
            });
        }
    };
    if (alone) threads::each(sums, 36.0 * places * s.od * s.kd * s.c * s.o / (VL * 2.5), chain);
    else
        for (i64 c = 0; c < sums; c++) chain(c);
    if (!once) threads::each(panels, (double)s.kd * s.c * s.o * 8 * sums, [&](i64 panel) { back(panel, 0, s.c, u + panel * one, sums); });
}

}  // namespace winograd
