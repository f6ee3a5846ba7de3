// Vectors of floats as wide as the processor's registers, and the mathematics on them.
#pragma once
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

typedef int64_t i64;

#if defined(__AVX512F__)
constexpr int VL = 16;  // floats a vector
#elif defined(__AVX2__)
constexpr int VL = 8;
#else
constexpr int VL = 4;
#endif

// aligned(4): arrays start where NumPy put them
typedef float vf __attribute__((vector_size(VL * 4), aligned(4)));
typedef int32_t vi __attribute__((vector_size(VL * 4), aligned(4)));

static inline vf load(const float* p) { return *(const vf*)p; }
static inline void store(float* p, vf v) { *(vf*)p = v; }
static inline vf splat(float x) { return vf{} + x; }
static inline vf pick(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
static inline vf vmax(vf a, vf b) { return pick(a > b, a, b); }
static inline vf vmin(vf a, vf b) { return pick(a < b, a, b); }

// The first n floats at p, and zeros; or to p, the first n.
#if defined(__AVX512F__)
static inline vf load_some(const float* p, int n) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
static inline void store_some(float* p, vf v, int n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }
#elif defined(__AVX2__)
static inline __m256i first(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
static inline vf load_some(const float* p, int n) { return (vf)_mm256_maskload_ps(p, first(n)); }
static inline void store_some(float* p, vf v, int n) { _mm256_maskstore_ps(p, first(n), (__m256)v); }
#else
static inline vf load_some(const float* p, int n) {
    float t[VL] = {};
    for (int i = 0; i < n; i++) t[i] = p[i];
    return load(t);
}
static inline void store_some(float* p, vf v, int n) {
    for (int i = 0; i < n; i++) p[i] = v[i];
}
#endif
static inline i64 least(i64 a, i64 b) { return a < b ? a : b; }
static inline i64 most(i64 a, i64 b) { return a > b ? a : b; }
static inline i64 up(i64 n, i64 d) { return d > 0 ? (n + d - 1) / d : 0; }  // of nothing each, none: sizes of 0 come here
template <class T>
static inline void exchange(T& a, T& b) {
    T c = a;
    a = b, b = c;
}

// For x = n log 2 + r with r near 0: n, and exp(r) - 1 (Cephes' expf).
static inline vf times_log2(vf x) {
    vf magic = splat(12582912.f);  // 1.5 * 2^23: adding it rounds to the nearest integer
    return (x * 1.44269504088896341f + magic) - magic;
}
static inline vf exp_of_rest(vf x, vf n) {
    x = x - n * 0.693359375f - n * -2.12194440e-4f;
    vf p = splat(1.9875691500e-4f);
    p = p * x + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    return p * x * x + x;
}

// Cephes' expf: |error| < 1 ulp; 0 below -103.97, infinity above 88.7228.
static inline vf vexp(vf x0) {
    vf x = vmin(vmax(x0, splat(-104.f)), splat(88.7228f)), n = times_log2(x);
    vf p = exp_of_rest(x, n) + 1.f;
    vi e = __builtin_convertvector(n, vi);
    vi half = e >> 1;  // two factors: 2^127 and more does not overflow on the way
    vf y = p * (vf)((half + 127) << 23) * (vf)((e - half + 127) << 23);
    y = pick(x0 < splat(-103.97f), vf{}, y);
    y = pick(x0 > splat(88.7228f), splat(__builtin_inff()), y);
    return pick(x0 != x0, x0, y);
}

// Cephes' logf.
static inline vf vlog(vf x0) {
    vi tiny = x0 < splat(1.17549435e-38f);
    vf x = pick(tiny, x0 * 8388608.f, x0);
    vi bits = (vi)x;
    vi e = ((bits >> 23) & 255) - 126;
    vf m = (vf)((bits & 0x007fffff) | 0x3f000000);
    vi small = m < splat(0.707106781186547524f);
    e = e + small - (tiny & 23);
    m = m + pick(small, m, vf{}) - 1.f;
    vf z = m * m;
    vf p = splat(7.0376836292e-2f);
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    vf f = __builtin_convertvector(e, vf);
    vf y = m * z * p + f * -2.12194440e-4f - z * 0.5f;
    y = m + y + f * 0.693359375f;
    y = pick(x0 == splat(__builtin_inff()), x0, y);
    y = pick(x0 == vf{}, splat(-__builtin_inff()), y);
    return pick(x0 < vf{}, splat(__builtin_nanf("")), pick(x0 != x0, x0, y));
}

// Cephes' tanhf: a polynomial near zero, exponentials elsewhere.
static inline vf vtanh(vf x) {
    vf a = pick(x < vf{}, -x, x);
    vf e = vexp(a * 2.f);
    vf far = 1.f - 2.f / (e + 1.f);
    far = pick(x < vf{}, -far, far);
    vf z = x * x;
    vf p = splat(-5.70498872745e-3f);
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    vf near = p * z * x + x;
    return pick(x != x, x, pick(a < splat(0.625f), near, far));
}

// erf: an odd rational function within 4, beyond which it is 1 in single precision (the coefficients of Eigen's).
static inline vf verf(vf x0) {
    vf x = vmin(vmax(x0, splat(-4.f)), splat(4.f)), z = x * x;
    vf p = splat(-2.72614225801306e-10f);
    p = p * z + 2.77068142495902e-08f;
    p = p * z - 2.10102402082508e-06f;
    p = p * z - 5.69250639462346e-05f;
    p = p * z - 7.34990630326855e-04f;
    p = p * z - 2.95459980854025e-03f;
    p = p * z - 1.60960333262415e-02f;
    vf q = splat(-1.45660718464996e-05f);
    q = q * z - 2.13374055278905e-04f;
    q = q * z - 1.68282697438203e-03f;
    q = q * z - 7.37332916720468e-03f;
    q = q * z - 1.42647390514189e-02f;
    return pick(x0 != x0, x0, vmin(vmax(x * p / q, splat(-1.f)), splat(1.f)));
}

template <int... I>
struct Numbers {};
// 0, 1, ... N - 1, for what is written out once for each.
template <int N, int... I>
struct Upto : Upto<N - 1, N - 1, I...> {};
template <int... I>
struct Upto<0, I...> {
    typedef Numbers<I...> All;
};

template <int... I>
static inline vi indices(Numbers<I...>) { return vi{I...}; }
// The first n lanes, and `rest` in the others.
static inline vf first_lanes(vf v, int n, vf rest = vf{}) { return pick(indices(Upto<VL>::All{}) < n, v, rest); }

// One number from all lanes: f joins the upper half with the lower one until one is left.
template <int W, class F, int... I>
static inline vf halved(Numbers<I...>, vf v, const F& f) { return f(v, __builtin_shufflevector(v, v, (I ^ W)...)); }
template <int W = VL / 2, class F>
static inline float fold(vf v, const F& f) {
    if constexpr (W == 0) return v[0];
    else return fold<W / 2>(halved<W>(Upto<VL>::All{}, v, f), f);
}
static inline float sum(vf v) { return fold(v, [](vf a, vf b) { return a + b; }); }

typedef float v8 __attribute__((vector_size(32), aligned(4)));

// Eight rows of eight floats, `from` apart, become columns.
static inline void transpose8(const float* x, i64 from, float* y, i64 to) {
    v8 r[8], s[8];
    for (int i = 0; i < 8; i++) r[i] = *(const v8*)(x + i * from);
    for (int i = 0; i < 4; i++) {
        s[2 * i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        s[2 * i + 1] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            r[4 * i + j] = __builtin_shufflevector(s[4 * i + j], s[4 * i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            r[4 * i + j + 2] = __builtin_shufflevector(s[4 * i + j], s[4 * i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int j = 0; j < 4; j++) {
        *(v8*)(y + j * to) = __builtin_shufflevector(r[j], r[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(v8*)(y + (j + 4) * to) = __builtin_shufflevector(r[j], r[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

static inline vf vsqrt(vf x) {
#if __has_builtin(__builtin_elementwise_sqrt)
    return __builtin_elementwise_sqrt(x);
#else
    for (int i = 0; i < VL; i++) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}
