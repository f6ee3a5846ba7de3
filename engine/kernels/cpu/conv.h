// Convolution in NHWC as products over windows: no unfolded copy is made. Each row of a register tile is a pixel; a segment is
// a kernel position, whose channels lie side by side. Where there are few channels, the input is copied once with its border
// of zeros, and a whole row of the kernel is one segment.
#pragma once
#include "gemm.h"

namespace conv {

constexpr int TAPS = 128, CHUNK = 8;  // kernel positions at most; tiles of pixels that share a panel of weights

struct Shape {
    i64 n, h, w, c, oh, ow, o, kh, kw, sh, sw, ph, pw, dh, dw;

    bool is_empty() const { return n * h * w * c * oh * ow * o * kh * kw == 0; }
    void check() { sh = most(1, sh), sw = most(1, sw), dh = most(1, dh), dw = most(1, dw); }  // they are divided by
};

// What is looked at for output pixel (u, v): source pixels (u * su + row, v * sv + column) for each tap, `run` floats each.
struct View {
    const float* x;
    i64 h, w, image, line, pixel, run, su, sv, taps;
    i64 row[TAPS], column[TAPS], offset[TAPS];
    i64 top, bottom, left, right;  // the least and greatest row and column

    void measure() {
        top = bottom = taps ? row[0] : 0, left = right = taps ? column[0] : 0;
        for (i64 t = 0; t < taps; t++) {
            offset[t] = row[t] * line + column[t] * pixel;
            top = least(top, row[t]), bottom = most(bottom, row[t]), left = least(left, column[t]), right = most(right, column[t]);
        }
    }
    bool is_inside(i64 y, i64 x) const { return y + top >= 0 && y + bottom < h && x + left >= 0 && x + right < w; }
    bool is_inside(i64 y, i64 x, i64 tap) const { return (uint64_t)(y + row[tap]) < (uint64_t)h && (uint64_t)(x + column[tap]) < (uint64_t)w; }
};

static bool is_merged(const Shape& s) { return s.c < 8 && s.kw > 1 && s.dh == 1 && s.dw == 1; }

// Floats of working memory: the padded copy, a row of zeros, and weights or their gradient in panels.
static i64 padded(const Shape& s) { return is_merged(s) ? s.n * (s.h + 2 * s.ph) * (s.w + 2 * s.pw) * s.c : 0; }
static i64 workspace(const Shape& s) { return padded(s) + most(s.c, s.o) + s.kh * s.kw * (most(s.c, s.o) + gemm::NR) * (most(s.c, s.o) + gemm::NR) + 256; }

static View view(const Shape& s, const float* x, float* work) {
    View v{x, s.h, s.w, s.h * s.w * s.c, s.w * s.c, s.c, s.c, s.sh, s.sw, 0, {}, {}, {}, 0, 0, 0, 0};
    if (is_merged(s)) {
        i64 h = s.h + 2 * s.ph, w = s.w + 2 * s.pw, line = s.w * s.c;
        if (s.ph || s.pw) {
            threads::each(s.n, (double)padded(s) * 0.3, [&](i64 n) {
                float* to = work + n * h * w * s.c;
                memset(to, 0, h * w * s.c * 4);
                for (i64 i = 0; i < s.h; i++) memcpy(to + ((i + s.ph) * w + s.pw) * s.c, x + (n * s.h + i) * line, line * 4);
            });
            v.x = work;
        }
        v.h = h, v.w = w, v.image = h * w * s.c, v.line = w * s.c, v.run = s.kw * s.c;
        for (i64 a = 0; a < s.kh; a++) v.row[v.taps] = a, v.column[v.taps++] = 0;
        return v;
    }
    for (i64 a = 0; a < s.kh; a++)
        for (i64 b = 0; b < s.kw; b++) v.row[v.taps] = a * s.dh - s.ph, v.column[v.taps++] = b * s.dw - s.pw;
    return v;
}

// Weights as panels of NR columns: (panel, tap, from, NR); `in` and `out` are the steps from channel to channel.
static void pack(const float* w, i64 taps, const i64* tap, i64 from, i64 to, i64 in, i64 out, float* packed) {
    using gemm::NR;
    threads::each(up(to, NR), (double)taps * from * to, [&](i64 panel) {
        float* p = packed + panel * taps * from * NR;
        int width = (int)least(NR, to - panel * NR);
        for (i64 i = 0; i < from; i++)
            for (i64 t = 0; t < taps; t++) {
                const float* q = w + panel * NR * out + i * in + tap[t];
                float* r = p + (t * from + i) * NR;
                for (int j = 0; j < width; j++) r[j] = q[j * out];
                for (int j = width; j < NR; j++) r[j] = 0;
            }
    });
}

// Where output pixel (u, v) of the grid goes: y + n * image + u * line + v * pixel.
struct Grid {
    float* y;
    i64 n, h, w, image, line, pixel, channels;
};

static void gather(View& v, const Grid& g, const float* packed, const float* zeros, gemm::Finish f) {
    using namespace gemm;
    v.measure();
    i64 pixels = g.n * g.h * g.w, panels = up(g.channels, NR), chunk = MR * CHUNK;
    f.base = f.base ? f.base : g.y;
    threads::each(up(pixels, chunk), (double)pixels * g.channels * v.taps * v.run / (VL * 2.5), [&](i64 task) {
        i64 low = task * chunk, high = least(pixels, low + chunk), tiles = up(high - low, MR);
        Segment* segment = (Segment*)scratch(2, CHUNK * v.taps * sizeof(Segment) / 4);
        float* to[CHUNK][MR];
        i64 n = low / (g.h * g.w), at = low % (g.h * g.w), i = at / g.w, j = at % g.w;
        for (i64 tile = 0, p = low; p < high; tile++) {
            const float* image[MR];
            i64 y[MR], x[MR], rows = least(MR, high - p);
            bool inside = true;
            for (i64 m = 0; m < rows; m++, p++) {
                image[m] = v.x + n * v.image, y[m] = i * v.su, x[m] = j * v.sv;
                to[tile][m] = g.y + n * g.image + i * g.line + j * g.pixel;
                inside = inside && v.is_inside(y[m], x[m]);
                if (++j == g.w) {
                    j = 0;
                    if (++i == g.h) i = 0, n++;
                }
            }
            for (i64 m = rows; m < MR; m++) image[m] = image[0], y[m] = y[0], x[m] = x[0];
            const float* center[MR];
            for (int m = 0; m < MR; m++) center[m] = image[m] + y[m] * v.line + x[m] * v.pixel;
            for (i64 t = 0; t < v.taps; t++) {
                const float** a = segment[tile * v.taps + t].a;
                for (int m = 0; m < MR; m++) a[m] = inside || v.is_inside(y[m], x[m], t) ? center[m] + v.offset[t] : zeros;
            }
        }
        for (i64 panel = 0; panel < panels; panel++) {
            const float* b = packed + panel * v.taps * v.run * NR;
            int width = (int)least(NR, g.channels - panel * NR);
            for (i64 tile = 0; tile < tiles; tile++) {
                Segment* s = segment + tile * v.taps;
                for (i64 t = 0; t < v.taps; t++) s[t].b = b + t * v.run * NR, s[t].n = v.run;
                product((int)least(MR, high - low - tile * MR), s, v.taps, 1, NR, to[tile], panel * NR, width, f);
            }
        }
    });
}

static void forward(const Shape& s, const float* x, const float* w, float* y, const gemm::Finish& f, float* work) {
    View v = view(s, x, work);
    float *zeros = work + padded(s), *packed = zeros + (s.c + 15) / 16 * 16;
    memset(zeros, 0, s.c * 4);
    i64 tap[TAPS];
    for (i64 t = 0; t < s.kh * s.kw; t++) tap[t] = t;
    pack(w, s.kh * s.kw, tap, s.c, s.o, s.kh * s.kw, s.c * s.kh * s.kw, packed);
    gather(v, Grid{y, s.n, s.oh, s.ow, s.oh * s.ow * s.o, s.ow * s.o, s.o, s.o}, packed, zeros, f);
}

// The gradient of the input: for each remainder of (row, column) by the stride, a convolution with the taps that meet it (if none
// does, with no segments: zeros).
static void data(const Shape& s, const float* g, const float* w, float* gx, gemm::Finish f, float* work) {
    float *zeros = work, *packed = zeros + (s.o + 15) / 16 * 16;
    memset(zeros, 0, s.o * 4);
    f.base = gx;
    for (i64 a = 0; a < least(s.sh, s.h); a++)
        for (i64 b = 0; b < least(s.sw, s.w); b++) {
            View v{g, s.oh, s.ow, s.oh * s.ow * s.o, s.ow * s.o, s.o, s.o, 1, 1, 0, {}, {}, {}, 0, 0, 0, 0};
            i64 tap[TAPS];
            for (i64 p = 0; p < s.kh; p++)
                for (i64 q = 0; q < s.kw; q++) {
                    i64 y = a + s.ph - p * s.dh, x = b + s.pw - q * s.dw;
                    if (y % s.sh || x % s.sw) continue;
                    v.row[v.taps] = y / s.sh, v.column[v.taps] = x / s.sw, tap[v.taps++] = p * s.kw + q;
                }
            pack(w, v.taps, tap, s.o, s.c, s.c * s.kh * s.kw, s.kh * s.kw, packed);
            Grid to{gx + (a * s.w + b) * s.c, s.n, up(s.h - a, s.sh), up(s.w - b, s.sw), s.h * s.w * s.c, s.sh * s.w * s.c, s.sw * s.c, s.c};
            gather(v, to, packed, zeros, f);
        }
}

// The gradient of the input where kernels are large: one product gives what every output pixel sends to each of its taps
// (pixels, taps * channels), an image at a time; then it is added up where it belongs.
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

// The gradient of the weight: for each tap a product over pixels. Its rows are the channels of the input and its columns
// those of the output, or the other way round where the output has fewer than a register tile is wide.
static void weight(const Shape& s, const float* x, const float* g, float* gw, float* work) {
    using namespace gemm;
    View v = view(s, x, work);
    float* total = work + padded(s);  // (tap, rows, columns)
    bool turned = s.o < NR && v.run > s.o && v.run % VL == 0;
    i64 height = turned ? s.o : v.run, width = turned ? v.run : s.o;
    i64 blocks = up(height, MR), panels = up(width, NR), tiles = v.taps * blocks * panels, lines = s.n * s.oh;
    i64 group = most(1, least(lines, (1 << 16) / most(1, s.ow * (s.c + s.o))));  // lines whose pixels stay in the cache
    i64 tasks = least(tiles, 16), xstep = v.sv * v.pixel;
    threads::each(tasks, (double)lines * s.ow * s.o * v.taps * v.run / (VL * 2.5), [&](i64 task) {
        i64 first = task * tiles / tasks, last = (task + 1) * tiles / tasks;
        Segment* segment = (Segment*)scratch(2, group * sizeof(Segment) / 4);
        for (i64 low = 0; low < lines; low += group) {
            i64 high = least(lines, low + group);
            for (i64 tile = first; tile < last; tile++) {
                i64 panel = tile % panels, block = tile / panels % blocks, t = tile / panels / blocks;
                i64 top = block * height / blocks;
                int columns = (int)least(NR, width - panel * NR), m = (int)((block + 1) * height / blocks - top);
                i64 count = 0;
                // the columns of output pixels whose window column lies in the input
                i64 j0 = v.column[t] >= 0 ? 0 : up(-v.column[t], v.sv), j1 = least(s.ow, (v.w - 1 - v.column[t]) / v.sv + 1);
                for (i64 l = low; l < high && j0 < j1 && v.w > v.column[t]; l++) {
                    i64 y = l % s.oh * v.su + v.row[t];
                    if (y < 0 || y >= v.h) continue;
                    Segment& q = segment[count++];
                    const float* a = v.x + l / s.oh * v.image + y * v.line + (j0 * v.sv + v.column[t]) * v.pixel;
                    const float* b = g + (l * s.ow + j0) * s.o;
                    for (int i = 0; i < m; i++) q.a[i] = (turned ? b : a) + top + i;
                    q.b = (turned ? a : b) + panel * NR;
                    q.n = j1 - j0;
                }
                float* to[MR];
                for (int i = 0; i < m; i++) to[i] = total + (t * height + top + i) * width;
                Finish f;
                f.accumulate = low > 0;
                product(m, segment, count, turned ? s.o : xstep, turned ? xstep : s.o, to, panel * NR, columns, f);
            }
        }
    });
    // (kh, kw, c, o), or (tap, o, run), to (o, c, kh, kw)
    i64 taps = s.kh * s.kw, within = v.run / s.c;  // taps in a run
    threads::ranges(s.o, 16, (double)s.o * s.c * taps, [&](i64 low, i64 high) {
        for (i64 c = 0; c < s.c; c++)
            for (i64 t = 0; t < taps; t++) {
                i64 place = t % within * s.c + c;  // in the run
                const float* from = total + t / within * height * width + (turned ? place : place * width);
                for (i64 o = low; o < high; o++) gw[(o * s.c + c) * taps + t] = from[turned ? o * width : o];
            }
    });
}

}  // namespace conv
