// Formulas that are met often, compiled: their steps one after the other in registers, where the interpreter goes through memory.
// formulas.inc lists them, and scripts/formulas.py writes it.
#pragma once
#include "steps.h"

namespace elementwise {

typedef void (*Evaluate)(const Place* at, i64 n);

struct Known {
    i64 inputs, outputs, constants, size;
    const i64* step;
    Evaluate evaluate;
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
    static constexpr Known known() { return {INPUTS, OUTPUTS, CONSTANTS, sizeof(step), step, evaluate}; }
};

static const Known known[] = {
#include "formulas.inc"
};

}  // namespace elementwise
