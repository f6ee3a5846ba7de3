// The kernels' C interface: a program is a row of numbers - a kernel, how many arguments, the arguments - and one call runs it.
// Pointers and sizes are 64-bit integers, real numbers the bits of a double. tests/capture and tests/data hold each against NumPy.
#include "conv.h"
#include "elementwise.h"
#include "grouped.h"
#include "images.h"
#include "pooling.h"
#include "random.h"
#include "recurrent.h"
#include "resample.h"
#include "rows.h"
#include "winograd.h"

namespace {

struct Arguments {
    const i64* a;
    i64 next() { return *a++; }
    float* floats() { return (float*)next(); }
    double real() {
        double x;
        memcpy(&x, a++, 8);
        return x;
    }
    template <class Shape>
    Shape shape() {
        Shape s;
        memcpy(&s, a, sizeof(s));
        a += sizeof(s) / 8;
        if constexpr (requires { s.check(); }) s.check();
        return s;
    }
    gemm::Finish finish() {
        gemm::Finish f;
        f.bias = floats(), f.mask = floats();
        i64 flags = next();
        f.accumulate = flags & 1, f.relu = flags & 2, f.any_rows = flags & 4;
        return f;
    }
    elementwise::Formula formula() {
        elementwise::Formula f;
        f.inputs = next(), f.outputs = next(), f.constants = next(), f.constant = floats(), f.places = next(), f.steps = next(), f.step = a;
        a += 3 * f.steps;
        f.look_up();
        return f;
    }
};

typedef void (*Kernel)(Arguments);

struct Products {
    gemm::Finish f;
    i64 batch, m, n, k;
    float *x, *y, *z;
    i64 xr, xc, yr, yc, zr, outer, xb[2], yb[2], zb[2];

