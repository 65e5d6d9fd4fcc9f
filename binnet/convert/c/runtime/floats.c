/* Vectors of floats. A sum is fused with its product where the processor can, and nowhere else. */

#if defined(BN_AVX512)

typedef __m512 bn_floats;
#define BN_FLOAT_PIXELS 8
#define BN_LANES 16

BN_INLINE bn_floats bn_zeros(void) { return _mm512_setzero_ps(); }
BN_INLINE bn_floats bn_load(const float *y) { return _mm512_loadu_ps(y); }
BN_INLINE void bn_store(float *y, bn_floats value) { _mm512_storeu_ps(y, value); }

BN_INLINE bn_floats bn_add_product(bn_floats sum, float x, bn_floats w)
{
    return _mm512_fmadd_ps(_mm512_set1_ps(x), w, sum);
}

/* 1 or -1 a lane; the lowest bit is the sign of the first. */
BN_INLINE bn_floats bn_signs(unsigned bits)
{
    return _mm512_mask_blend_ps((__mmask16)bits, _mm512_set1_ps(1.0f), _mm512_set1_ps(-1.0f));
}

#elif defined(BN_AVX2)

typedef __m256 bn_floats;
#define BN_FLOAT_PIXELS 6
#define BN_LANES 8

BN_INLINE bn_floats bn_zeros(void) { return _mm256_setzero_ps(); }
BN_INLINE bn_floats bn_load(const float *y) { return _mm256_loadu_ps(y); }
BN_INLINE void bn_store(float *y, bn_floats value) { _mm256_storeu_ps(y, value); }

BN_INLINE bn_floats bn_add_product(bn_floats sum, float x, bn_floats w)
{
#if defined(__FMA__)
    return _mm256_fmadd_ps(_mm256_set1_ps(x), w, sum);
#else
    return _mm256_add_ps(sum, _mm256_mul_ps(_mm256_set1_ps(x), w));
#endif
}

BN_INLINE bn_floats bn_signs(unsigned bits)
{
    const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i negative = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), lane), lane);
    return _mm256_or_ps(_mm256_and_ps(_mm256_castsi256_ps(negative), _mm256_set1_ps(-0.0f)), _mm256_set1_ps(1.0f));
}

#elif defined(BN_SSE2) || defined(BN_NEON) || defined(BN_WASM)

#if defined(BN_NEON)
typedef float32x4_t bn_floats;
#define BN_FLOAT_PIXELS 4
#else
typedef float bn_floats __attribute__((vector_size(16)));
#define BN_FLOAT_PIXELS 2
#endif
typedef float bn_floats_anywhere __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t bn_whole __attribute__((vector_size(16)));
#define BN_LANES 4

BN_INLINE bn_floats bn_zeros(void)
{
    const bn_floats zeros = {0.0f, 0.0f, 0.0f, 0.0f};
    return zeros;
}

BN_INLINE bn_floats bn_load(const float *y) { return (bn_floats)(*(const bn_floats_anywhere *)y); }
BN_INLINE void bn_store(float *y, bn_floats value) { *(bn_floats_anywhere *)y = (bn_floats_anywhere)value; }

BN_INLINE bn_floats bn_add_product(bn_floats sum, float x, bn_floats w)
{
#if defined(BN_NEON)
    return vfmaq_n_f32(sum, w, x);
#else
    const bn_floats spread = {x, x, x, x};
    return sum + spread * w;
#endif
}

BN_INLINE bn_floats bn_signs(unsigned bits)
{
    const bn_whole lane = {1, 2, 4, 8}, one = {0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000}; /* 1.0f */
    const bn_whole minus = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};
    const int32_t value = (int32_t)(bits & 15u);
    const bn_whole spread = {value, value, value, value};
    return (bn_floats)((((spread & lane) == lane) & minus) | one);
}

#else

typedef float bn_floats;
#define BN_FLOAT_PIXELS 1
#define BN_LANES 1

BN_INLINE bn_floats bn_zeros(void) { return 0.0f; }
BN_INLINE bn_floats bn_load(const float *y) { return *y; }
BN_INLINE void bn_store(float *y, bn_floats value) { *y = value; }

BN_INLINE bn_floats bn_add_product(bn_floats sum, float x, bn_floats w)
{
#if defined(__GNUC__) && (defined(__FMA__) || defined(__ARM_FEATURE_FMA))
    return __builtin_fmaf(x, w, sum);
#else
    return sum + x * w;
#endif
}

BN_INLINE bn_floats bn_signs(unsigned bits) { return bits & 1u ? -1.0f : 1.0f; }

#endif

#define BN_FLOAT_VECTORS (BN_FF / BN_LANES)
