/* Differing bits: BN_XF filters of words against the words of each pixel. */

#if defined(BN_AVX512)

typedef __m512i bn_counts; /* 64 bits a filter */
#define BN_XNOR_VECTORS 1
#define BN_XNOR_PIXELS 8

BN_INLINE bn_counts bn_xnor_zero(void) { return _mm512_setzero_si512(); }
BN_INLINE bn_counts bn_xnor_load(const bn_word *w) { return _mm512_loadu_si512((const void *)w); }
BN_INLINE bn_counts bn_xnor_spread(bn_word x) { return _mm512_set1_epi64((long long)x); }

BN_INLINE bn_counts bn_xnor_count(bn_counts sum, bn_counts x, bn_counts w)
{
    const __m512i bits = _mm512_xor_si512(x, w);
#if defined(__AVX512VPOPCNTDQ__)
    return _mm512_add_epi64(sum, _mm512_popcnt_epi64(bits));
#else
    const __m512i four = _mm512_set1_epi8(15);
    const __m128i counts = _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m512i table = _mm512_maskz_broadcast_i32x4((__mmask16)65535, counts);
    const __m512i low = _mm512_shuffle_epi8(table, _mm512_and_si512(bits, four));
    const __m512i high = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(bits, 4), four));
    return _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_add_epi8(low, high), _mm512_setzero_si512()));
#endif
}

BN_INLINE void bn_xnor_store(int32_t *pop, const bn_counts *sums, int more)
{
    /* The form with a mask: headers of GCC 12 for the other one make it warn of a value without a start. */
    const __m256i counts = _mm512_maskz_cvtepi64_epi32((__mmask8)255, sums[0]);
    (void)more; /* lanes of 64 bits are never full */
    _mm256_storeu_si256((__m256i *)(void *)pop, counts);
}

#elif defined(BN_AVX2)

typedef __m256i bn_counts; /* eight bytes a filter, each full after 31 words */
#define BN_XNOR_VECTORS 2
#define BN_XNOR_PIXELS 4
#define BN_XNOR_ROOM 31

BN_INLINE bn_counts bn_xnor_zero(void) { return _mm256_setzero_si256(); }
BN_INLINE bn_counts bn_xnor_load(const bn_word *w) { return _mm256_loadu_si256((const __m256i *)(const void *)w); }
BN_INLINE bn_counts bn_xnor_spread(bn_word x) { return _mm256_set1_epi64x((long long)x); }

BN_INLINE bn_counts bn_xnor_count(bn_counts sum, bn_counts x, bn_counts w)
{
    const __m256i bits = _mm256_xor_si256(x, w), four = _mm256_set1_epi8(15);
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(bits, four));
    const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bits, 4), four));
    return _mm256_add_epi8(sum, _mm256_add_epi8(low, high));
}

BN_INLINE void bn_xnor_store(int32_t *pop, const bn_counts *sums, int more)
{
    const __m256i zero = _mm256_setzero_si256();
    /* Sums of 64 bits in the lanes 0 1 2 3 and 4 5 6 7, joined as 0 4 1 5 2 6 3 7. */
    const __m256i high = _mm256_slli_epi64(_mm256_sad_epu8(sums[1], zero), 32);
    const __m256i joined = _mm256_or_si256(_mm256_sad_epu8(sums[0], zero), high);
    const __m256i counts = _mm256_permutevar8x32_epi32(joined, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    const __m256i before = more ? _mm256_loadu_si256((const __m256i *)(const void *)pop) : zero;
    _mm256_storeu_si256((__m256i *)(void *)pop, _mm256_add_epi32(before, counts));
}

#elif defined(BN_NEON)

typedef uint8x16_t bn_counts; /* eight bytes a filter, each full after 31 words */
#define BN_XNOR_VECTORS 4
#define BN_XNOR_PIXELS 4
#define BN_XNOR_ROOM 31

BN_INLINE bn_counts bn_xnor_zero(void) { return vdupq_n_u8(0); }
BN_INLINE bn_counts bn_xnor_load(const bn_word *w) { return vreinterpretq_u8_u64(vld1q_u64(w)); }
BN_INLINE bn_counts bn_xnor_spread(bn_word x) { return vreinterpretq_u8_u64(vdupq_n_u64(x)); }

BN_INLINE bn_counts bn_xnor_count(bn_counts sum, bn_counts x, bn_counts w)
{
    return vaddq_u8(sum, vcntq_u8(veorq_u8(x, w)));
}

BN_INLINE void bn_xnor_store(int32_t *pop, const bn_counts *sums, int more)
{
    BN_UNROLL for (int half = 0; half < 2; half++) {
        const uint32x4_t a = vpaddlq_u16(vpaddlq_u8(sums[2 * half])), b = vpaddlq_u16(vpaddlq_u8(sums[2 * half + 1]));
        const int32x4_t counts = vreinterpretq_s32_u32(vpaddq_u32(a, b));
        vst1q_s32(pop + 4 * half, more ? vaddq_s32(vld1q_s32(pop + 4 * half), counts) : counts);
    }
}

#elif defined(BN_WASM)

typedef v128_t bn_counts; /* eight bytes a filter, each full after 31 words */
#define BN_XNOR_VECTORS 4
#define BN_XNOR_PIXELS 2
#define BN_XNOR_ROOM 31

BN_INLINE bn_counts bn_xnor_zero(void) { return wasm_i32x4_const(0, 0, 0, 0); }
BN_INLINE bn_counts bn_xnor_load(const bn_word *w) { return wasm_v128_load(w); }
BN_INLINE bn_counts bn_xnor_spread(bn_word x) { return wasm_i64x2_splat((int64_t)x); }

BN_INLINE bn_counts bn_xnor_count(bn_counts sum, bn_counts x, bn_counts w)
{
    return wasm_i8x16_add(sum, wasm_i8x16_popcnt(wasm_v128_xor(x, w)));
}

BN_INLINE void bn_xnor_store(int32_t *pop, const bn_counts *sums, int more)
{
    BN_UNROLL for (int half = 0; half < 2; half++) {
        const v128_t a = wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extadd_pairwise_u8x16(sums[2 * half]));
        const v128_t b = wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extadd_pairwise_u8x16(sums[2 * half + 1]));
        const v128_t even = wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), odd = wasm_i32x4_shuffle(a, b, 1, 3, 5, 7);
        const v128_t counts = wasm_i32x4_add(even, odd);
        wasm_v128_store(pop + 4 * half, more ? wasm_i32x4_add(wasm_v128_load(pop + 4 * half), counts) : counts);
    }
}

