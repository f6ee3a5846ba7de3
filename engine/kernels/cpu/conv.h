// Convolution in NHWC, or NDHWC, as products over windows: no unfolded copy is made. Each row of a register tile is a pixel; a
// segment is a kernel position, whose channels lie side by side. Where there are few channels, the input is copied once with its
// border of zeros, and a whole row of the kernel is one segment. Groups are convolutions side by side, each on channels of its own.
#pragma once
#include "gemm.h"

namespace conv {

constexpr int TAPS = 128, CHUNK = 8;  // kernel positions at most; tiles of pixels that share a panel of weights

struct Shape {
    i64 n, h, w, c, oh, ow, o, kh, kw, sh, sw, ph, pw, dh, dw, groups;
    i64 d, od, kd, sd, pd, dd;  // the depth of a volume; an image's is 1

    i64 taps() const { return kd * kh * kw; }
    i64 from() const { return groups ? c / groups : 0; }  // channels of a group
    i64 to() const { return groups ? o / groups : 0; }
    bool is_empty() const { return n * d * h * w * from() * od * oh * ow * to() * taps() == 0; }
    void check() { sd = most(1, sd), sh = most(1, sh), sw = most(1, sw), dd = most(1, dd), dh = most(1, dh), dw = most(1, dw); }  // they are divided by
};

// What is looked at for output pixel (u, v) of slice t: source pixels (t * st + slice, u * su + row, v * sv + column) for each tap,
// `run` floats each.
struct View {
    const float* x;
    i64 d, h, w, pixel, run, st, su, sv;
    i64 line, plane, image, taps, slice[TAPS], row[TAPS], column[TAPS], offset[TAPS];
    i64 front, back, top, bottom, left, right;  // the least and greatest slice, row and column

    View(const float* x, i64 d, i64 h, i64 w, i64 pixel, i64 run, i64 st, i64 su, i64 sv)
        : x(x), d(d), h(h), w(w), pixel(pixel), run(run), st(st), su(su), sv(sv), line(w * pixel), plane(h * line), image(d * plane), taps(0) {}

