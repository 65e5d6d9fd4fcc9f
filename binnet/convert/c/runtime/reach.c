/* Counts to bits: bit f of BN_XF is 1 where the dot product n - 2 pop[f] is at most most[f]. */

#if defined(BN_AVX512)
BN_INLINE unsigned bn_reach(const int32_t *pop, int n, const int32_t *most)
{
    const __m256i twice = _mm256_slli_epi32(_mm256_loadu_si256((const __m256i *)(const void *)pop), 1);
    const __m256i dot = _mm256_sub_epi32(_mm256_set1_epi32(n), twice);
    return _mm256_cmple_epi32_mask(dot, _mm256_loadu_si256((const __m256i *)(const void *)most));
}
#elif defined(BN_AVX2)
BN_INLINE unsigned bn_reach(const int32_t *pop, int n, const int32_t *most)
{
    const __m256i twice = _mm256_slli_epi32(_mm256_loadu_si256((const __m256i *)(const void *)pop), 1);
    const __m256i dot = _mm256_sub_epi32(_mm256_set1_epi32(n), twice);
    const __m256i above = _mm256_cmpgt_epi32(dot, _mm256_loadu_si256((const __m256i *)(const void *)most));
    return ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(above)) & 255u;
}
#elif defined(BN_NEON)
BN_INLINE unsigned bn_reach(const int32_t *pop, int n, const int32_t *most)
{
    static const uint32_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const int32x4_t whole = vdupq_n_s32(n);
    const uint32x4_t low = vcleq_s32(vsubq_s32(whole, vshlq_n_s32(vld1q_s32(pop), 1)), vld1q_s32(most));
    const uint32x4_t high = vcleq_s32(vsubq_s32(whole, vshlq_n_s32(vld1q_s32(pop + 4), 1)), vld1q_s32(most + 4));
    return vaddvq_u32(vorrq_u32(vandq_u32(low, vld1q_u32(bits)), vandq_u32(high, vld1q_u32(bits + 4))));
}
#elif defined(BN_WASM)
BN_INLINE unsigned bn_reach(const int32_t *pop, int n, const int32_t *most)
{
    const v128_t whole = wasm_i32x4_splat(n);
    const v128_t a = wasm_i32x4_sub(whole, wasm_i32x4_shl(wasm_v128_load(pop), 1));
    const v128_t b = wasm_i32x4_sub(whole, wasm_i32x4_shl(wasm_v128_load(pop + 4), 1));
    const v128_t low = wasm_i32x4_le(a, wasm_v128_load(most)), high = wasm_i32x4_le(b, wasm_v128_load(most + 4));
    return (unsigned)wasm_i32x4_bitmask(low) | (unsigned)wasm_i32x4_bitmask(high) << 4;
}
#else
BN_INLINE unsigned bn_reach(const int32_t *pop, int n, const int32_t *most)
{
    unsigned bits = 0;
    for (int f = 0; f < BN_XF; f++)
        bits |= (unsigned)(n - 2 * pop[f] <= most[f]) << f;
    return bits;
}
#endif
