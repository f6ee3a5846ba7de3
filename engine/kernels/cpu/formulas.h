// Formulas that are met often, compiled: their steps one after the other in registers, where the interpreter goes through memory.
// formulas.inc lists them, and scripts/formulas.py writes it.
#pragma once
#include "gemm.h"
#include "steps.h"

namespace elementwise {

typedef void (*Evaluate)(const Place* at, i64 n);

struct Known {
    i64 inputs, outputs, constants, size;
    const i64* step;
    Evaluate evaluate;
    const gemm::Work* work;
};

// A formula on the elements of a product; its operands lie as that does.
struct Update : gemm::Work {
    const Place* at;
};

constexpr i64 of(i64 a, i64 b = 0, i64 c = 0) { return a | b << 16 | c << 32; }

template <i64 INPUTS, i64 OUTPUTS, i64 CONSTANTS, i64 PLACES, i64... S>
struct Compiled {
    static constexpr i64 step[] = {S...}, steps = sizeof...(S) / 3, first = INPUTS + OUTPUTS;

    template <i64 I = 0>
    static inline void take(vf* v) {
        if constexpr (I < steps) {
            constexpr i64 to = step[3 * I + 1], from = step[3 * I + 2];
            v[to] = apply<step[3 * I]>(v[from & 0xffff], v[from >> 16 & 0xffff], v[from >> 32 & 0xffff]);
            take<I + 1>(v);
        }
    }
    static void evaluate(const Place* at, i64 n) {
        Place place[first];
        vf v[PLACES] = {};
        for (i64 j = 0; j < first; j++) place[j] = at[j];
        for (i64 j = first; j < first + CONSTANTS; j++) v[j] = load(at[j].p);
        i64 i = 0;
        for (; i + VL <= n; i += VL) {
            for (i64 j = 0; j < INPUTS; j++) v[j] = place[j].at(i);
            take(v);
            for (i64 j = INPUTS; j < first; j++) {
                float* to = place[j].p + i;
                store(to, place[j].mask == Place::ADD ? load(to) + v[j] : v[j]);
            }
        }
        if (i == n) return;
        int left = (int)(n - i);
        for (i64 j = 0; j < INPUTS; j++) v[j] = place[j].some(i, left);
        take(v);
        for (i64 j = INPUTS; j < first; j++) {
            float* to = place[j].p + i;
            store_some(to, place[j].mask == Place::ADD ? load_some(to, left) + v[j] : v[j], left);
        }
    }
    // The same on the elements of a product.
    struct Elements {
        float* p[first];
        vf constant[CONSTANTS + 1];

        explicit Elements(const gemm::Work& w) {
            const Place* at = static_cast<const Update&>(w).at;
            for (i64 j = 0; j < first; j++) p[j] = at[j].p;
            for (i64 j = 0; j < CONSTANTS; j++) constant[j] = load(at[first + j].p);
        }
        template <class Load, class Store>
        inline void update(i64 at, const Load& get, const Store& put) const {
            vf v[PLACES] = {};
            for (i64 j = 0; j < INPUTS; j++) v[j] = get(p[j] + at);
            for (i64 j = 0; j < CONSTANTS; j++) v[first + j] = constant[j];
            take(v);
            for (i64 j = INPUTS; j < first; j++) put(p[j] + at, v[j]);
        }
    };
    static void beside(const gemm::Work& w, gemm::Work::Tile& last, i64 here, i64 row, const gemm::Segment* s, i64 ka, i64 kb, float* const* c, i64 column, const gemm::Finish& f) {
        Elements e(w);
        auto tile = last;
        i64 ahead = here - last.at;  // where the next tile's turn comes, to the outer cache what it needs
        auto step = [&] {
            if (!tile.rows) return;
            for (int j = 0; j < gemm::NV; j++) {
                i64 at = tile.at + j * VL;
                for (i64 i = 0; i < INPUTS; i++) __builtin_prefetch(e.p[i] + at + ahead, 0, 2);
                e.update(at, load, store);
            }
            tile.at += row, tile.rows--;
        };
        gemm::tile<gemm::MR, gemm::NV, true>(s, 1, ka, kb, c, column, VL, f, step);
        last = {here, gemm::MR};
    }
    static void on(const gemm::Work& w, i64 from, i64 row, i64 rows, i64 width) {
        Elements e(w);
        for (; rows; rows--, from += row) {
            i64 i = 0;
            for (; i + VL <= width; i += VL) e.update(from + i, load, store);
            int left = (int)(width - i);
            if (left) e.update(from + i, [=](const float* p) { return load_some(p, left); }, [=](float* p, vf v) { store_some(p, v, left); });
        }
    }
    static constexpr gemm::Work work = {beside, on};
    static constexpr Known known() { return {INPUTS, OUTPUTS, CONSTANTS, sizeof(step), step, evaluate, nullptr}; }
    static constexpr Known update() { return {INPUTS, OUTPUTS, CONSTANTS, sizeof(step), step, evaluate, VL == 8 ? nullptr : &work}; }
};

static const Known known[] = {
#include "formulas.inc"
};

}  // namespace elementwise