    explicit Products(Arguments& a) {
        f = a.finish();
        batch = a.next(), m = a.next(), n = a.next(), k = a.next(), x = a.floats(), y = a.floats(), z = a.floats();
        xr = a.next(), xc = a.next(), yr = a.next(), yc = a.next(), zr = a.next(), outer = most(1, a.next());
        xb[0] = a.next(), xb[1] = a.next(), yb[0] = a.next(), yb[1] = a.next(), zb[0] = a.next(), zb[1] = a.next();
    }
    bool one(i64 i, const gemm::Work* work = nullptr) const {
        i64 p = i / outer, q = i % outer;
        return gemm::matrix(m, n, k, x + p * xb[0] + q * xb[1], xr, xc, y + p * yb[0] + q * yb[1], yr, yc, z + p * zb[0] + q * zb[1], zr, f, work);
    }
};
void matmul(Arguments a) {
    Products p(a);
    if (p.batch == 1) p.one(0);
    else threads::each(p.batch, (double)p.batch * p.m * p.n * p.k / (VL * 2.5), [&](i64 i) { p.one(i); });
}
void matmul_update(Arguments a) {
    Products p(a);
    auto f = a.formula();
    elementwise::behind(f, a.a, [&](const gemm::Work* work) { return p.one(0, work); });
}

void conv_forward(Arguments a) {
    i64 algorithm = a.next();
    gemm::Finish f = a.finish();
    auto s = a.shape<conv::Shape>();
    float *x = a.floats(), *w = a.floats(), *y = a.floats(), *work = a.floats();
    algorithm && !s.is_empty() ? winograd::forward(s, x, w, y, f, work) : conv::forward(s, x, w, y, f, work);
}
void conv_data(Arguments a) {
    i64 algorithm = a.next();
    gemm::Finish f = a.finish();
    auto s = a.shape<conv::Shape>();
    float *g = a.floats(), *w = a.floats(), *gx = a.floats(), *work = a.floats();
    if (algorithm == 2) conv::data_columns(s, g, w, gx, f, work);
    else algorithm && !s.is_empty() ? winograd::data(s, g, w, gx, f, work) : conv::data(s, g, w, gx, f, work);
}
void conv_weight(Arguments a) {
    i64 algorithm = a.next();
    auto s = a.shape<conv::Shape>();
    float *x = a.floats(), *g = a.floats(), *gw = a.floats(), *work = a.floats();
    if (s.is_empty()) memset(gw, 0, s.o * s.from() * s.taps() * 4);  // a sum of nothing
    else algorithm ? winograd::weight(s, x, g, gw, work) : conv::weight(s, x, g, gw, work);
}
void grouped_forward(Arguments a) {
    auto s = a.shape<conv::Shape>();
    float *x = a.floats(), *w = a.floats(), *shift = a.floats(), *y = a.floats();
    grouped::by_width(s.from(), [&]<int K>() { grouped::forward<K>(s, x, w, shift, y); });
}
void grouped_data(Arguments a) {
    auto s = a.shape<conv::Shape>();
    float *g = a.floats(), *w = a.floats(), *gx = a.floats();
    grouped::by_width(s.from(), [&]<int K>() { grouped::data<K>(s, g, w, gx); });
}
void grouped_weight(Arguments a) {
    auto s = a.shape<conv::Shape>();
    float *x = a.floats(), *g = a.floats(), *gw = a.floats(), *work = a.floats();
    grouped::by_width(s.from(), [&]<int K>() { grouped::weight<K>(s, x, g, gw, work); });
}

void map(Arguments a) {
    auto f = a.formula();
    i64 rows = a.next(), width = a.next(), part = a.next();
    double* partial = (double*)a.next();
    elementwise::map(f, rows, width, (const elementwise::Operand*)a.a, partial, part);
}
void map_pieces(Arguments a) {
    auto f = a.formula();
    i64 count = a.next();
    elementwise::pieces(f, count, a.a);
}

// y = x with other strides, up to 6 dimensions, the last ones outermost in cost.
void copy(Arguments a) {
    i64 rank = a.next();
    const float* x = a.floats();
    float* y = a.floats();
    i64 size[6] = {1, 1, 1, 1, 1, 1}, from[6] = {}, to[6] = {};
    for (i64 i = 0; i < rank; i++) size[i] = a.next(), from[i] = a.next(), to[i] = a.next();
    i64 lines = size[0] * size[1] * size[2] * size[3];
    threads::ranges(lines, most(1, (1 << 13) / most(1, size[4] * size[5])), (double)lines * size[4] * size[5] * 0.5, [&](i64 low, i64 high) {
        for (i64 l = low; l < high; l++) {
            i64 d = l % size[3], c = l / size[3] % size[2], b = l / size[3] / size[2] % size[1], q = l / size[3] / size[2] / size[1];
            const float* p = x + q * from[0] + b * from[1] + c * from[2] + d * from[3];
            float* r = y + q * to[0] + b * to[1] + c * to[2] + d * to[3];
            if (from[5] == 1 && to[5] == 1) {
                for (i64 i = 0; i < size[4]; i++) memcpy(r + i * to[4], p + i * from[4], size[5] * 4);
                continue;
            }
            i64 i = 0;
            auto turn = [&](i64 at, i64 j) { transpose8(p + at + j * from[5], from[5], r + at * to[4] + j, to[4]); };
            for (; from[4] == 1 && to[5] == 1 && i + 8 <= size[4];) {  // a transpose, whole lines of the cache at a time where there are
                i64 j = 0, wide = i + 16 <= size[4] ? 16 : 8;
                for (; wide == 16 && j + 16 <= size[5]; j += 16) turn(i, j), turn(i + 8, j), turn(i, j + 8), turn(i + 8, j + 8);
                for (; j + 8 <= size[5]; j += 8)
                    for (i64 e = i; e < i + wide; e += 8) turn(e, j);
                for (; j < size[5]; j++)
                    for (i64 e = i; e < i + wide; e++) r[e * to[4] + j] = p[e + j * from[5]];
                i += wide;
            }
            for (; i < size[4]; i++)
                for (i64 j = 0; j < size[5]; j++) r[i * to[4] + j * to[5]] = p[i * from[4] + j * from[5]];
        }
    });
}
void fill(Arguments a) {
    float* y = a.floats();
    i64 n = a.next();
    float value = (float)a.real();
    for (i64 i = 0; i < n; i++) y[i] = value;
}
void add_integers(Arguments a) {
    const i64 *x = (const i64*)a.next(), *y = (const i64*)a.next();
    i64 *z = (i64*)a.next(), n = a.next(), step = a.next();
    for (i64 i = 0; i < n; i++) z[i] = x[i] + y[i * step];
}

void sum_rows(Arguments a) {
    float* x = a.floats();
    i64 count = a.next(), n = a.next();
    float scale = (float)a.real();
    rows::sum(x, count, n, scale, a.floats());
}
void sum_columns(Arguments a) {
    float* x = a.floats();
    i64 count = a.next(), n = a.next();
    float scale = (float)a.real();
    rows::sum_columns(x, count, n, scale, a.floats());
}
void softmax(Arguments a) {
    float* x = a.floats();
    i64 count = a.next(), n = a.next(), logarithm = a.next();
    rows::softmax(x, count, n, logarithm, a.floats());
}
void softmax_gradient(Arguments a) {
    float *g = a.floats(), *y = a.floats();
    i64 count = a.next(), n = a.next(), logarithm = a.next();
    rows::softmax_gradient(g, y, count, n, logarithm, a.floats());
}
void cross_entropy(Arguments a) {
    float* x = a.floats();
    const i64* target = (const i64*)a.next();
    i64 count = a.next(), n = a.next(), ignored = a.next(), mean = a.next();
    float *loss = a.floats(), *counted = a.floats();
    rows::cross_entropy(x, target, count, n, ignored, mean, loss, counted, a.floats());
}
void cross_entropy_gradient(Arguments a) {
    float *g = a.floats(), *x = a.floats();
    const i64* target = (const i64*)a.next();
    i64 count = a.next(), n = a.next(), ignored = a.next(), mean = a.next();
    float* counted = a.floats();
    rows::cross_entropy_gradient(g, x, target, count, n, ignored, mean, counted, a.floats());
}
void embedding(Arguments a) {
    float* w = a.floats();
    const i64* index = (const i64*)a.next();
    i64 count = a.next(), n = a.next(), width = a.next();
    rows::look_up(w, index, count, n, width, a.floats());
}
void embedding_gradient(Arguments a) {
    float* g = a.floats();
    const i64* index = (const i64*)a.next();
    i64 count = a.next(), n = a.next(), width = a.next(), padding = a.next();
    rows::look_up_gradient(g, index, count, n, width, padding, a.floats());
}
void normalize(Arguments a) {
    float *x = a.floats(), *w = a.floats(), *b = a.floats();
    i64 count = a.next(), n = a.next();
    float eps = (float)a.real(), *y = a.floats(), *mean = a.floats();
    rows::normalize(x, w, b, count, n, eps, y, mean, a.floats());
}
void normalize_gradient(Arguments a) {
    float *g = a.floats(), *x = a.floats(), *w = a.floats(), *mean = a.floats(), *variance = a.floats();
    i64 count = a.next(), n = a.next();
    float eps = (float)a.real(), *gx = a.floats(), *gw = a.floats(), *gb = a.floats(), *partial = a.floats();
    rows::normalize_gradient(g, x, w, mean, variance, count, n, eps, gx, gw, gb, partial, a.next());
}

void recurrent_forward(Arguments a) {
    auto s = a.shape<recurrent::Shape>();
    float *x = a.floats(), *w = a.floats(), *b = a.floats(), *h = a.floats(), *c = a.floats(), *y = a.floats(), *cells = a.floats(), *kept = a.floats();
    auto run = s.cell == recurrent::TANH ? recurrent::forward<recurrent::TANH> : s.cell == recurrent::RELU ? recurrent::forward<recurrent::RELU>
             : s.cell == recurrent::GRU ? recurrent::forward<recurrent::GRU> : recurrent::forward<recurrent::LSTM>;
    run(s, x, w, b, h, c, y, cells, kept);
}
void recurrent_backward(Arguments a) {
    auto s = a.shape<recurrent::Shape>();
    float *gy = a.floats(), *gc = a.floats(), *w = a.floats(), *y = a.floats(), *h = a.floats(), *c = a.floats(), *cells = a.floats(), *kept = a.floats();
    float *dx = a.floats(), *dp = a.floats(), *dh = a.floats(), *dc = a.floats();
    auto run = s.cell == recurrent::TANH ? recurrent::backward<recurrent::TANH> : s.cell == recurrent::RELU ? recurrent::backward<recurrent::RELU>
             : s.cell == recurrent::GRU ? recurrent::backward<recurrent::GRU> : recurrent::backward<recurrent::LSTM>;
    run(s, gy, gc, w, y, h, c, cells, kept, dx, dp, dh, dc);
}

void max_pool(Arguments a) {
    auto s = a.shape<pooling::Shape>();
    float *x = a.floats(), *y = a.floats();
    pooling::greatest(s, x, y, (int32_t*)a.next());
}
void max_pool_gradient(Arguments a) {
    auto s = a.shape<pooling::Shape>();
    float* g = a.floats();
    const int32_t* which = (const int32_t*)a.next();
    float* mask = a.floats();
    pooling::greatest_gradient(s, g, which, mask, a.floats());
}
void max_pool_index(Arguments a) {
    auto s = a.shape<pooling::Shape>();
    const int32_t* which = (const int32_t*)a.next();
    pooling::places(s, which, (i64*)a.next());
}
void unpool(Arguments a) {
    float* g = a.floats();
    const i64* index = (const i64*)a.next();
    i64 planes = a.next(), count = a.next(), size = a.next();
    pooling::scatter(g, index, planes, count, size, a.floats());
}
void avg_pool(Arguments a) {
    auto s = a.shape<pooling::Shape>();
    float *x = a.floats(), *scale = a.floats();
    pooling::average(s, x, scale, a.floats());
}
void avg_pool_gradient(Arguments a) {
    auto s = a.shape<pooling::Shape>();
    float *g = a.floats(), *scale = a.floats();
    pooling::average_gradient(s, g, scale, a.floats());
}

void dropout(Arguments a) {
    float* x = a.floats();
    i64 n = a.next();
    float p = (float)a.real(), scale = (float)a.real();
    const i64* key = (const i64*)a.next();  // seed, stream, start: read when the program runs
    philox::dropout(x, n, p, scale, key[0], key[1], key[2], a.floats());
}

// -- booleans, bags, interpolation

void from_booleans(Arguments a) {
    const uint8_t* x = (const uint8_t*)a.next();
    i64 n = a.next();
    float* y = a.floats();
    for (i64 i = 0; i < n; i++) y[i] = x[i] ? 1.f : 0.f;
}
void embedding_bag(Arguments a) {
    auto s = a.shape<rows::Bags>();
    const float* w = a.floats();
    rows::sum_bags(s, w, a.floats());
}
void embedding_bag_gradient(Arguments a) {
    auto s = a.shape<rows::Bags>();
    const float* g = a.floats();
    rows::sum_bags_gradient(s, g, a.floats());
}
void resize(Arguments a) {
    auto s = a.shape<resample::Shape>();
    const float* x = a.floats();
    resample::run(s, x, a.floats());
}

void uniform(Arguments a) {
    i64 n = a.next(), seed = a.next(), stream = a.next(), start = a.next();
    philox::uniform(n, seed, stream, start, a.floats());
}

void augment(Arguments a) {
    auto b = a.shape<images::Batch>();
    float* y = a.floats();
    *(i64*)a.next() = images::augment(b, y);
}

struct Entry {
    const char* name;
    Kernel kernel;
};
#define ENTRY(name) {#name, name}
const Entry table[] = {
    ENTRY(matmul), ENTRY(matmul_update), ENTRY(conv_forward), ENTRY(conv_data), ENTRY(conv_weight), ENTRY(grouped_forward), ENTRY(grouped_data),
    ENTRY(grouped_weight), ENTRY(map), ENTRY(map_pieces), ENTRY(copy), ENTRY(fill),
    ENTRY(add_integers), ENTRY(sum_rows), ENTRY(sum_columns), ENTRY(softmax), ENTRY(softmax_gradient), ENTRY(cross_entropy), ENTRY(cross_entropy_gradient), ENTRY(embedding), ENTRY(embedding_gradient),
    ENTRY(normalize), ENTRY(normalize_gradient), ENTRY(recurrent_forward), ENTRY(recurrent_backward), ENTRY(max_pool), ENTRY(max_pool_gradient), ENTRY(max_pool_index), ENTRY(unpool), ENTRY(avg_pool), ENTRY(avg_pool_gradient), ENTRY(dropout),
    ENTRY(uniform), ENTRY(augment),
    ENTRY(from_booleans), ENTRY(embedding_bag), ENTRY(embedding_bag_gradient), ENTRY(resize),
};

}  // namespace

