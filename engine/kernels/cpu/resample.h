// Images in another size, and the gradient of that: along each of three axes an element is a weighted sum of a few others.
#pragma once
#include "gemm.h"

namespace resample {

// `to` sums over `from` elements: `count` of them each, at `index` (to, most), by `weight` (to, most).
struct Axis {
    i64 from, to, most;
    const i64 *count, *index;
    const float* weight;
};

// n images of c channels, pixels `x_step` and `y_step` floats apart.
struct Shape {
    i64 n, c, x_step, y_step;
    Axis depth, height, width;
};

struct Row {
    const float* p;
    float weight;
};

static inline vf some(const float* p, int n) { return n == VL ? load(p) : load_some(p, n); }

// y[0 .. n) = the sum of K rows by their weights; of `count` rows where K is 0.
template <int K>
static inline void add_up(const Row* row, i64 count, i64 n, float* y) {
    auto at = [&](i64 i, int k) {
        vf sum = some(row[0].p + i, k) * row[0].weight;
        for (i64 j = 1; j < (K ? K : count); j++) sum += some(row[j].p + i, k) * row[j].weight;
        return sum;
    };
    i64 i = 0;
    for (; i + VL <= n; i += VL) store(y + i, at(i, VL));
    if (i < n) store_some(y + i, at(i, (int)(n - i)), (int)(n - i));
}
static void add_up(const Row* row, i64 count, i64 n, float* y) {
    switch (count) {
        case 0: memset(y, 0, n * 4); return;
        case 1: return row[0].weight == 1.f ? (void)memcpy(y, row[0].p, n * 4) : add_up<1>(row, count, n, y);
        case 2: return add_up<2>(row, count, n, y);
        case 4: return add_up<4>(row, count, n, y);
        default: return add_up<0>(row, count, n, y);
    }
}

// One row of pixels from another: the sums along the width.
static void across(const Shape& s, const float* x, i64 x_step, float* y, Row* row) {
    const Axis& a = s.width;
    for (i64 j = 0; j < a.to; j++) {
        const i64* index = a.index + j * a.most;
        const float* weight = a.weight + j * a.most;
        if (s.c == 1) {
            float sum = 0;
            for (i64 k = 0; k < a.count[j]; k++) sum += x[index[k] * x_step] * weight[k];
            y[j * s.y_step] = sum;
            continue;
        }
        for (i64 k = 0; k < a.count[j]; k++) row[k] = {x + index[k] * x_step, weight[k]};
        add_up(row, a.count[j], s.c, y + j * s.y_step);
    }
}

static void run(const Shape& s, const float* x, float* y) {
    const Axis &d = s.depth, &h = s.height, &w = s.width;
    i64 rows = s.n * d.to * h.to, line = w.from * s.c, most_rows = d.most * h.most;
    double cost = (double)rows * (most_rows * line + w.most * w.to * s.c) * 0.2;
    threads::ranges(rows, most(1, (1 << 14) / most(1, w.to * s.c)), cost, [&](i64 low, i64 high) {
        float* sums = gemm::scratch(0, line + 2 * VL + (most_rows + w.most) * 4);
        Row* row = (Row*)(((i64)(sums + line + VL) + 15) / 16 * 16);
        for (i64 r = low; r < high; r++) {
            i64 n = r / (d.to * h.to), a = r / h.to % d.to, b = r % h.to, used = 0;
            for (i64 i = 0; i < d.count[a]; i++)
                for (i64 j = 0; j < h.count[b]; j++) {
                    const float* from = x + ((n * d.from + d.index[a * d.most + i]) * h.from + h.index[b * h.most + j]) * w.from * s.x_step;
                    row[used++] = {from, d.weight[a * d.most + i] * h.weight[b * h.most + j]};
                }
            float* to = y + r * w.to * s.y_step;
            if (used == 1 && row[0].weight == 1.f) {
                across(s, row[0].p, s.x_step, to, row + used);
                continue;
            }
            if (s.x_step == s.c) add_up(row, used, line, sums);
            else
                for (i64 p = 0; p < w.from; p++) {
                    add_up(row, used, s.c, sums + p * s.c);
                    for (i64 k = 0; k < used; k++) row[k].p += s.x_step;
                }
            across(s, sums, s.c, to, row);
        }
    });
}

}  // namespace resample
