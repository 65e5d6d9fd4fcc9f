/* Sums of floats by floats. Each starts at 0 and takes tap after tap, as the engine does, so both have the same bits. */

/* The number of pixels n is a constant, so that the sums are registers. */
BN_INLINE void bn_conv_part(const int n, float *sums, const float *x, int x_row, int x_step, const float *w, int w_row,
                            int rows, int values)
{
    bn_floats sum[BN_FLOAT_PIXELS][BN_FLOAT_VECTORS], weight[BN_FLOAT_VECTORS];
    BN_UNROLL for (int p = 0; p < n; p++)
        BN_UNROLL for (int v = 0; v < BN_FLOAT_VECTORS; v++)
            sum[p][v] = bn_zeros();
    BN_KEEP for (int r = 0; r < rows; r++) {
        const float *tap = x + r * x_row, *first = w + r * w_row;
        BN_KEEP for (int i = 0; i < values; i++, tap++, first += BN_FF) {
            BN_UNROLL for (int v = 0; v < BN_FLOAT_VECTORS; v++)
                weight[v] = bn_load(first + BN_LANES * v);
            BN_UNROLL for (int p = 0; p < n; p++)
                BN_UNROLL for (int v = 0; v < BN_FLOAT_VECTORS; v++)
                    sum[p][v] = bn_add_product(sum[p][v], tap[p * x_step], weight[v]);
        }
    }
    BN_UNROLL for (int p = 0; p < n; p++)
        BN_UNROLL for (int v = 0; v < BN_FLOAT_VECTORS; v++)
            bn_store(sums + BN_FF * p + BN_LANES * v, sum[p][v]);
}

#define BN_CONV_PART(n) bn_conv_part(n, sums, x, x_row, x_step, w, w_row, rows, values)

static void bn_conv_tile(float *sums, const float *x, int x_row, int x_step, int pixels, const float *w, int w_row,
                         int rows, int values)
{
    while (pixels > 0) {
        const int n = BN_PART(pixels, BN_FLOAT_PIXELS);
        switch (n) { BN_UP_TO(BN_FLOAT_PIXELS, BN_CONV_PART) }
        pixels -= n;
        sums += BN_FF * n;
        x += n * x_step;
    }
}
