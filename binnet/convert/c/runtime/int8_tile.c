/* Sums of bytes by weights of a byte, four values at a time: exact on every processor. */

#if defined(BN_AVX512)

typedef __m512i bn_sums;
#define BN_INT8_PIXELS 8
#define BN_INT8_LANES 16

BN_INLINE bn_sums bn_int8_zero(void) { return _mm512_setzero_si512(); }
BN_INLINE bn_sums bn_int8_load(const int8_t *w) { return _mm512_loadu_si512((const void *)w); }
BN_INLINE void bn_int8_store(int32_t *y, bn_sums sums) { _mm512_storeu_si512((void *)y, sums); }

BN_INLINE bn_sums bn_int8_dot(bn_sums sum, uint32_t x, bn_sums w)
{
    const __m512i spread = _mm512_set1_epi32((int)x);
#if defined(__AVX512VNNI__)
    return _mm512_dpbusd_epi32(sum, spread, w);
#else
    /* The instruction for bytes saturates at 16 bits. So bytes become numbers of 16 bits, even ones and odd ones. */
    const __m512i even = _mm512_and_si512(spread, _mm512_set1_epi16(255)), odd = _mm512_srli_epi16(spread, 8);
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(even, _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8)));
    return _mm512_add_epi32(sum, _mm512_madd_epi16(odd, _mm512_srai_epi16(w, 8)));
#endif
}

#elif defined(BN_AVX2)

typedef __m256i bn_sums;
#define BN_INT8_PIXELS 4
#define BN_INT8_LANES 8

BN_INLINE bn_sums bn_int8_zero(void) { return _mm256_setzero_si256(); }
BN_INLINE bn_sums bn_int8_load(const int8_t *w) { return _mm256_loadu_si256((const __m256i *)(const void *)w); }
BN_INLINE void bn_int8_store(int32_t *y, bn_sums sums) { _mm256_storeu_si256((__m256i *)(void *)y, sums); }

BN_INLINE bn_sums bn_int8_dot(bn_sums sum, uint32_t x, bn_sums w)
{
    const __m256i spread = _mm256_set1_epi32((int)x);
#if defined(__AVXVNNI__)
    return _mm256_dpbusd_avx_epi32(sum, spread, w);
#else
    const __m256i even = _mm256_and_si256(spread, _mm256_set1_epi16(255)), odd = _mm256_srli_epi16(spread, 8);
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(even, _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8)));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(odd, _mm256_srai_epi16(w, 8)));
#endif
}

#elif defined(BN_SSE2)

typedef __m128i bn_sums;
#define BN_INT8_PIXELS 2
#define BN_INT8_LANES 4

BN_INLINE bn_sums bn_int8_zero(void) { return _mm_setzero_si128(); }
BN_INLINE bn_sums bn_int8_load(const int8_t *w) { return _mm_loadu_si128((const __m128i *)(const void *)w); }
BN_INLINE void bn_int8_store(int32_t *y, bn_sums sums) { _mm_storeu_si128((__m128i *)(void *)y, sums); }

BN_INLINE bn_sums bn_int8_dot(bn_sums sum, uint32_t x, bn_sums w)
{
    const __m128i spread = _mm_set1_epi32((int)x);
    const __m128i even = _mm_and_si128(spread, _mm_set1_epi16(255)), odd = _mm_srli_epi16(spread, 8);
    sum = _mm_add_epi32(sum, _mm_madd_epi16(even, _mm_srai_epi16(_mm_slli_epi16(w, 8), 8)));
    return _mm_add_epi32(sum, _mm_madd_epi16(odd, _mm_srai_epi16(w, 8)));
}

#elif defined(BN_WASM)

typedef v128_t bn_sums;
#define BN_INT8_PIXELS 2
#define BN_INT8_LANES 4

BN_INLINE bn_sums bn_int8_zero(void) { return wasm_i32x4_const(0, 0, 0, 0); }
BN_INLINE bn_sums bn_int8_load(const int8_t *w) { return wasm_v128_load(w); }
BN_INLINE void bn_int8_store(int32_t *y, bn_sums sums) { wasm_v128_store(y, sums); }

BN_INLINE bn_sums bn_int8_dot(bn_sums sum, uint32_t x, bn_sums w)
{
    const v128_t spread = wasm_i32x4_splat((int32_t)x);
    const v128_t even = wasm_v128_and(spread, wasm_i16x8_splat(255)), odd = wasm_u16x8_shr(spread, 8);
    sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(even, wasm_i16x8_shr(wasm_i16x8_shl(w, 8), 8)));
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(odd, wasm_i16x8_shr(w, 8)));
}

#elif defined(BN_NEON)

typedef int32x4_t bn_sums;
#if defined(__ARM_FEATURE_DOTPROD)
#define BN_INT8_PIXELS 4
#else
#define BN_INT8_PIXELS 2
#endif
#define BN_INT8_LANES 4
#if !defined(__ARM_FEATURE_MATMUL_INT8)
#define BN_INT8_LESS 128 /* both factors must be signed: the tile multiplies x - 128, and adds 128 times the weights */
#endif

BN_INLINE bn_sums bn_int8_zero(void) { return vdupq_n_s32(0); }
BN_INLINE bn_sums bn_int8_load(const int8_t *w) { return vreinterpretq_s32_s8(vld1q_s8(w)); }
BN_INLINE void bn_int8_store(int32_t *y, bn_sums sums) { vst1q_s32(y, sums); }

