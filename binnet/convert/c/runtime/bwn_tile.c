/* Sums of floats by signs, BN_FF bits a value in whole bytes. Each starts at 0 and takes tap after tap, as in the
   engine; a product with 1 or -1 is exact, so fused or not makes no difference. */

#define BN_SIGN_BYTES ((BN_FF + 7) / 8)
#if defined(BN_AVX2)
#define BN_BWN_PIXELS 4 /* the masks need registers as well */
#else
#define BN_BWN_PIXELS BN_FLOAT_PIXELS
#endif

/* The number of pixels n is a constant, so that the sums are registers. */
BN_INLINE void bn_bwn_part(const int n, float *sums, const float *x, int x_row, int x_step, const uint8_t *signs, int w_row,
                            int rows, int values)
{
    bn_floats sum[BN_BWN_PIXELS][BN_FLOAT_VECTORS], weight[BN_FLOAT_VECTORS];
    BN_UNROLL for (int p = 0; p < n; p++)
        BN_UNROLL for (int v = 0; v < BN_FLOAT_VECTORS; v++)
            sum[p][v] = bn_zeros();
    BN_KEEP for (int r = 0; r < rows; r++) {
        const float *tap = x + r * x_row;
        const uint8_t *first = signs + r * w_row;
        BN_KEEP for (int i = 0; i < values; i++, tap++, first += BN_SIGN_BYTES) {
#if BN_SIGN_BYTES == 2
            const unsigned bits = first[0] | (unsigned)first[1] << 8;
#else
            const unsigned bits = first[0];
#endif
            BN_UNROLL for (int v = 0; v < BN_FLOAT_VECTORS; v++)
                weight[v] = bn_signs(bits >> (BN_LANES * v));
            BN_UNROLL for (int p = 0; p < n; p++)
                BN_UNROLL for (int v = 0; v < BN_FLOAT_VECTORS; v++)
                    sum[p][v] = bn_add_product(sum[p][v], tap[p * x_step], weight[v]);
        }
    }
    BN_UNROLL for (int p = 0; p < n; p++)
        BN_UNROLL for (int v = 0; v < BN_FLOAT_VECTORS; v++)
            bn_store(sums + BN_FF * p + BN_LANES * v, sum[p][v]);
}

#define BN_BWN_PART(n) bn_bwn_part(n, sums, x, x_row, x_step, signs, w_row, rows, values)

static void bn_bwn_tile(float *sums, const float *x, int x_row, int x_step, int pixels, const uint8_t *signs, int w_row,
                         int rows, int values)
{
    while (pixels > 0) {
        const int n = BN_PART(pixels, BN_BWN_PIXELS);
        switch (n) { BN_UP_TO(BN_BWN_PIXELS, BN_BWN_PART) }
        pixels -= n;
        sums += BN_FF * n;
        x += n * x_step;
    }
}
