// The steps that formulas are made of: each makes one vector from up to three.
#pragma once
#include "vector.h"

namespace elementwise {

// engine/capture/formula.py has the same names in the same order.
enum Code : int {
    COPY, NEG, ABS, SQRT, EXP, LOG, TANH, ERF, SIGN, FLOOR, CEIL, RINT, TRUNC, LOG1P, EXPM1, NOT,
    ADD, SUB, MUL, DIV, MAX, MIN, GT, GE, LT, LE, EQ, NE, AND, OR, MASKED, WHERE, FMA, FNMA, FMS, ABOVE, BELOW, CLIP,
};
constexpr int CODES = CLIP + 1;
constexpr int arity(int code) { return code <= NOT ? 1 : code <= MASKED ? 2 : 3; }

static inline vf truth(vi m) { return (vf)(m & (vi)splat(1.f)); }
template <float (*F)(float)>
static inline vf lanes(vf x) {
    float t[VL];
    store(t, x);
    for (int i = 0; i < VL; i++) t[i] = F(t[i]);
    return load(t);
}
static inline vf rounded(vf x) {
    vf big = splat(8388608.f), a = pick(x < vf{}, -x, x);
    vf r = (a + big) - big;
    r = pick(x < vf{}, -r, r);
    return pick(a < big, r, x);
}
static inline vf floored(vf x) {
    vf r = rounded(x);
    return pick(r > x, r - 1.f, r);
}
// log(1 + x) where 1 + x loses x's last bits: corrected by what was lost (Kahan).
static inline vf vlog1p(vf x) {
    vf u = x + 1.f;
    vf y = vlog(u) * (x / (u - 1.f));
    y = pick(u == splat(1.f), x, y);
    return pick(u == splat(__builtin_inff()), u, y);
}
// exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1): near 0, where n is 0, nothing is lost.
static inline vf vexpm1(vf x) {
    vf low = vmin(vmax(x, splat(-20.f)), splat(20.f)), n = times_log2(low);
    vf scale = (vf)((__builtin_convertvector(n, vi) + 127) << 23);
    vf y = exp_of_rest(low, n) * scale + (scale - 1.f);
    return pick(x > splat(20.f), vexp(x), pick(x != x, x, y));
}

template <int C>
static inline vf apply(vf x, [[maybe_unused]] vf y, [[maybe_unused]] vf z) {
    if constexpr (C == COPY) return x;
    if constexpr (C == NEG) return -x;
    if constexpr (C == ABS) return (vf)((vi)x & 0x7fffffff);
    if constexpr (C == SQRT) return vsqrt(x);
    if constexpr (C == EXP) return vexp(x);
    if constexpr (C == LOG) return vlog(x);
    if constexpr (C == TANH) return vtanh(x);
    if constexpr (C == ERF) return verf(x);
    if constexpr (C == SIGN) return pick(x != x, x, truth(x > vf{}) - truth(x < vf{}));
    if constexpr (C == FLOOR) return floored(x);
    if constexpr (C == CEIL) return -floored(-x);
    if constexpr (C == RINT) return rounded(x);
    if constexpr (C == TRUNC) return pick(x < vf{}, -floored(-x), floored(x));
    if constexpr (C == LOG1P) return vlog1p(x);
    if constexpr (C == EXPM1) return vexpm1(x);
    if constexpr (C == NOT) return truth(x == vf{});
    if constexpr (C == ADD) return x + y;
    if constexpr (C == SUB) return x - y;
    if constexpr (C == MUL) return x * y;
    if constexpr (C == DIV) return x / y;
    if constexpr (C == MAX) return pick((x > y) | (x != x), x, y);
    if constexpr (C == MIN) return pick((x < y) | (x != x), x, y);
    if constexpr (C == GT) return truth(x > y);
    if constexpr (C == GE) return truth(x >= y);
    if constexpr (C == LT) return truth(x < y);
    if constexpr (C == LE) return truth(x <= y);
    if constexpr (C == EQ) return truth(x == y);
    if constexpr (C == NE) return truth(x != y);
    if constexpr (C == AND) return truth((x != vf{}) & (y != vf{}));
    if constexpr (C == OR) return truth((x != vf{}) | (y != vf{}));
    if constexpr (C == MASKED) return pick(y > vf{}, x, vf{});
    if constexpr (C == WHERE) return pick(x != vf{}, y, z);
    if constexpr (C == FMA) return x * y + z;
    if constexpr (C == FNMA) return z - x * y;
    if constexpr (C == FMS) return x * y - z;
    if constexpr (C == ABOVE) return pick(y <= z, vf{}, x);
    if constexpr (C == BELOW) return pick(y >= z, vf{}, x);
    if constexpr (C == CLIP) {
        x = pick(x < y, y, x);
        return pick(x > z, z, x);
    }
}

// Where an operand begins, and which bits of an index count: none for a constant, which is one vector long. A compiled formula
// adds to an output whose mask is ADD.
struct Place {
    static constexpr i64 ADD = 0;
    float* p;
    i64 mask;
    vf at(i64 i) const { return load(p + (i & mask)); }
    vf some(i64 i, int n) const { return mask ? load_some(p + i, n) : load(p); }
};

}  // namespace elementwise
