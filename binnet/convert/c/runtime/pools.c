/* Pooling, and passes that only apply element-wise steps. */

typedef struct {
    int rows, columns, channels; /* of the map that is read */
    int out_rows, out_columns;
    int window[2], stride[2], before[2];
} bn_pool;

#ifdef BN_USES_MAX
/* The largest value of each window; the border does not count. Then the steps of the target. */
static void bn_max_pool(const float *x, const bn_pool *p, const bn_target *target)
{
    int row;
#ifdef _OPENMP
#pragma omp parallel for
#endif
    for (row = 0; row < p->out_rows; row++)
        for (int column = 0; column < p->out_columns; column++) {
            const int y = row * p->stride[0] - p->before[0], z = column * p->stride[1] - p->before[1];
            const int top = bn_first_tap(y), bottom = bn_end_tap(y, p->window[0], p->rows);
            const int left = bn_first_tap(z), right = bn_end_tap(z, p->window[1], p->columns);
            for (int channel = 0; channel < p->channels; channel += BN_FF) {
                float most[BN_FF] = {0};
                const int n = p->channels - channel < BN_FF ? p->channels - channel : BN_FF;
                for (int i = top; i < bottom; i++)
                    for (int j = left; j < right; j++) {
                        const float *v = x + ((size_t)(y + i) * (size_t)p->columns + (size_t)(z + j)) *
                                                 (size_t)p->channels + channel;
                        if (i == top && j == left)
                            for (int k = 0; k < n; k++)
                                most[k] = v[k];
                        else
                            for (int k = 0; k < n; k++)
                                most[k] = v[k] > most[k] || v[k] != v[k] ? v[k] : most[k];
                    }
                bn_finish_tile(BN_FF, target, most, row, column, 1, channel);
            }
        }
}
#endif

#ifdef BN_USES_AVERAGE
/* The mean of each window; the border counts as zeros. */
static void bn_avg_pool(float *out, const float *x, const bn_pool *p)
{
    const float count = (float)(p->window[0] * p->window[1]);
    for (int row = 0; row < p->out_rows; row++)
        for (int column = 0; column < p->out_columns; column++) {
            const int y = row * p->stride[0] - p->before[0], z = column * p->stride[1] - p->before[1];
            for (int channel = 0; channel < p->channels; channel++) {
                float sum = 0.0f;
                for (int i = bn_first_tap(y); i < bn_end_tap(y, p->window[0], p->rows); i++)
                    for (int j = bn_first_tap(z); j < bn_end_tap(z, p->window[1], p->columns); j++)
                        sum += x[((size_t)(y + i) * (size_t)p->columns + (size_t)(z + j)) * (size_t)p->channels +
                                 (size_t)channel];
                *out++ = sum / count;
            }
        }
}
#endif

#ifdef BN_USES_GLOBAL
/* The mean over all pixels, summed in double. */
static void bn_global_average(float *out, const float *x, int pixels, int channels)
{
    for (int c = 0; c < channels; c++) {
        double sum = 0.0;
        for (int i = 0; i < pixels; i++)
            sum += (double)x[(size_t)i * (size_t)channels + (size_t)c];
        out[c] = (float)(sum / (double)pixels);
    }
}
#endif

#ifdef BN_USES_POOLED_BITS
/* All bits of a window, then inverted where `flips` has a bit. */
static void bn_pool_bits(const bn_word *x, int x_row, int x_step, const bn_pool *p, const bn_target *t)
{
    for (int row = 0; row < p->out_rows; row++)
        for (int column = 0; column < p->out_columns; column++) {
            const int y = row * p->stride[0] - p->before[0], z = column * p->stride[1] - p->before[1];
            for (int word = 0; word < x_step; word++) {
                const int left = p->channels - word * BN_WORD_BITS, n = left < BN_WORD_BITS ? left : BN_WORD_BITS;
                bn_word all = (bn_word)(((bn_word)1 << (n - 1) << 1) - 1);
                const bn_word used = all;
                for (int i = bn_first_tap(y); i < bn_end_tap(y, p->window[0], p->rows); i++)
                    for (int j = bn_first_tap(z); j < bn_end_tap(z, p->window[1], p->columns); j++)
                        all &= x[(y + i) * x_row + (z + j) * x_step + word];
                t->bits[row * t->bits_row + column * t->bits_step + word] = (bn_word)((all ^ t->flips[word]) & used);
            }
        }
}
#endif
