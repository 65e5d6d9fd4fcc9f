/* Floats to bits: bit i is 1 where low[i] <= y[i] <= high[i], never for NaN. */

/* The bits of BN_GROUP values. */
#if defined(BN_AVX512)
#define BN_GROUP 8
BN_INLINE bn_word bn_reached(const float *y, const float *low, const float *high)
{
    const __m256 value = _mm256_loadu_ps(y);
    const __mmask8 above = _mm256_cmp_ps_mask(value, _mm256_loadu_ps(low), _CMP_GE_OQ);
    return _mm256_mask_cmp_ps_mask(above, value, _mm256_loadu_ps(high), _CMP_LE_OQ);
}
#elif defined(BN_AVX2)
#define BN_GROUP 8
BN_INLINE bn_word bn_reached(const float *y, const float *low, const float *high)
{
    const __m256 value = _mm256_loadu_ps(y), above = _mm256_cmp_ps(value, _mm256_loadu_ps(low), _CMP_GE_OQ);
    const __m256 both = _mm256_and_ps(above, _mm256_cmp_ps(value, _mm256_loadu_ps(high), _CMP_LE_OQ));
    return (bn_word)(unsigned)_mm256_movemask_ps(both);
}
#elif defined(BN_SSE2)
#define BN_GROUP 4
BN_INLINE bn_word bn_reached(const float *y, const float *low, const float *high)
{
    const __m128 value = _mm_loadu_ps(y), above = _mm_cmpge_ps(value, _mm_loadu_ps(low));
    return (bn_word)(unsigned)_mm_movemask_ps(_mm_and_ps(above, _mm_cmple_ps(value, _mm_loadu_ps(high))));
}
#elif defined(BN_NEON)
#define BN_GROUP 4
BN_INLINE bn_word bn_reached(const float *y, const float *low, const float *high)
{
    static const uint32_t bits[4] = {1, 2, 4, 8};
    const float32x4_t value = vld1q_f32(y);
    const uint32x4_t both = vandq_u32(vcgeq_f32(value, vld1q_f32(low)), vcleq_f32(value, vld1q_f32(high)));
    return vaddvq_u32(vandq_u32(both, vld1q_u32(bits)));
}
#elif defined(BN_WASM)
#define BN_GROUP 4
BN_INLINE bn_word bn_reached(const float *y, const float *low, const float *high)
{
    const v128_t value = wasm_v128_load(y), above = wasm_f32x4_ge(value, wasm_v128_load(low));
    return (bn_word)wasm_i32x4_bitmask(wasm_v128_and(above, wasm_f32x4_le(value, wasm_v128_load(high))));
}
#else
#define BN_GROUP 1
BN_INLINE bn_word bn_reached(const float *y, const float *low, const float *high)
{
    return (bn_word)(*low <= *y && *y <= *high);
}
#endif

/* The bits of f values, a multiple of BN_GROUP; the lowest is that of the first. */
BN_INLINE bn_word bn_between(const int f, const float *y, const float *low, const float *high)
{
    bn_word bits = 0;
    BN_UNROLL for (int i = 0; i < f; i += BN_GROUP)
        bits |= (bn_word)(bn_reached(y + i, low + i, high + i) << i);
    return bits;
}
