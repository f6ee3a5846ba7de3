// Element-by-element formulas, interpreted a block at a time: a block's intermediate results stay in the first-level cache,
// so a chain of operations reads and writes memory once. Results may also be summed over rows on the way (`SUM`).
#pragma once
#include "gemm.h"

namespace elementwise {

constexpr int BLOCK = 512, LIMIT = 48;  // floats a block; operands and intermediates a formula

enum Code : int {
    COPY, NEG, ABS, SQRT, EXP, LOG, TANH, ERF, SIGN, FLOOR, CEIL, RINT, TRUNC, LOG1P, NOT,
    ADD, SUB, MUL, DIV, MAX, MIN, GT, GE, LT, LE, EQ, NE, AND, OR, MASKED, WHERE, FMA, FNMA, FMS,
};

// Each step is 4 numbers: code, where to, and operands packed as a | b << 16 | c << 32.
struct Formula {
    i64 inputs, outputs, constants, places, steps;
    const i64* step;
    const float* constant;
};

// Where an operand begins, and which bits of an index count: none for a constant, which is one vector long.
struct Place {
    float* p;
    i64 mask;
    vf at(i64 i) const { return load(p + (i & mask)); }
    vf some(i64 i, i64 n) const { return mask ? load_some(p + i, (int)n) : load(p); }
};

template <class F>
static inline void unary(float* d, Place a, i64 n, const F& f) {
    i64 i = 0;
    for (; i + VL <= n; i += VL) store(d + i, f(a.at(i)));
    if (i < n) store_some(d + i, f(a.some(i, n - i)), (int)(n - i));
}
template <class F>
static inline void binary(float* d, Place a, Place b, i64 n, const F& f) {
    i64 i = 0;
    for (; i + VL <= n; i += VL) store(d + i, f(a.at(i), b.at(i)));
    if (i < n) store_some(d + i, f(a.some(i, n - i), b.some(i, n - i)), (int)(n - i));
}
template <class F>
static inline void ternary(float* d, Place a, Place b, Place c, i64 n, const F& f) {
    i64 i = 0;
    for (; i + VL <= n; i += VL) store(d + i, f(a.at(i), b.at(i), c.at(i)));
    if (i < n) store_some(d + i, f(a.some(i, n - i), b.some(i, n - i), c.some(i, n - i)), (int)(n - i));
}
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

static void run_step(const i64* s, const Place* at, i64 n) {
    float* d = at[s[1]].p;
    Place a = at[s[2] & 0xffff], b = at[s[2] >> 16 & 0xffff], c = at[s[2] >> 32 & 0xffff];
    switch (s[0]) {
        case COPY: return unary(d, a, n, [](vf x) { return x; });
        case NEG: return unary(d, a, n, [](vf x) { return -x; });
        case ABS: return unary(d, a, n, [](vf x) { return (vf)((vi)x & 0x7fffffff); });
        case SQRT: return unary(d, a, n, vsqrt);
        case EXP: return unary(d, a, n, vexp);
        case LOG: return unary(d, a, n, vlog);
        case TANH: return unary(d, a, n, vtanh);
        case ERF: return unary(d, a, n, verf);
        case SIGN: return unary(d, a, n, [](vf x) { return pick(x != x, x, truth(x > vf{}) - truth(x < vf{})); });
        case FLOOR: return unary(d, a, n, floored);
        case CEIL: return unary(d, a, n, [](vf x) { return -floored(-x); });
        case RINT: return unary(d, a, n, rounded);
        case TRUNC: return unary(d, a, n, [](vf x) { return pick(x < vf{}, -floored(-x), floored(x)); });
        case LOG1P: return unary(d, a, n, vlog1p);
        case NOT: return unary(d, a, n, [](vf x) { return truth(x == vf{}); });
        case ADD: return binary(d, a, b, n, [](vf x, vf y) { return x + y; });
        case SUB: return binary(d, a, b, n, [](vf x, vf y) { return x - y; });
        case MUL: return binary(d, a, b, n, [](vf x, vf y) { return x * y; });
        case DIV: return binary(d, a, b, n, [](vf x, vf y) { return x / y; });
        case MAX: return binary(d, a, b, n, [](vf x, vf y) { return pick((x > y) | (x != x), x, y); });
        case MIN: return binary(d, a, b, n, [](vf x, vf y) { return pick((x < y) | (x != x), x, y); });
        case GT: return binary(d, a, b, n, [](vf x, vf y) { return truth(x > y); });
        case GE: return binary(d, a, b, n, [](vf x, vf y) { return truth(x >= y); });
        case LT: return binary(d, a, b, n, [](vf x, vf y) { return truth(x < y); });
        case LE: return binary(d, a, b, n, [](vf x, vf y) { return truth(x <= y); });
        case EQ: return binary(d, a, b, n, [](vf x, vf y) { return truth(x == y); });
        case NE: return binary(d, a, b, n, [](vf x, vf y) { return truth(x != y); });
        case AND: return binary(d, a, b, n, [](vf x, vf y) { return truth((x != vf{}) & (y != vf{})); });
        case OR: return binary(d, a, b, n, [](vf x, vf y) { return truth((x != vf{}) | (y != vf{})); });
        case MASKED: return binary(d, a, b, n, [](vf x, vf y) { return pick(y > vf{}, x, vf{}); });
        case WHERE: return ternary(d, a, b, c, n, [](vf x, vf y, vf z) { return pick(x != vf{}, y, z); });
        case FMS: return ternary(d, a, b, c, n, [](vf x, vf y, vf z) { return x * y - z; });
        case FNMA: return ternary(d, a, b, c, n, [](vf x, vf y, vf z) { return z - x * y; });
        case FMA: return ternary(d, a, b, c, n, [](vf x, vf y, vf z) { return x * y + z; });
    }
}

// The places of a formula's operands: inputs, outputs, constants, intermediates, in this order.
struct Places {
    Place at[LIMIT];
    alignas(64) float memory[LIMIT][BLOCK + 2 * VL];  // apart by other than a power of two: 4 KiB apart, a load waits for a store