BN_INLINE bn_sums bn_int8_dot(bn_sums sum, uint32_t x, bn_sums w)
{
    const int8x16_t weight = vreinterpretq_s8_s32(w);
#if defined(__ARM_FEATURE_MATMUL_INT8)
    return vusdotq_s32(sum, vreinterpretq_u8_u32(vdupq_n_u32(x)), weight);
#elif defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(sum, vreinterpretq_s8_u32(vdupq_n_u32(x)), weight);
#else
    const int8x8_t spread = vreinterpret_s8_u32(vdup_n_u32(x));
    const int16x8_t low = vmull_s8(spread, vget_low_s8(weight)), high = vmull_s8(spread, vget_high_s8(weight));
    return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
#endif
}

#else
#define BN_INT8_PLAIN 1

static void bn_int8_tile(int32_t *sums, const uint8_t *x, int x_row, int x_step, int pixels, const int8_t *w, int w_row,
                         int rows, int values)
{
    for (int p = 0; p < pixels; p++, sums += BN_IF, x += x_step) {
        for (int f = 0; f < BN_IF; f++)
            sums[f] = 0;
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < values; i++) {
                const int32_t value = x[r * x_row + i];
                const int8_t *weight = w + r * w_row + i / 4 * (4 * BN_IF) + i % 4;
                for (int f = 0; f < BN_IF; f++)
                    sums[f] += value * weight[4 * f];
            }
    }
}

#endif

#if !defined(BN_INT8_PLAIN)

#define BN_INT8_VECTORS (BN_IF / BN_INT8_LANES)

/* The first values of four, 0 for the rest. Compilers make one load of four bytes put together. */
BN_INLINE uint32_t bn_int8_values(const uint8_t *x, int count)
{
    uint32_t four = x[0];
    if (count == 4)
        return four | (uint32_t)x[1] << 8 | (uint32_t)x[2] << 16 | (uint32_t)x[3] << 24;
    if (count > 1)
        four |= (uint32_t)x[1] << 8;
    if (count > 2)
        four |= (uint32_t)x[2] << 16;
    return four;
}

BN_INLINE void bn_int8_step(const int n, bn_sums (*sum)[BN_INT8_VECTORS], const uint8_t *x, int x_step, const int8_t *w,
                            int count)
{
    bn_sums weight[BN_INT8_VECTORS];
    BN_UNROLL for (int v = 0; v < BN_INT8_VECTORS; v++)
        weight[v] = bn_int8_load(w + 4 * BN_INT8_LANES * v);
#if (defined(BN_AVX512) || defined(BN_AVX2)) && defined(__GNUC__) && !defined(__clang__)
    /* GCC would load the weights again for each pixel, half as fast, if it knew where they come from. */
    BN_UNROLL for (int v = 0; v < BN_INT8_VECTORS; v++)
        __asm__("" : "+v"(weight[v]));
#endif
    BN_UNROLL for (int p = 0; p < n; p++) {
        uint32_t value = bn_int8_values(x + p * x_step, count);
#if defined(BN_INT8_LESS)
        value ^= 0x80808080u;
#endif
        BN_UNROLL for (int v = 0; v < BN_INT8_VECTORS; v++)
            sum[p][v] = bn_int8_dot(sum[p][v], value, weight[v]);
    }
#if defined(BN_INT8_LESS)
    BN_UNROLL for (int v = 0; v < BN_INT8_VECTORS; v++)
        sum[n][v] = bn_int8_dot(sum[n][v], 0x01010101u, weight[v]);
#endif
}

/* The number of pixels n is a constant, so that the sums are registers. */
BN_INLINE void bn_int8_part(const int n, int32_t *sums, const uint8_t *x, int x_row, int x_step, const int8_t *w,
                            int w_row, int rows, int values)
{
    bn_sums sum[BN_INT8_PIXELS + 1][BN_INT8_VECTORS]; /* the last is for the weights alone */
    const int end = (rows - 1) * x_row + values;
    BN_UNROLL for (int p = 0; p <= n; p++)
        BN_UNROLL for (int v = 0; v < BN_INT8_VECTORS; v++)
            sum[p][v] = bn_int8_zero();
    BN_KEEP for (int r = 0; r < rows; r++) {
        const uint8_t *tap = x + r * x_row;
        const int8_t *first = w + r * w_row;
        /* Weights behind a row are 0, so what is read there does not matter, as long as another row follows. */
        const int whole = r * x_row + values + 3 <= end ? values + 3 : values;
        int i = 0;
        BN_KEEP for (; i + 4 <= whole; i += 4, first += 4 * BN_IF)
            bn_int8_step(n, sum, tap + i, x_step, first, 4);
        if (i < values)
            bn_int8_step(n, sum, tap + i, x_step, first, values - i);
    }
    BN_UNROLL for (int p = 0; p < n; p++)
        BN_UNROLL for (int v = 0; v < BN_INT8_VECTORS; v++) {
#if defined(BN_INT8_LESS)
            sum[p][v] = vmlaq_n_s32(sum[p][v], sum[n][v], BN_INT8_LESS);
#endif
            bn_int8_store(sums + BN_IF * p + BN_INT8_LANES * v, sum[p][v]);
        }
}

#define BN_INT8_PART(n) bn_int8_part(n, sums, x, x_row, x_step, w, w_row, rows, values)

static void bn_int8_tile(int32_t *sums, const uint8_t *x, int x_row, int x_step, int pixels, const int8_t *w, int w_row,
                         int rows, int values)
{
    while (pixels > 0) {
        const int n = BN_PART(pixels, BN_INT8_PIXELS);
        switch (n) { BN_UP_TO(BN_INT8_PIXELS, BN_INT8_PART) }
        pixels -= n;
        sums += BN_IF * n;
        x += n * x_step;
    }
}

#endif
