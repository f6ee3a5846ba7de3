// Element-by-element formulas, interpreted a block at a time: a block's intermediate results stay in the first-level cache,
// so a chain of operations reads and writes memory once. Results may also be summed over rows on the way.
#pragma once
#include "formulas.h"
#include "threads.h"

namespace elementwise {

constexpr int BLOCK = 512, LIMIT = 48;  // floats a block; operands and intermediates a formula

// Each step is 3 numbers: code, where to, and operands packed as a | b << 16 | c << 32.
struct Formula {
    i64 inputs, outputs, constants, places, steps;
    const i64* step;
    const float* constant;
    Evaluate compiled = nullptr;
    const gemm::Work* work = nullptr;

    void look_up() {
        for (const Known& k : known)
            if (k.inputs == inputs && k.outputs == outputs && k.constants == constants && k.size == 24 * steps && !memcmp(k.step, step, k.size))
                compiled = k.evaluate, work = k.work;
    }
};

template <int C>
static void each(float* d, Place a, Place b, Place c, i64 n) {
    i64 i = 0;
    for (; i + VL <= n; i += VL) store(d + i, apply<C>(a.at(i), arity(C) > 1 ? b.at(i) : vf{}, arity(C) > 2 ? c.at(i) : vf{}));
    if (i == n) return;
    int left = (int)(n - i);
    store_some(d + i, apply<C>(a.some(i, left), arity(C) > 1 ? b.some(i, left) : vf{}, arity(C) > 2 ? c.some(i, left) : vf{}), left);
}

template <int... C>
static void run_step(Numbers<C...>, const i64* s, const Place* at, i64 n) {
    static constexpr void (*run[])(float*, Place, Place, Place, i64) = {each<C>...};
    run[s[0]](at[s[1]].p, at[s[2] & 0xffff], at[s[2] >> 16 & 0xffff], at[s[2] >> 32 & 0xffff], n);
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
        if (f.compiled) return f.compiled(at, n);
        for (i64 i = 0; i < f.steps; i++) run_step(typename Upto<CODES>::All{}, f.step + 3 * i, at, n);
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
    alignas(64) float held[BLOCK + 2 * VL];
    int count = 0;

    Place place() { return {held, count ? Place::ADD : -1}; }
    void add(const float* y, i64 size) {
        i64 i = 0;
        for (; i + VL <= size; i += VL) store(held + i, count ? load(held + i) + load(y + i) : load(y + i));
        for (; i < size; i++) held[i] = count ? held[i] + y[i] : y[i];
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
    i64 together = flat && !by_column ? most(1, BLOCK / most(1, width)) : 1;
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
                    else if (o.kind == ROW && i >= f.inputs) {
                        Sums& s = sums[i - f.inputs];
                        if (taken != together) s.flush(together, columns, totals + offset[i] + from);
                        if (f.compiled) p.at[i] = s.place();
                    }
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
                        if (!f.compiled) s.add(y, size);
                        if (++s.count == Sums::FEW || taken != together) s.flush(taken, columns, totals + offset[i] + from);
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

// product(work) computes a matrix as large as a piece, and says whether it did the formula on its elements too.
template <class F>
static void behind(const Formula& f, const i64* piece, const F& product) {
    static thread_local Places p;
    p.begin(f);
    for (i64 i = 0; i < f.inputs + f.outputs; i++) p.at[i] = {(float*)piece[1 + i], -1};
    Update update{f.work ? *f.work : gemm::Work{}, p.at};
    if (!product(f.work ? &update : nullptr)) pieces(f, 1, piece);
}

}  // namespace elementwise
