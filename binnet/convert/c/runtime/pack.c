/* Floats to bits: bit i is 1 where low[i] <= y[i] <= high[i], never for NaN. Unused bits of the last word are 0. */

/* The bits of BN_GROUP values. */
#if defined(BN_AVX512)
#define BN_GROUP 16
BN_INLINE bn_word bn_reached(const float *y, const float *low, const float *high)
{
    const __m512 value = _mm512_loadu_ps(y);
    const __mmask16 above = _mm512_cmp_ps_mask(value, _mm512_loadu_ps(low), _CMP_GE_OQ);
    return _mm512_mask_cmp_ps_mask(above, value, _mm512_loadu_ps(high), _CMP_LE_OQ);
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
#endif

static void bn_pack(bn_word *bits, const float *y, const float *low, const float *high, int values)
{
    int first = 0;
#if BN_GROUP > 1
    for (; first + BN_WORD_BITS <= values; first += BN_WORD_BITS) {
        bn_word word = 0;
        BN_UNROLL for (int i = 0; i < BN_WORD_BITS; i += BN_GROUP)
            word |= bn_reached(y + first + i, low + first + i, high + first + i) << i;
        *bits++ = word;
    }
#endif
    for (; first < values; first += BN_WORD_BITS) {
        const int count = values - first < BN_WORD_BITS ? values - first : BN_WORD_BITS;
        bn_word word = 0;
        for (int i = 0; i < count; i++)
            word |= (bn_word)(low[first + i] <= y[first + i] && y[first + i] <= high[first + i]) << i;
        *bits++ = word;
    }
}
