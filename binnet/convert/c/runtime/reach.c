/* Counts to bits: bit f of BN_XF is 1 where the pixel's pop[f] is at least least[f]. */

#if defined(BN_AVX512)
BN_INLINE unsigned bn_reach(const int32_t *pop, const int32_t *least)
{
    const __m256i count = _mm256_loadu_si256((const __m256i *)(const void *)pop);
    return _mm256_cmpge_epi32_mask(count, _mm256_loadu_si256((const __m256i *)(const void *)least));
}
#elif defined(BN_AVX2)
BN_INLINE unsigned bn_reach(const int32_t *pop, const int32_t *least)
{
    const __m256i count = _mm256_loadu_si256((const __m256i *)(const void *)pop);
    const __m256i below = _mm256_cmpgt_epi32(_mm256_loadu_si256((const __m256i *)(const void *)least), count);
    return ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(below)) & 255u;
}
#elif defined(BN_NEON)
BN_INLINE unsigned bn_reach(const int32_t *pop, const int32_t *least)
{
    static const uint32_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint32x4_t low = vcgeq_s32(vld1q_s32(pop), vld1q_s32(least));
    const uint32x4_t high = vcgeq_s32(vld1q_s32(pop + 4), vld1q_s32(least + 4));
    return vaddvq_u32(vorrq_u32(vandq_u32(low, vld1q_u32(bits)), vandq_u32(high, vld1q_u32(bits + 4))));
}
#elif defined(BN_WASM)
BN_INLINE unsigned bn_reach(const int32_t *pop, const int32_t *least)
{
    const v128_t low = wasm_i32x4_ge(wasm_v128_load(pop), wasm_v128_load(least));
    const v128_t high = wasm_i32x4_ge(wasm_v128_load(pop + 4), wasm_v128_load(least + 4));
    return (unsigned)wasm_i32x4_bitmask(low) | (unsigned)wasm_i32x4_bitmask(high) << 4;
}
#else
BN_INLINE unsigned bn_reach(const int32_t *pop, const int32_t *least)
{
    unsigned bits = 0;
    for (int f = 0; f < BN_XF; f++)
        bits |= (unsigned)(pop[f] >= least[f]) << f;
    return bits;
}
#endif