    void begin(const Formula& f) {
        i64 first = f.inputs + f.outputs;
        for (i64 i = first + f.constants; i < f.places; i++) at[i] = {memory[i], -1};
        for (i64 i = 0; i < f.constants; i++) constant(first + i, f.constant[i]);
    }
    void constant(i64 place, float value) {
        store(memory[place], splat(value));
        at[place] = {memory[place], 0};
    }
    void evaluate(const Formula& f, i64 n) {
        for (i64 i = 0; i < f.steps; i++) run_step(f.step + 3 * i, at, n);
    }
};

// How an operand lies beside the rows of a block: FULL, one row for all (ROW), one number a row (COLUMN), one number (ONE).
enum Kind : i64 { FULL, ROW, COLUMN, ONE };

struct Operand {
    float* data;
    i64 kind, step;  // step: floats from row to row of a FULL operand, from number to number of a COLUMN
};

// Sums over rows on the way: blocks of equal size are added up in single precision, a few at a time, then in double.
struct Sums {
    static constexpr int FEW = 16;
    alignas(64) float held[BLOCK];
    int count = 0;

    void add(const float* y, i64 rows, i64 columns, double* totals) {
        i64 size = rows * columns, i = 0;
        for (; i + VL <= size; i += VL) store(held + i, count ? load(held + i) + load(y + i) : load(y + i));
        for (; i < size; i++) held[i] = count ? held[i] + y[i] : y[i];
        if (++count == FEW) flush(rows, columns, totals);
    }
    void flush(i64 rows, i64 columns, double* totals) {
        for (i64 r = 0; r < rows && count; r++)
            for (i64 c = 0; c < columns; c++) totals[c] += held[r * columns + c];
        count = 0;
    }
};

// A formula over `rows` rows of `width`. Outputs of kind ROW are summed over the rows, of kind ONE over everything;
// `partial` then has room for the summed outputs' widths in each part: of `part` rows, or of `part` columns of a single row.
static void map(const Formula& f, i64 rows, i64 width, const Operand* operand, double* partial, i64 part) {
    i64 n = f.inputs + f.outputs, summed = 0;
    i64 offset[LIMIT];
    bool flat = true, by_column = false;
    for (i64 i = 0; i < n; i++) {
        offset[i] = summed;
        if (i >= f.inputs && operand[i].kind == ROW) summed += width;
        if (i >= f.inputs && operand[i].kind == ONE) summed += 1;
        flat = flat && (operand[i].kind != FULL || operand[i].step == width);
        by_column = by_column || operand[i].kind == COLUMN;
    }
    // several short rows at once, where nothing changes from row to row but FULL operands without gaps
    i64 together = flat && !by_column ? most(1, BLOCK / width) : 1;
    double cost = (double)rows * width * (f.steps + 2) * 0.1;
    // one long row is cut into columns, many rows into rows
    i64 parts = rows == 1 ? up(width, part) : up(rows, part);
    threads::each(parts, cost, [&](i64 task) {
        static thread_local Places p;
        static thread_local Sums sums[LIMIT];
        i64 low = rows == 1 ? 0 : task * part, high = rows == 1 ? 1 : least(rows, low + part);
        i64 left = rows == 1 ? task * part : 0, right = rows == 1 ? least(width, left + part) : width;
        p.begin(f);
        double* totals = partial + task * summed;
        for (i64 i = 0; i < summed; i++) totals[i] = 0;
        for (i64 from = left; from < right; from += BLOCK) {
            i64 columns = least(BLOCK, right - from), taken = together;
            for (i64 i = 0; i < n; i++) {
                const Operand& o = operand[i];
                if (i >= f.inputs) p.at[i] = {p.memory[i], -1};
                else if (o.kind == ONE) p.constant(i, *o.data);
                else if (o.kind == ROW && (together == 1 || high - low == 1)) p.at[i] = {o.data + from, -1};
                else if (o.kind == ROW) {
                    p.at[i] = {p.memory[i], -1};
                    for (i64 r = 0; r < least(together, high - low); r++) memcpy(p.memory[i] + r * columns, o.data + from, columns * 4);
                }
            }
            for (i64 row = low; row < high; row += taken) {
                taken = least(together, high - row);
                i64 size = taken * columns;
                for (i64 i = 0; i < n; i++) {
                    const Operand& o = operand[i];
                    if (o.kind == FULL) p.at[i] = {o.data + row * o.step + from, -1};
                    else if (o.kind == COLUMN && i < f.inputs) p.constant(i, o.data[row * o.step]);
                }
                p.evaluate(f, size);
                for (i64 i = f.inputs; i < n && summed; i++) {
                    const float* y = p.memory[i];
                    if (operand[i].kind == ONE) {
                        vf s{};
                        i64 j = 0;
                        for (; j + VL <= size; j += VL) s += load(y + j);
                        if (j < size) s += load_some(y + j, (int)(size - j));
                        totals[offset[i]] += sum(s);
                    }
                    if (operand[i].kind == ROW) {
                        Sums& s = sums[i - f.inputs];
                        if (taken != together) s.flush(together, columns, totals + offset[i] + from);
                        s.add(y, taken, columns, totals + offset[i] + from);
                        if (taken != together) s.flush(taken, columns, totals + offset[i] + from);
                    }
                }
            }
            for (i64 i = f.inputs; i < n && summed; i++)
                if (operand[i].kind == ROW) sums[i - f.inputs].flush(together, columns, totals + offset[i] + from);
        }
    });
    for (i64 i = f.inputs; i < n; i++) {
        if (operand[i].kind != ROW && operand[i].kind != ONE) continue;
        i64 size = operand[i].kind == ROW ? width : 1;
        for (i64 c = 0; c < size; c++) {
            double total = 0;
            for (i64 task = 0; task < parts; task++) total += partial[task * summed + offset[i] + c];
            operand[i].data[c] = (float)total;
        }
    }
}

// The same formula over pieces of memory: `pieces` times a length and a pointer for each operand.
static void pieces(const Formula& f, i64 count, const i64* piece) {
    i64 n = f.inputs + f.outputs, total = 0, each = n + 1;
    constexpr i64 GRAIN = 1 << 14;
    for (i64 i = 0; i < count; i++) total += up(piece[i * each], GRAIN);
    double cost = (double)total * GRAIN * (f.steps + 2) * 0.1;
    auto work = [&](const i64* s, i64 low, i64 high, Places& p) {
        for (i64 from = low; from < high; from += BLOCK) {
            for (i64 i = 0; i < n; i++) p.at[i] = {(float*)s[1 + i] + from, -1};
            p.evaluate(f, least(BLOCK, high - from));
        }
    };
    threads::each(total == count ? 1 : total, cost, [&](i64 task) {
        static thread_local Places p;
        p.begin(f);
        const i64* s = piece;
        if (total == count) {  // all small: one task does them all
            for (i64 i = 0; i < count; i++) work(s + i * each, 0, s[i * each], p);
            return;
        }
        for (; task >= up(s[0], GRAIN); s += each) task -= up(s[0], GRAIN);
        work(s, task * GRAIN, least(s[0], (task + 1) * GRAIN), p);
    });
}

}  // namespace elementwise
