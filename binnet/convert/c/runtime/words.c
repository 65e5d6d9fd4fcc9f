/* The word of signs, the sizes of a tile, and what the processor offers. Bit 1 of a sign means negative. */

#ifndef BN_WORD_BITS
#define BN_WORD_BITS 64
#endif

#if BN_WORD_BITS == 64
typedef uint64_t bn_word;
#define BN_XF 8  /* filters in a block of bn_xnor_tile */
#define BN_FF 16 /* of bn_conv_tile and bn_bwn_tile */
#define BN_IF 16 /* of bn_int8_tile */
#else
typedef uint32_t bn_word;
#define BN_XF 2
#define BN_FF 2
#define BN_IF 2
#endif

/* Small processors, which have words of 32 bits, take the plain loops: they are the smallest code as well. */
#if BN_WORD_BITS == 64 && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define BN_AVX512 1
#elif BN_WORD_BITS == 64 && defined(__AVX2__)
#define BN_AVX2 1
#elif BN_WORD_BITS == 64 && defined(__SSE2__)
#define BN_SSE2 1
#elif BN_WORD_BITS == 64 && defined(__aarch64__) && defined(__ARM_NEON) && !defined(__AARCH64EB__)
#define BN_NEON 1
#elif BN_WORD_BITS == 64 && defined(__wasm_simd128__)
#define BN_WASM 1
#endif

/* GCC fuses products and sums by itself, unless it compiles strict C; the tiles say themselves where they want it. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__) && (defined(__cplusplus) || !defined(__STRICT_ANSI__))
#pragma GCC optimize("fp-contract=off")
#endif

#if defined(BN_AVX512) || defined(BN_AVX2)
#include <immintrin.h>
#elif defined(BN_SSE2)
#include <emmintrin.h>
#elif defined(BN_NEON)
#include <arm_neon.h>
#elif defined(BN_WASM)
#include <wasm_simd128.h>
#endif

/* Pixels that a tile takes at most: a multiple of what the registers hold. */
#if defined(BN_AVX512) || defined(BN_NEON)
#define BN_P 16
#elif defined(BN_AVX2)
#define BN_P 12
#else
#define BN_P 8
#endif

/* Loops over the sums of a tile are unrolled, so that the sums are registers; those over taps are kept as they are,
   which Clang would unroll to four times the code. */
#if defined(__clang__)
#define BN_INLINE static inline __attribute__((always_inline, unused))
#define BN_UNROLL _Pragma("clang loop unroll(full)")
#define BN_KEEP _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__) && __GNUC__ >= 8
#define BN_INLINE static inline __attribute__((always_inline, unused))
#define BN_UNROLL _Pragma("GCC unroll 16")
#define BN_KEEP
#else
#define BN_INLINE static inline
#define BN_UNROLL
#define BN_KEEP
#endif

/* Functions with the size of a block as a constant: small processors have one size, and so one copy of the code. */
#if BN_WORD_BITS == 64
#define BN_OF_BLOCK BN_INLINE
#elif defined(__GNUC__)
#define BN_OF_BLOCK static __attribute__((unused))
#else
#define BN_OF_BLOCK static
#endif

/* The pixels of the next part of a tile: as many as the registers hold, or the rest in two parts of about one size. */
#define BN_PART(rest, most) ((rest) >= 2 * (most) ? (most) : (rest) > (most) ? ((rest) + 1) / 2 : (rest))

/* Cases that call PART(n) for each number of pixels n up to the most, since n must be a constant. */
#define BN_UP_TO(most, PART) BN_JOINED(BN_UP_TO_, most)(PART)
#define BN_JOINED(a, b) a##b
#define BN_UP_TO_1(PART) default: PART(1);
#define BN_UP_TO_2(PART) case 2: PART(2); break; BN_UP_TO_1(PART)
#define BN_UP_TO_4(PART) case 4: PART(4); break; case 3: PART(3); break; BN_UP_TO_2(PART)
#define BN_UP_TO_6(PART) case 6: PART(6); break; case 5: PART(5); break; BN_UP_TO_4(PART)
#define BN_UP_TO_8(PART) case 8: PART(8); break; case 7: PART(7); break; BN_UP_TO_6(PART)
