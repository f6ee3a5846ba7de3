// Batches of images from uint8 pixels: crops, flips and borders move pixels, a table turns each into a number, rectangles are erased.
#pragma once
#include "random.h"
#include <math.h>

namespace images {

enum Step { CROP, CENTER, HFLIP, VFLIP, PAD, ERASE };  // with their numbers in engine/data/compiled.py, which has the same list

struct Axis {
    i64 size, from, by;   // output i is the source's from + by i,
    i64 first, last;      // for i in [first, last); elsewhere the border

    void crop(i64 start, i64 n) { from += by * start, first = most(0, first - start), last = least(n, last - start), size = n; }
    void pad(i64 before, i64 after) { from -= by * before, first += before, last += before, size += before + after; }
    void centre(i64 n) {
        i64 missing = most(0, n - size);
        pad(missing / 2, (missing + 1) / 2);
        i64 over = size - n;
        crop(over / 2 + (over % 4 == 3), n);  // halves go to the even number, as Python's round does
    }
    void flip() {
        from += by * (size - 1), by = -by;
        i64 f = size - last;
        last = size - first, first = f;
    }
};

struct Draws {  // from counter `start` on; each takes one, as Generator.take does
    uint64_t seed, stream, start, taken;
    philox::vu word[4];

    uint32_t next(uint32_t* second) {
        i64 lane = taken % VL;
        if (lane == 0) philox::block(seed, stream, start + taken, word);
        taken++, *second = word[1][lane];
        return word[0][lane];
    }
    i64 below(i64 n) {
        uint32_t low, high = next(&low);
        return (i64)(((uint64_t)high << 32 | low) % (uint64_t)n);
    }
    float uniform() {
        uint32_t unused;
        return (float)(next(&unused) >> 8) * 0x1p-24f;
    }
};

constexpr int MAX_ERASED = 8, WORDS = 7;

struct Erased {
    i64 top, left, height, width, number;  // of its row in Batch::erased
};

struct Batch {
    i64 count, channels, height, width;  // of the result
    const i64* sample;                   // for each: pixels, height, width, the stream of its draws, the counter they begin at
    i64 border;
    uint64_t seed;
    const i64* step;                     // each a Step and WORDS - 1 numbers, some of them the bits of doubles
    i64 steps;
    const float* table;                  // (channels, 256)
    const float* erased;                 // (ERASE steps, channels): what each writes
};

static double real(i64 bits) {
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

// As RandomErasing.place draws it, in the same arithmetic; no height where no rectangle was found.
static Erased erase(Draws& draws, const i64* s, i64 height, i64 width) {
#pragma STDC FP_CONTRACT OFF
    double scale = real(s[2]), scales = real(s[3]) - scale, low = real(s[4]), logs = real(s[5]) - low;
    for (int tries = 0; tries < 10; tries++) {
        double share = scales * draws.uniform(), turn = logs * draws.uniform();
        double area = (double)(height * width) * (scale + share), ratio = exp(low + turn);
        i64 h = (i64)nearbyint(sqrt(area * ratio)), w = (i64)nearbyint(sqrt(area / ratio));
        if (h < height && w < width) {
            i64 top = draws.below(height - h + 1);
            return {top, draws.below(width - w + 1), h, w, s[6]};
        }
    }
    return {};
}

// Where a sample's rows and columns come from, and what is erased; false if it does not come out at the size of the result.
static bool place(const Batch& b, const i64* sample, Axis* y, Axis* x, Erased* erased, int* n) {
    *y = {sample[1], 0, 1, 0, sample[1]}, *x = {sample[2], 0, 1, 0, sample[2]};
    Draws draws{b.seed, (uint64_t)sample[3], (uint64_t)sample[4], 0, {}};
    for (const i64* s = b.step; s < b.step + WORDS * b.steps; s += WORDS) {
        double p = real(s[1]);
        switch (s[0]) {
            case CROP: {
                if (y->size < s[1] || x->size < s[2]) return false;
                i64 top = draws.below(y->size - s[1] + 1), left = draws.below(x->size - s[2] + 1);
                y->crop(top, s[1]), x->crop(left, s[2]);
                break;
            }
            case CENTER:
                if (s[3] && (y->size < s[1] || x->size < s[2])) return false;
                y->centre(s[1]), x->centre(s[2]);
                break;
            case HFLIP:
                if (draws.uniform() < p) x->flip();
                break;
            case VFLIP:
                if (draws.uniform() < p) y->flip();
                break;
            case PAD: x->pad(s[1], s[3]), y->pad(s[2], s[4]); break;
            case ERASE:
                if (draws.uniform() < p) erased[(*n)++] = erase(draws, s, y->size, x->size);
        }
    }
    return y->size == b.height && x->size == b.width;
}

// y (count, channels, height, width); the number of the first sample that does not fit, or -1.
static i64 augment(const Batch& b, float* y) {
    i64 plane = b.height * b.width, wrong = -1;
    threads::ranges(b.count, 1, (double)b.count * b.channels * plane, [&](i64 low, i64 high) {
        for (i64 n = low; n < high; n++) {
            const i64* sample = b.sample + 5 * n;
            Axis rows, columns;
            Erased erased[MAX_ERASED];
            int erasings = 0;
            if (!place(b, sample, &rows, &columns, erased, &erasings)) {
                __atomic_store_n(&wrong, n, __ATOMIC_RELAXED);
                continue;
            }
            for (i64 c = 0; c < b.channels; c++) {
                const float* table = b.table + 256 * c;
                const uint8_t* pixels = (const uint8_t*)sample[0] + c * sample[1] * sample[2];
                float* out = y + (n * b.channels + c) * plane;
                for (i64 i = 0; i < b.height; i++, out += b.width) {
                    bool inside = i >= rows.first && i < rows.last;
                    i64 first = inside ? columns.first : b.width, last = inside ? most(first, columns.last) : b.width;
                    const uint8_t* row = pixels + (rows.from + rows.by * i) * sample[2] + columns.from;
                    for (i64 j = 0; j < least(first, b.width); j++) out[j] = table[b.border];
                    if (columns.by > 0)
                        for (i64 j = first; j < last; j++) out[j] = table[row[j]];
                    else
                        for (i64 j = first; j < last; j++) out[j] = table[row[-j]];
                    for (i64 j = last; j < b.width; j++) out[j] = table[b.border];
                }
                out -= plane;
                for (const Erased* e = erased; e < erased + erasings; e++)
                    for (i64 i = e->top; i < e->top + e->height; i++)
                        for (i64 j = e->left; j < e->left + e->width; j++) out[i * b.width + j] = b.erased[e->number * b.channels + c];
            }
        }
    });
    return wrong;
}

}  // namespace images