#else

#define BN_XNOR_PLAIN 1

/* Only where it is an instruction: elsewhere GCC would call a function of its library, which looks up each byte. */
#if defined(__POPCNT__) || (defined(__GNUC__) && defined(__aarch64__)) || defined(__wasm__) || defined(__riscv_zbb)
BN_INLINE int32_t bn_popcount(bn_word bits)
{
#if BN_WORD_BITS == 64
    return (int32_t)__builtin_popcountll(bits);
#else
    return (int32_t)__builtin_popcount(bits);
#endif
}
#else
BN_INLINE int32_t bn_popcount(bn_word bits)
{
    const bn_word ones = (bn_word)-1;
    bits -= (bits >> 1) & (ones / 3);                           /* pairs of bits */
    bits = (bits & (ones / 5)) + ((bits >> 2) & (ones / 5));    /* fours */
    bits = (bits + (bits >> 4)) & (ones / 17);                  /* bytes */
    return (int32_t)((bn_word)(bits * (ones / 255)) >> (BN_WORD_BITS - 8));
}
#endif

static void bn_xnor_tile(int32_t *pop, const bn_word *x, int x_row, int x_step, int pixels, const bn_word *w, int w_row,
                         int rows, int words)
{
    for (int p = 0; p < pixels; p++, pop += BN_XF, x += x_step) {
        for (int f = 0; f < BN_XF; f++)
            pop[f] = 0;
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < words; i++) {
                const bn_word value = x[r * x_row + i], *weight = w + r * w_row + BN_XF * i;
                for (int f = 0; f < BN_XF; f++)
                    pop[f] += bn_popcount(value ^ weight[f]);
            }
    }
}

#endif

#if !defined(BN_XNOR_PLAIN)

/* The number of pixels n is a constant, so that the counts are registers. */
BN_INLINE void bn_xnor_part(const int n, int32_t *pop, const bn_word *x, int x_row, int x_step, const bn_word *w,
                            int w_row, int rows, int words)
{
    bn_counts sums[BN_XNOR_PIXELS][BN_XNOR_VECTORS], weight[BN_XNOR_VECTORS];
    int more = 0;
#if defined(BN_XNOR_ROOM)
    int room = BN_XNOR_ROOM;
#endif
    BN_UNROLL for (int p = 0; p < n; p++)
        BN_UNROLL for (int v = 0; v < BN_XNOR_VECTORS; v++)
            sums[p][v] = bn_xnor_zero();
    BN_KEEP for (int r = 0; r < rows; r++)
        BN_KEEP for (int i = 0; i < words; i++) {
            const bn_word *tap = x + r * x_row + i, *first = w + r * w_row + BN_XF * i;
#if defined(BN_XNOR_ROOM)
            if (room-- == 0) {
                BN_UNROLL for (int p = 0; p < n; p++) {
                    bn_xnor_store(pop + BN_XF * p, sums[p], more);
                    BN_UNROLL for (int v = 0; v < BN_XNOR_VECTORS; v++)
                        sums[p][v] = bn_xnor_zero();
                }
                more = 1;
                room = BN_XNOR_ROOM - 1;
            }
#endif
            BN_UNROLL for (int v = 0; v < BN_XNOR_VECTORS; v++)
                weight[v] = bn_xnor_load(first + v * (BN_XF / BN_XNOR_VECTORS));
            BN_UNROLL for (int p = 0; p < n; p++) {
                const bn_counts value = bn_xnor_spread(tap[p * x_step]);
                BN_UNROLL for (int v = 0; v < BN_XNOR_VECTORS; v++)
                    sums[p][v] = bn_xnor_count(sums[p][v], value, weight[v]);
            }
        }
    BN_UNROLL for (int p = 0; p < n; p++)
        bn_xnor_store(pop + BN_XF * p, sums[p], more);
}

#define BN_XNOR_PART(n) bn_xnor_part(n, pop, x, x_row, x_step, w, w_row, rows, words)

static void bn_xnor_tile(int32_t *pop, const bn_word *x, int x_row, int x_step, int pixels, const bn_word *w, int w_row,
                         int rows, int words)
{
    while (pixels > 0) {
        const int n = BN_PART(pixels, BN_XNOR_PIXELS);
        switch (n) { BN_UP_TO(BN_XNOR_PIXELS, BN_XNOR_PART) }
        pixels -= n;
        pop += BN_XF * n;
        x += n * x_step;
    }
}

#endif