    void add(i64 z, i64 y, i64 x) { slice[taps] = z, row[taps] = y, column[taps++] = x; }
    void measure() {
        front = back = taps ? slice[0] : 0, top = bottom = taps ? row[0] : 0, left = right = taps ? column[0] : 0;
        for (i64 t = 0; t < taps; t++) {
            offset[t] = slice[t] * plane + row[t] * line + column[t] * pixel;
            front = least(front, slice[t]), back = most(back, slice[t]);
            top = least(top, row[t]), bottom = most(bottom, row[t]), left = least(left, column[t]), right = most(right, column[t]);
        }
    }
    bool is_inside(i64 z, i64 y, i64 x) const { return z + front >= 0 && z + back < d && y + top >= 0 && y + bottom < h && x + left >= 0 && x + right < w; }
    bool is_inside(i64 z, i64 y, i64 x, i64 tap) const {
        return (uint64_t)(z + slice[tap]) < (uint64_t)d && (uint64_t)(y + row[tap]) < (uint64_t)h && (uint64_t)(x + column[tap]) < (uint64_t)w;
    }
};

static bool is_merged(const Shape& s) { return s.groups == 1 && s.c < 8 && s.kw > 1 && s.dd == 1 && s.dh == 1 && s.dw == 1; }

// Floats of working memory: the padded copy, a row of zeros, and weights or their gradient in panels.
static i64 padded(const Shape& s) { return is_merged(s) ? s.n * (s.d + 2 * s.pd) * (s.h + 2 * s.ph) * (s.w + 2 * s.pw) * s.c : 0; }
static i64 workspace(const Shape& s) {
    using gemm::NR;
    i64 panels = most(up(s.to(), NR) * s.from(), up(s.from(), NR) * s.to()) * NR;
    return padded(s) + most(s.c, s.o) + s.groups * s.taps() * panels + 256;
}

static View view(const Shape& s, const float* x, float* work) {
    View v(x, s.d, s.h, s.w, s.c, s.from(), s.sd, s.sh, s.sw);
    if (is_merged(s)) {
        i64 d = s.d + 2 * s.pd, h = s.h + 2 * s.ph, w = s.w + 2 * s.pw, line = s.w * s.c;
        if (s.pd || s.ph || s.pw) {
            threads::each(s.n * d, (double)padded(s) * 0.3, [&](i64 slice) {
                float* to = work + slice * h * w * s.c;
                memset(to, 0, h * w * s.c * 4);
                i64 n = slice / d, z = slice % d - s.pd;
                for (i64 i = 0; i < s.h && z >= 0 && z < s.d; i++) memcpy(to + ((i + s.ph) * w + s.pw) * s.c, x + ((n * s.d + z) * s.h + i) * line, line * 4);
            });
            x = work;
        }
        v = View(x, d, h, w, s.c, s.kw * s.c, s.sd, s.sh, s.sw);
        for (i64 z = 0; z < s.kd; z++)
            for (i64 a = 0; a < s.kh; a++) v.add(z, a, 0);
        return v;
    }
    for (i64 z = 0; z < s.kd; z++)
        for (i64 a = 0; a < s.kh; a++)
            for (i64 b = 0; b < s.kw; b++) v.add(z * s.dd - s.pd, a * s.dh - s.ph, b * s.dw - s.pw);
    return v;
}

// Each group's weights as panels of NR columns: (group, panel, tap, from, NR); `in` and `out` are the steps from channel to channel.
static void pack(const Shape& s, const float* w, i64 taps, const i64* tap, i64 from, i64 to, i64 in, i64 out, float* packed) {
    using gemm::NR;
    i64 panels = up(to, NR);
    threads::each(s.groups * panels, (double)s.groups * taps * from * to, [&](i64 task) {
        float* p = packed + task * taps * from * NR;
        i64 panel = task % panels;
        int width = (int)least(NR, to - panel * NR);
        for (i64 i = 0; i < from; i++)
            for (i64 t = 0; t < taps; t++) {
                const float* q = w + task / panels * from * to * s.taps() + panel * NR * out + i * in + tap[t];
                float* r = p + (t * from + i) * NR;
                for (int j = 0; j < width; j++) r[j] = q[j * out];
                for (int j = width; j < NR; j++) r[j] = 0;
            }
    });
}

// Where output pixel (u, v) of slice t goes: y + n * image + t * plane + u * line + v * pixel; `channels` of each group.
struct Grid {
    float* y;
    i64 n, d, h, w, image, plane, line, pixel, groups, channels;
};

static void gather(View& v, const Grid& g, const float* packed, const float* zeros, gemm::Finish f) {
    using namespace gemm;
    v.measure();
    i64 pixels = g.n * g.d * g.h * g.w, panels = up(g.channels, NR), chunk = MR * CHUNK;
    f.base = f.base ? f.base : g.y;
    threads::each(up(pixels, chunk), (double)pixels * g.groups * g.channels * v.taps * v.run / (VL * 2.5), [&](i64 task) {
        i64 low = task * chunk, high = least(pixels, low + chunk), tiles = up(high - low, MR);
        Segment* segment = (Segment*)scratch(2, CHUNK * v.taps * sizeof(Segment) / 4);
        float* to[CHUNK][MR];
        i64 n = low / (g.d * g.h * g.w), e = low / (g.h * g.w) % g.d, i = low / g.w % g.h, j = low % g.w;
        for (i64 tile = 0, p = low; p < high; tile++) {
            const float* image[MR];
            i64 z[MR], y[MR], x[MR], rows = least(MR, high - p);
            bool inside = true;
            for (i64 m = 0; m < rows; m++, p++) {
                image[m] = v.x + n * v.image, z[m] = e * v.st, y[m] = i * v.su, x[m] = j * v.sv;
                to[tile][m] = g.y + n * g.image + e * g.plane + i * g.line + j * g.pixel;
                inside = inside && v.is_inside(z[m], y[m], x[m]);
                if (++j == g.w) {
                    j = 0;
                    if (++i == g.h) {
                        i = 0;
                        if (++e == g.d) e = 0, n++;
                    }
                }
            }
            for (i64 m = rows; m < MR; m++) image[m] = image[0], z[m] = z[0], y[m] = y[0], x[m] = x[0];
            const float* center[MR];
            for (int m = 0; m < MR; m++) center[m] = image[m] + z[m] * v.plane + y[m] * v.line + x[m] * v.pixel;
            for (i64 t = 0; t < v.taps; t++) {
                const float** a = segment[tile * v.taps + t].a;
                for (int m = 0; m < MR; m++) a[m] = inside || v.is_inside(z[m], y[m], x[m], t) ? center[m] + v.offset[t] : zeros;
            }
        }
        for (i64 part = 0; part < g.groups * panels; part++) {
            const float* b = packed + part * v.taps * v.run * NR;
            i64 panel = part % panels, shift = part && panel == 0 ? v.run : 0;  // to the next group's channels
            int width = (int)least(NR, g.channels - panel * NR);
            for (i64 tile = 0; tile < tiles; tile++) {
                Segment* s = segment + tile * v.taps;
                for (i64 t = 0; t < v.taps; t++) s[t].b = b + t * v.run * NR, s[t].n = v.run;
                for (i64 t = 0; shift && t < v.taps; t++)
                    for (int m = 0; m < MR; m++) s[t].a[m] += shift;
                product((int)least(MR, high - low - tile * MR), s, v.taps, 1, NR, to[tile], part / panels * g.channels + panel * NR, width, f);
            }
        }
    });
}

static void forward(const Shape& s, const float* x, const float* w, float* y, const gemm::Finish& f, float* work) {
    View v = view(s, x, work);
    float *zeros = work + padded(s), *packed = zeros + (s.c + 15) / 16 * 16;
    memset(zeros, 0, s.c * 4);
    i64 tap[TAPS];
    for (i64 t = 0; t < s.taps(); t++) tap[t] = t;
    pack(s, w, s.taps(), tap, s.from(), s.to(), s.taps(), s.from() * s.taps(), packed);
    i64 line = s.ow * s.o, plane = s.oh * line;
    gather(v, Grid{y, s.n, s.od, s.oh, s.ow, s.od * plane, plane, line, s.o, s.groups, s.to()}, packed, zeros, f);
}

// The gradient of the input: for each remainder of (slice, row, column) by the stride, a convolution with the taps that meet it (if
// none does, with no segments: zeros).
static void data(const Shape& s, const float* g, const float* w, float* gx, gemm::Finish f, float* work) {
    float *zeros = work, *packed = zeros + (s.o + 15) / 16 * 16;
    memset(zeros, 0, s.o * 4);
    f.base = gx;
    i64 line = s.w * s.c, plane = s.h * line, columns = least(s.sw, s.w), remainders = least(s.sd, s.d) * least(s.sh, s.h) * columns;
    for (i64 r = 0; r < remainders; r++) {
        i64 b = r % columns, a = r / columns % least(s.sh, s.h), e = r / columns / least(s.sh, s.h);
        View v(g, s.od, s.oh, s.ow, s.o, s.to(), 1, 1, 1);
        i64 tap[TAPS];
        for (i64 t = 0; t < s.taps(); t++) {
            i64 z = e + s.pd - t / (s.kh * s.kw) * s.dd, y = a + s.ph - t / s.kw % s.kh * s.dh, x = b + s.pw - t % s.kw * s.dw;
            if (z % s.sd || y % s.sh || x % s.sw) continue;
            tap[v.taps] = t, v.add(z / s.sd, y / s.sh, x / s.sw);
        }
        pack(s, w, v.taps, tap, s.to(), s.from(), s.from() * s.taps(), s.taps(), packed);
        Grid to{gx + e * plane + a * line + b * s.c, s.n, up(s.d - e, s.sd), up(s.h - a, s.sh), up(s.w - b, s.sw),
                s.d * plane, s.sd * plane, s.sh * line, s.sw * s.c, s.groups, s.from()};
        gather(v, to, packed, zeros, f);
    }
}

// The gradient of the input where kernels are large: one product gives what every output pixel sends to each of its taps
// (pixels, taps * channels), an image at a time; then it is added up where it belongs. Images only, of one group.
static void data_columns(const Shape& s, const float* g, const float* w, float* gx, const gemm::Finish& f, float* work) {
    using namespace gemm;
    i64 taps = s.kh * s.kw, columns = taps * s.c, pixels = s.oh * s.ow, panels = up(columns, NR);
    i64 together = s.dw == 1 ? s.kw : 1;  // taps that lie side by side in the image too
    float* packed = work;  // (panel, o, NR)
    threads::each(panels, (double)s.o * columns, [&](i64 panel) {
        float* p = packed + panel * s.o * NR;
        for (i64 o = 0; o < s.o; o++, p += NR)
            for (i64 j = 0; j < NR; j++) {
                i64 q = panel * NR + j;
                p[j] = q < columns ? w[(o * s.c + q % s.c) * taps + q / s.c] : 0;
            }
    });
    threads::each(s.n, (double)s.n * pixels * columns * s.o / (VL * 2.5), [&](i64 n) {
        float* sent = scratch(3, pixels * columns);
        for (i64 panel = 0; panel < panels; panel++)
            for (i64 low = 0; low < pixels; low += MR) {
                int rows = (int)least(MR, pixels - low);
                Segment t;
                float* to[MR];
                for (int i = 0; i < rows; i++) t.a[i] = g + (n * pixels + low + i) * s.o, to[i] = sent + (low + i) * columns;
                t.b = packed + panel * s.o * NR, t.n = s.o;
                product(rows, &t, 1, 1, NR, to, panel * NR, (int)least(NR, columns - panel * NR), Finish{});
            }
        float* image = gx + n * s.h * s.w * s.c;
        if (!f.accumulate) memset(image, 0, s.h * s.w * s.c * 4);
        for (i64 i = 0; i < s.oh; i++)
            for (i64 a = 0; a < s.kh; a++) {
                i64 y = i * s.sh - s.ph + a * s.dh;
                if (y < 0 || y >= s.h) continue;
                for (i64 j = 0; j < s.ow; j++)
                    for (i64 b = 0; b < s.kw; b += together) {
                        i64 x = j * s.sw - s.pw + b * s.dw, first = most(0, -x), last = least(together, s.w - x);
                        if (first >= last) continue;
                        float* p = image + (y * s.w + x + first) * s.c;
                        const float* q = sent + ((i * s.ow + j) * taps + a * s.kw + b + first) * s.c;
                        i64 size = (last - first) * s.c, c = 0;
                        for (; c + VL <= size; c += VL) store(p + c, load(p + c) + load(q + c));
                        if (c < size) store_some(p + c, load_some(p + c, (int)(size - c)) + load_some(q + c, (int)(size - c)), (int)(size - c));
                    }
            }
        if (f.mask) {
            const float* m = f.mask + n * s.h * s.w * s.c;
            for (i64 i = 0; i < s.h * s.w * s.c; i++) image[i] = m[i] > 0 ? image[i] : 0;
        }
    });
}

// A panel: n floats of each pixel, `WIDE` apart; from(p) is where they are. It may write VL floats more than there are.
template <int WIDE, class F>
static inline void copy_panel(float* to, i64 pixels, i64 n, const F& from) {
    for (i64 p = 0; n == WIDE && p < pixels; p++) memcpy(to + p * WIDE, from(p), WIDE * 4);
    for (i64 p = 0; n != WIDE && p < pixels; p++)
        for (i64 j = 0; j < n; j += VL) store(to + p * WIDE + j, load_some(from(p) + j, (int)least(VL, n - j)));
}

// From sums (group, tap, o, c), or (group, tap, c, o) where they are turned, to gw (o, c, tap).
static void arrange(const Shape& s, const float* sums, bool turned, float* gw) {
    i64 taps = s.taps(), from = s.from(), to = s.to();
    threads::ranges(s.o, 16, (double)s.o * from * taps, [&](i64 low, i64 high) {
        for (i64 c = 0; c < from; c++)
            for (i64 t = 0; t < taps; t++)
                for (i64 o = low; o < high; o++) gw[(o * from + c) * taps + t] = sums[(o / to * taps + t) * to * from + (turned ? c * to + o % to : o % to * from + c)];
    });
}

// The gradient of the weight where few channels are merged to runs: a product over pixels (taps * channels, pixels) (pixels, o). Those
// of the input are read where they lie, next to each other; o of the output's gradient lie far apart, and are copied for all rows.
static void merged_weight(const Shape& s, const float* x, const float* g, float* gw, float* work) {
    using namespace gemm;
    View v = view(s, x, work);
    v.measure();
    float* total = work + padded(s);
    i64 height = v.taps * v.run, blocks = up(height, MR), tiles = blocks * up(s.o, NR), lines = s.n * s.od * s.oh, wanted = threads::pool.wanted;
    i64 together = most(1, least(lines, 256 / s.ow)), tasks = wanted == 1 ? 1 : least(tiles, 2 * wanted);
    threads::each(tasks, (double)lines * s.ow * s.o * height / (VL * 2.5), [&](i64 task) {
        Segment* segment = (Segment*)scratch(2, together * sizeof(Segment) / 4);
        float* copy = scratch(3, together * s.ow * NR + VL);
        for (i64 low = 0; low < lines; low += together) {
            i64 count = least(together, lines - low), copied = -1;
            for (i64 tile = task * tiles / tasks; tile < (task + 1) * tiles / tasks; tile++) {
                i64 panel = tile / blocks, block = tile % blocks, top = block * height / blocks;
                int m = (int)((block + 1) * height / blocks - top), columns = (int)least(NR, s.o - panel * NR);
                if (copied != panel) copy_panel<NR>(copy, count * s.ow, columns, [&](i64 p) { return g + (low * s.ow + p) * s.o + panel * NR; });
                copied = panel;
                i64 place[MR];
                float* to[MR];
                for (int i = 0; i < m; i++) place[i] = v.offset[(top + i) / v.run] + (top + i) % v.run, to[i] = total + (top + i) * s.o;
                for (i64 l = 0; l < count; l++) {
                    i64 line = low + l, n = line / s.oh / s.od, z = line / s.oh % s.od * v.st, y = line % s.oh * v.su;
                    const float* from = v.x + n * v.image + z * v.plane + y * v.line;
                    for (int i = 0; i < m; i++) segment[l].a[i] = from + place[i];
                    segment[l].b = copy + l * s.ow * NR, segment[l].n = s.ow;
                }
                Finish f;
                f.accumulate = low > 0;
                product(m, segment, count, v.sv * v.pixel, NR, to, panel * NR, columns, f);
            }
        }
    });
    arrange(s, total, true, gw);
}

// The gradient of the weight: for each tap a product (o, pixels) (pixels, c), or turned round where that leaves fewer lanes without
// work. Pixels lie far apart, and a power of two mostly, so that they would meet in few sets of the inner cache: some of them at a
// time, both sides are copied to panels, the output's gradient once for all taps.
static void weight(const Shape& s, const float* x, const float* g, float* gw, float* work) {
    using namespace gemm;
    if (is_merged(s)) return merged_weight(s, x, g, gw, work);
    constexpr i64 PIXELS = 128, WIDE = 2 * MR;
    View v = view(s, x, work);
    v.measure();
    auto lanes = [](i64 rows, i64 columns) { return up(rows, MR) * MR * up(columns, NR) * NR; };
    i64 from = s.from(), to = s.to(), pixels = s.n * s.od * s.oh * s.ow, wanted = threads::pool.wanted;
    bool turned = lanes(from, to) < lanes(to, from);
    float *zeros = work, *total = v.taps == 1 && !turned ? gw : work + (from + 15) / 16 * 16;  // (group, tap, rows, columns)
    memset(zeros, 0, from * 4);
    i64 height = turned ? from : to, width = turned ? to : from, xwide = turned ? WIDE : NR, gwide = turned ? NR : WIDE;
    auto copy = [](bool columns, float* to, i64 pixels, i64 n, auto from) { columns ? copy_panel<NR>(to, pixels, n, from) : copy_panel<WIDE>(to, pixels, n, from); };
    // threads share the panels of x, one for each tap, and those of g where there are few; the cut changes no bits
    i64 xpanels = up(from, xwide), gpanels = up(to, gwide), panels = s.groups * v.taps * xpanels;
    i64 wide = wanted == 1 ? panels : up(panels, 4 * wanted), across = up(panels, wide), parts = wanted == 1 ? 1 : least(gpanels, up(2 * wanted, across));
    threads::each(across * parts, (double)pixels * v.taps * from * s.o / (VL * 2.5), [&](i64 task) {
        i64 left = task / parts * wide, right = least(panels, left + wide), first = gpanels * (task % parts) / parts, last = gpanels * (task % parts + 1) / parts;
        float *gs = scratch(2, gpanels * gwide * PIXELS + VL), *xs = scratch(3, xwide * PIXELS + VL);
        for (i64 low = 0; low < pixels; low += PIXELS) {
            i64 count = least(PIXELS, pixels - low), z[PIXELS], y[PIXELS], u[PIXELS];
            const float *center[PIXELS], *at[PIXELS];
            for (i64 p = 0; p < count; p++) {
                i64 q = low + p;
                z[p] = q / (s.oh * s.ow) % s.od * v.st, y[p] = q / s.ow % s.oh * v.su, u[p] = q % s.ow * v.sv;
                center[p] = x + q / (s.od * s.oh * s.ow) * v.image + z[p] * v.plane + y[p] * v.line + u[p] * v.pixel;
            }
            for (i64 panel = left; panel < right; panel++) {
                i64 c = panel % xpanels * xwide, tap = panel / xpanels % v.taps, group = panel / xpanels / v.taps;
                if (panel == left || (c == 0 && tap == 0))
                    for (i64 o = first * gwide; o < least(to, last * gwide); o += gwide)
                        copy(turned, gs + o / gwide * PIXELS * gwide, count, least(gwide, to - o), [&](i64 p) { return g + (low + p) * s.o + group * to + o; });
                if (panel == left || c == 0)
                    for (i64 p = 0; p < count; p++) at[p] = v.is_inside(z[p], y[p], u[p], tap) ? center[p] + v.offset[tap] + group * from : zeros;
                copy(!turned, xs, count, least(xwide, from - c), [&](i64 p) { return at[p] + c; });
                for (i64 part = first; part < last; part++) {
                    i64 o = part * gwide, top = turned ? c : o, bottom = least(height, top + WIDE), column = turned ? o : c, half = up(bottom - top, up(bottom - top, MR));
                    const float *rows = turned ? xs : gs + part * PIXELS * gwide, *columns = turned ? gs + part * PIXELS * gwide : xs;
                    for (i64 row = top; row < bottom; row += half) {
                        Segment q;
                        float* sums[MR];
                        int m = (int)least(half, bottom - row);
                        for (int i = 0; i < m; i++) q.a[i] = rows + row - top + i, sums[i] = total + ((group * v.taps + tap) * height + row + i) * width;
                        q.b = columns, q.n = count;
                        Finish f;
                        f.accumulate = low > 0;
                        product(m, &q, 1, WIDE, NR, sums, column, (int)least(NR, width - column), f);
                    }
                }
            }
        }
    });
    if (total != gw) arrange(s, total, turned, gw);
}

}  // namespace conv