#define PUBLIC __attribute__((visibility("default")))

extern "C" {

// The name of a kernel by its number; null past the last.
PUBLIC const char* epochline_kernel(i64 i) { return i < (i64)(sizeof(table) / sizeof(Entry)) ? table[i].name : nullptr; }

PUBLIC void epochline_threads(i64 n) { threads::set((int)n); }

// Runs `size` numbers of program, and stops where a kernel meets data it cannot use: 0, or what is missing.
PUBLIC i64 epochline_run(const i64* code, i64 size) {
    const i64* end = code + size;
    rows::missing = 0;
    while (code < end) {
        table[code[0]].kernel(Arguments{code + 2});
        if (rows::missing) return rows::missing;
        code += 2 + code[1];
    }
    return 0;
}

// Runs a program `steps` times in one call. What goes from one step to the next differently lies in rows: `copies` times a place
// in the program, the first row, the bytes of a row, and whether it is read before a step (0) or written after it (1).
PUBLIC i64 epochline_repeat(const i64* code, i64 size, i64 steps, const i64* copy, i64 copies) {
    for (i64 i = 0; i < steps; i++) {
        for (i64 c = 0; c < copies; c++)
            if (!copy[4 * c + 3]) memcpy((void*)copy[4 * c], (const char*)copy[4 * c + 1] + i * copy[4 * c + 2], copy[4 * c + 2]);
        i64 wrong = epochline_run(code, size);
        if (wrong) return wrong;
        for (i64 c = 0; c < copies; c++)
            if (copy[4 * c + 3]) memcpy((char*)copy[4 * c + 1] + i * copy[4 * c + 2], (const void*)copy[4 * c], copy[4 * c + 2]);
    }
    return 0;
}

// Floats of working memory of a convolution.
PUBLIC i64 epochline_conv_workspace(const i64* shape, i64 algorithm) {
    conv::Shape s;
    memcpy(&s, shape, sizeof(s));
    s.check();
    return algorithm == 3 ? grouped::workspace(s) : algorithm == 1 ? winograd::workspace(s) : conv::workspace(s);
}

PUBLIC i64 epochline_vector(void) { return VL; }
}
