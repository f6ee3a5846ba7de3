// Matrix products, and everything that can be written as one: a register tile of MR x NV vectors accumulates over
// segments. In a segment each of the MR rows of A is a pointer of its own, so the same kernel serves matrices in either
// order, the windows of a convolution (a segment a kernel position) and weight gradients (a segment a row of pixels).
// The order of additions in an element never depends on the tile it lies in: results do not depend on threads or blocks.
#pragma once
#include "threads.h"

namespace gemm {

constexpr int MR = VL == 8 ? 6 : 8, NV = 2, NR = NV * VL;
constexpr int FEW = 4;  // products between two pieces of the work beside them

struct Segment {
    const float* a[MR];  // where each row begins
    const float* b;      // columns of B
    i64 n;               // how many products
};

// What happens to a tile when it is written: + C, + bias, maximum with 0, 0 where `mask` is not above 0.
struct Finish {
    const float* bias = nullptr;
    const float* mask = nullptr;  // lies as C does
    const float* base = nullptr;  // where C begins, to find the place in `mask`
    bool accumulate = false, relu = false;
    bool any_rows = false;  // an element's bits must not depend on how many rows there are
};

// Work on the elements of C: an optimizer's update behind the gradient. That on a tile is done beside the products of the next one,
// while the units for division and memory have time.
struct Work {
    struct Tile {
        i64 at = 0, rows = 0;  // where the next row of a tile begins, and how many there are to do
    };
    // a whole tile, rows of C `row` apart, and beside it the work on `last`, which then is this tile
    void (*beside)(const Work& w, Tile& last, i64 here, i64 row, const Segment* s, i64 ka, i64 kb, float* const* c, i64 column, const Finish& f);
    void (*on)(const Work& w, i64 from, i64 row, i64 rows, i64 width);  // `width` elements from `from` on, and of the rows that follow
};

struct Nothing {};

// M rows and N vectors, of which the last is `last` floats wide: VL, known to the compiler, where it is WHOLE. `beside` is called
// every few products: what it does is done while they are summed. It needs registers, so the rows of A then lie next to each other.
template <int M, int N, bool WHOLE, class Beside = Nothing>
static inline void tile(const Segment* s, i64 count, i64 ka, i64 kb, float* const* c, i64 column, int last, const Finish& f, Beside beside = {}) {
    auto get = [&](const float* p, int j) { return WHOLE || j + 1 < N ? load(p + j * VL) : load_some(p + j * VL, last); };
    vf acc[M][N] = {};
    for (i64 t = 0; t < count; t++, s++) {
        const float* b = s->b;
        auto add = [&](auto a) {
            vf q[N];
            for (int j = 0; j < N; j++) q[j] = get(b, j);
            for (int m = 0; m < M; m++)
                for (int j = 0; j < N; j++) acc[m][j] += a(m) * q[j];
            b += kb;
        };
        i64 k = s->n;
        if constexpr (__is_same(Beside, Nothing)) {
            const float* a[M];
            for (int m = 0; m < M; m++) a[m] = s->a[m];
            for (i64 at = 0; k; k--, at += ka) add([&](int m) { return a[m][at]; });
        } else {
            const float* a = s->a[0];
            auto next = [&](int m) { return a[m]; };
            for (; k > 0; k -= FEW, beside())
                for (int i = 0; i < FEW; i++) {
                    add(next), a += ka;
                    __asm__("" : "+r"(a), "+r"(b));  // or each of them takes two registers
                }
        }
    }
    if (f.bias)
        for (int j = 0; j < N; j++) {
            vf bias = get(f.bias + column, j);
            for (int m = 0; m < M; m++) acc[m][j] += bias;
        }
    if (f.accumulate)
        for (int m = 0; m < M; m++)
            for (int j = 0; j < N; j++) acc[m][j] += get(c[m] + column, j);
    if (f.relu)
        for (int m = 0; m < M; m++)
            for (int j = 0; j < N; j++) acc[m][j] = pick(acc[m][j] > vf{}, acc[m][j], vf{});
    if (f.mask)
        for (int m = 0; m < M; m++)
            for (int j = 0; j < N; j++) acc[m][j] = pick(get(f.mask + (c[m] - f.base) + column, j) > vf{}, acc[m][j], vf{});
    for (int m = 0; m < M; m++)
        for (int j = 0; j < N; j++) {
            float* to = c[m] + column + j * VL;
            if (WHOLE || j + 1 < N) store(to, acc[m][j]);
            else store_some(to, acc[m][j], last);
        }
}

template <int N, bool WHOLE>
static inline void rows(int m, const Segment* s, i64 count, i64 ka, i64 kb, float* const* c, i64 column, int last, const Finish& f) {
    switch (m) {
        case 1: return tile<1, N, WHOLE>(s, count, ka, kb, c, column, last, f);
        case 2: return tile<2, N, WHOLE>(s, count, ka, kb, c, column, last, f);
        case 3: return tile<3, N, WHOLE>(s, count, ka, kb, c, column, last, f);
        case 4: return tile<4, N, WHOLE>(s, count, ka, kb, c, column, last, f);
        case 5: return tile<5, N, WHOLE>(s, count, ka, kb, c, column, last, f);
        case 6: return tile<6, N, WHOLE>(s, count, ka, kb, c, column, last, f);
#if !defined(__AVX2__) || defined(__AVX512F__)
        case 7: return tile<7, N, WHOLE>(s, count, ka, kb, c, column, last, f);
        case 8: return tile<8, N, WHOLE>(s, count, ka, kb, c, column, last, f);
#endif
    }
}

// C[m rows at c[], column .. column + width) from `count` segments. ka: step of k in A; kb: step of k in B.
static inline void product(int m, const Segment* s, i64 count, i64 ka, i64 kb, float* const* c, i64 column, int width, const Finish& f) {
    if (width == NR) rows<2, true>(m, s, count, ka, kb, c, column, VL, f);
    else if (width > VL) rows<2, false>(m, s, count, ka, kb, c, column, width - VL, f);
    else if (width == VL) rows<1, true>(m, s, count, ka, kb, c, column, VL, f);
    else rows<1, false>(m, s, count, ka, kb, c, column, width, f);
}

// Memory of the calling thread's own that lasts until it asks again; `slot` tells uses apart.
static float* scratch(int slot, i64 floats) {
    static thread_local float* held[4];
    static thread_local i64 size[4];
    if (size[slot] < floats) {
        __builtin_free(held[slot]);
        i64 bytes = (floats * 4 + 4095) / 4096 * 4096;
        held[slot] = (float*)__builtin_malloc(bytes + 64);
        size[slot] = floats;
    }
    return (float*)(((uintptr_t)held[slot] + 63) / 64 * 64);
}

// Columns [column, column + width) of B (k, n) as rows that are NR apart.
static void pack(const float* b, i64 k, i64 row, i64 col, i64 column, int width, float* to) {
    const float* from = b + column * col;
    i64 i = 0;
    if (col == 1)
        for (; i < k; i++) memcpy(to + i * NR, from + i * row, sizeof(float) * width);
    int whole = width / 8 * 8;
    if (row == 1 && whole)
        for (; i + 16 <= k; i += 16) {  // transposed in registers, a line of the cache at a time
            for (int j = 0; j < whole; j += 8)
                for (i64 h = i; h < i + 16; h += 8) transpose8(from + j * col + h, col, to + h * NR + j, NR);
            for (int j = whole; j < width; j++)
                for (i64 h = i; h < i + 16; h++) to[h * NR + j] = from[j * col + h];
        }
    for (; i < k; i++)
        for (int j = 0; j < width; j++) to[i * NR + j] = from[j * col + i * row];
}

// Where both A and B^T lie along k: the lanes of a register are products k, k + 1, ..., and are added up at the end. Nothing is
// packed, and no lane is without work where n is not a multiple of NR.
namespace dots {

constexpr int ROWS = VL == 16 ? 4 : 2, COLUMNS = VL / ROWS;  // as many registers of sums as one has lanes

// From 2 K lanes of sums to K: neighbours are added, x's results on the even places.
template <int K, int... I>
static inline vf halve(Numbers<I...>, vf x, vf y) {
    return __builtin_shufflevector(x, y, (I / K % 2 ? VL + I - K : I)...) + __builtin_shufflevector(x, y, (I / K % 2 ? VL + I : I + K)...);
}

// The sums of the lanes of VL vectors, as one vector.
template <int K = 1, int N = VL>
static inline vf sums(vf* v) {
    if constexpr (N == 1) return v[0];
    else {
        for (int i = 0; i < N / 2; i++) v[i] = halve<K>(typename Upto<VL>::All{}, v[2 * i], v[2 * i + 1]);
        return sums<2 * K, N / 2>(v);
    }
}

template <int M, int N>
static void tile(const float* a, i64 arow, const float* b, i64 brow, i64 k, float* c, i64 ldc, i64 column, const Finish& f) {
    vf acc[M][N] = {};
    auto step = [&](auto get, i64 i) {
        vf q[N];
        for (int j = 0; j < N; j++) q[j] = get(b + j * brow + i);
        for (int m = 0; m < M; m++) {
            vf p = get(a + m * arow + i);
            for (int j = 0; j < N; j++) acc[m][j] += p * q[j];
        }
    };
    i64 i = 0;
    for (; i + VL <= k; i += VL) step(load, i);
    if (i < k) step([&](const float* p) { return load_some(p, (int)(k - i)); }, i);
    vf v[VL] = {};
    for (int m = 0; m < M; m++)
        for (int j = 0; j < N; j++) v[m * N + j] = acc[m][j];
    vf y = sums(v);
    float lane[VL] = {};
    auto at = [&](const float* p) {  // what lies there as C does
        for (int e = 0; e < M * N; e++) lane[e] = p[e / N * ldc + e % N];
        return load(lane);
    };
    if (f.bias) {
        for (int e = 0; e < M * N; e++) lane[e] = f.bias[column + e % N];
        y += load(lane);
    }
    if (f.accumulate) y += at(c);
    if (f.relu) y = pick(y > vf{}, y, vf{});
    if (f.mask) y = pick(at(f.mask + (c - f.base)) > vf{}, y, vf{});
    store(lane, y);
    for (int m = 0; m < M; m++) memcpy(c + m * ldc, lane + m * N, N * sizeof(float));
}

template <int N>
static void rows(i64 m, i64 k, const float* a, i64 arow, const float* b, i64 brow, float* c, i64 ldc, i64 column, const Finish& f) {
    i64 i = 0;
    for (; i + ROWS <= m; i += ROWS) tile<ROWS, N>(a + i * arow, arow, b, brow, k, c + i * ldc, ldc, column, f);
    for (; i < m; i++) tile<1, N>(a + i * arow, arow, b, brow, k, c + i * ldc, ldc, column, f);
}

// Where sums are long, and A stays in the outer cache while it passes by for every few columns.
static bool fits(i64 m, i64 k, i64 acol, i64 brow) { return acol == 1 && brow == 1 && k >= 16 * VL && m * k <= 3 << 15; }

static void matrix(i64 m, i64 n, i64 k, const float* a, i64 arow, const float* b, i64 brow, float* c, i64 ldc, const Finish& f) {
    threads::each(up(n, COLUMNS), (double)m * n * k / (VL * 2.5), [&](i64 task) {
        i64 j = task * COLUMNS;
        if (j + COLUMNS <= n) return rows<COLUMNS>(m, k, a, arow, b + j * brow, brow, c + j, ldc, j, f);
        for (; j < n; j++) rows<1>(m, k, a, arow, b + j * brow, brow, c + j, ldc, j, f);
    });
}

}  // namespace dots

// A tile of C^T, `count` rows of NR, to C: `width` rows of it from c, which is in column `column`.
static void turn(const float* tile, int count, int width, float* c, i64 ldc, i64 column, const Finish& f) {
    alignas(64) float rows[NR * VL];
    for (int j = 0; j < width; j += 8)
        if (count == 8) transpose8(tile + j, NR, rows + j * VL, VL);
        else
            for (int i = 0; i < count; i++)
                for (int e = j; e < j + 8; e++) rows[e * VL + i] = tile[i * NR + e];
    auto get = [&](const float* p) { return load_some(p, count); };
    for (int j = 0; j < width; j++, c += ldc) {
        vf y = get(rows + j * VL);
        if (f.bias) y += get(f.bias + column);
        if (f.accumulate) y += get(c);
        if (f.relu) y = pick(y > vf{}, y, vf{});
        if (f.mask) y = pick(get(f.mask + (c - f.base)) > vf{}, y, vf{});
        store_some(c, y, count);
    }
}

// C (m, n), rows ldc apart, = A (m, k) B (k, n), each with a step by row and a step by column. Says whether `work` was done.
static bool matrix(i64 m, i64 n, i64 k, const float* a, i64 arow, i64 acol, const float* b, i64 brow, i64 bcol, float* c, i64 ldc, const Finish& finish, const Work* work = nullptr) {
    Finish f = finish;
    f.base = c;
    if (!f.any_rows && dots::fits(m, k, acol, brow)) return dots::matrix(m, n, k, a, arow, b, bcol, c, ldc, f), false;
    // a large A that lies across is read anew for every few columns, a page for each k: by parts of k that stay in the cache
    constexpr i64 PART = 512;
    if (!f.any_rows && acol != 1 && k > PART && m * k * up(n, NR) > 1 << 23) {
        for (i64 at = 0; at < k; at += PART) {
            Finish part = at + PART < k ? Finish{} : finish;
            part.accumulate = at || finish.accumulate;
            bool done = matrix(m, n, least(PART, k - at), a + at * acol, arow, acol, b + at * brow, brow, bcol, c, ldc, part, at + PART < k ? nullptr : work);
            if (at + PART >= k) return done;
        }
    }
    // what is copied is B: where that is the larger one and lies as A does, C^T = B^T A^T is computed
    bool turned = MR <= VL && acol == 1 && brow == 1 && n >= 2 * m && m >= NR;
    if (turned) exchange(m, n), exchange(a, b), exchange(arow, bcol);
    // beside products there is room for work if there are enough of them, and no vector of C lies in two lines of the cache
    if (turned || arow != 1 || k % FEW || k < FEW * MR || ldc % VL) work = nullptr;
    // as many columns are copied together as the outer cache holds beside A: rows of A pass by once for all of them
    i64 wide = NR * most(1, least(8, (1 << 17) / (k * NR + 1))), panels = up(n, wide), blocks = up(m, MR);
    // threads share the panels, and the rows too where there are few panels; the cut changes no bits
    i64 parts = least(blocks, up(2 * threads::pool.wanted, panels));
    if (threads::pool.wanted == 1) parts = 1;
    i64 per = up(blocks, parts);
    double cost = (double)m * n * k / (VL * 2.5);
    threads::each(panels * parts, cost, [&](i64 task) {
        i64 left = task / parts * wide, right = least(n, left + wide), first = task % parts * per, last = least(blocks, first + per);
        if (first >= last) return;
        // many rows of B far apart cost a page each, or meet in one set of the cache: copied once where they are used again
        bool packs = bcol != 1 || (last - first > 2 && brow != NR && (k > 64 || brow % 32 == 0));
        float* packed = packs ? scratch(0, k * wide) : nullptr;
        if (packs)
            for (i64 column = left; column < right; column += NR) pack(b, k, brow, bcol, column, (int)least(NR, n - column), packed + (column - left) * k);
        Work::Tile before;
        for (i64 block = first; block < last; block++) {
            int count = (int)least(MR, m - block * MR);
            Segment s;
            alignas(64) float tile[MR * NR];
            float* to[MR];
            for (int i = 0; i < count; i++) {
                s.a[i] = a + (block * MR + i) * arow;
                to[i] = turned ? tile + i * NR : c + (block * MR + i) * ldc;
            }
            s.n = k;
            for (i64 column = left; column < right; column += NR) {
                int width = (int)least(NR, n - column);
                s.b = packs ? packed + (column - left) * k : b + column * bcol;
                if (work && count == MR && width == NR) {
                    work->beside(*work, before, block * MR * ldc + column, ldc, &s, acol, packs ? NR : brow, to, column, f);
                    continue;
                }
                product(count, &s, 1, acol, packs ? NR : brow, to, turned ? 0 : column, width, turned ? Finish{} : f);
                if (turned) turn(tile, count, width, c + column * ldc + block * MR, ldc, block * MR, f);
                if (work) work->on(*work, block * MR * ldc + column, ldc, count, width);
            }
        }
        if (before.rows) work->on(*work, before.at, ldc, before.rows, NR);
    });
    return work;
}

}  // namespace gemm
