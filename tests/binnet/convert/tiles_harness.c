/* Runs tile functions on the cases of standard input; the snippets stand before this text. Used by test_c_tiles.py. */

#include <stdio.h>
#include <stdlib.h>

/* What the case describes: the kind, x_row, x_step, pixels, w_row, rows, values, then bytes of x, w and the result. */
enum { KIND, X_ROW, X_STEP, PIXELS, W_ROW, ROWS, VALUES, X_BYTES, W_BYTES, OUT_BYTES, NUMBERS };

static void *read_array(int32_t bytes)
{
    /* Arrays have their exact size, so that a sanitizer sees each byte beyond. They begin at an address that only
       suits their elements, not vectors. */
    char *array = (char *)malloc((size_t)bytes + 8);
    if (array == NULL || fread(array + 8, 1, (size_t)bytes, stdin) != (size_t)bytes)
        exit(2);
    return array + 8;
}

static void run(const int32_t *c, const void *x, const void *w, void *out)
{
    switch (c[KIND]) {
    case 0:
        bn_xnor_tile((int32_t *)out, (const bn_word *)x, c[X_ROW], c[X_STEP], c[PIXELS], (const bn_word *)w, c[W_ROW],
                     c[ROWS], c[VALUES]);
        break;
    case 1:
        bn_conv_tile((float *)out, (const float *)x, c[X_ROW], c[X_STEP], c[PIXELS], (const float *)w, c[W_ROW],
                     c[ROWS], c[VALUES]);
        break;
    case 2:
        bn_bwn_tile((float *)out, (const float *)x, c[X_ROW], c[X_STEP], c[PIXELS], (const uint8_t *)w, c[W_ROW],
                    c[ROWS], c[VALUES]);
        break;
    case 3:
        bn_int8_tile((int32_t *)out, (const uint8_t *)x, c[X_ROW], c[X_STEP], c[PIXELS], (const int8_t *)w, c[W_ROW],
                     c[ROWS], c[VALUES]);
        break;
    case 4: /* a byte for each pixel */
        for (int p = 0; p < c[PIXELS]; p++)
            ((uint8_t *)out)[p] = (uint8_t)bn_reach((const int32_t *)x + p * BN_XF, c[VALUES], (const int32_t *)w);
        break;
    default: /* a word for each block; w holds the lower limits, then the upper ones */
        for (int i = 0; i < c[VALUES]; i += BN_FF)
            ((bn_word *)out)[i / BN_FF] =
                bn_between(BN_FF, (const float *)x + i, (const float *)w + i, (const float *)w + c[VALUES] + i);
    }
}

int main(void)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    const int32_t fused = 1;
#else
    const int32_t fused = 0;
#endif
    const int32_t facts[5] = {fused, BN_XF, BN_FF, BN_IF, BN_WORD_BITS};
    int32_t numbers[NUMBERS];
    fwrite(facts, sizeof facts, 1, stdout);
    while (fread(numbers, sizeof numbers, 1, stdin) == 1) {
        void *x = read_array(numbers[X_BYTES]), *w = read_array(numbers[W_BYTES]);
        char *out = (char *)malloc((size_t)numbers[OUT_BYTES] + 8);
        if (out == NULL)
            return 2;
        run(numbers, x, w, out + 8);
        fwrite(out + 8, 1, (size_t)numbers[OUT_BYTES], stdout);
        free((char *)x - 8);
        free((char *)w - 8);
        free(out);
    }
    return 0;
}
