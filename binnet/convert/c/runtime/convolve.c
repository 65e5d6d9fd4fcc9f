/* The loops of all convolutions. A dense layer is a convolution of one window. */

typedef enum { BN_OF_BITS, BN_OF_PLANES, BN_OF_FLOATS, BN_OF_SIGNS, BN_OF_BYTES } bn_weights;

typedef struct {
    bn_weights weights_are;
    int rows, columns, step;      /* of the map that is read: its size, and elements of a pixel */
    int out_rows, out_columns, filters;
    int window[2], stride[2], before[2]; /* rows and columns of a window, and of the border above and to the left */
    int channels;                 /* that a sign product counts */
    int x_planes, w_planes;       /* of k-bit values */
    int plane_words, plane_weights; /* from one plane to the next */
    const void *x, *weights;
    const float *scale;           /* of bytes: the sum is multiplied by it, */
    const float *const *offsets;  /* and this is added, by classes of windows */
    const uint16_t *row_class, *column_class;
    int classes;                  /* of columns */
#ifdef BN_USES_TAP_SUMS
    const float *bias;            /* or bias - zero (sum of the weights on the map) scale is added, which takes no tables */
    double zero;
    int inside[4];                /* rows and columns of the map inside its border, and of the border above and to the left */
#endif
    const bn_target *target;
} bn_convolution;

#ifdef BN_USES_TAP_SUMS
/* What is added to the sums of a block of filters in the window at (row, column). */
static void bn_offsets(const bn_convolution *v, const int8_t *w, int w_row, int filter, int row, int column, float *more)
{
    const int y = row * v->stride[0] - v->inside[2], x = column * v->stride[1] - v->inside[3];
    const int right = bn_end_tap(x, v->window[1], v->inside[1]) * v->step;
    int32_t sums[BN_IF] = {0};
    for (int i = bn_first_tap(y); i < bn_end_tap(y, v->window[0], v->inside[0]); i++)
        for (int k = bn_first_tap(x) * v->step; k < right; k++)
            for (int f = 0; f < BN_IF; f++)
                sums[f] += w[i * w_row + (k / 4 * BN_IF + f) * 4 + k % 4];
    for (int f = 0; f < BN_IF; f++) {
        const double zeros = v->zero * (double)sums[f];
        const double less = zeros * (double)v->scale[filter + f];
        more[f] = (float)((double)v->bias[filter + f] - less);
    }
}
#endif

/* One tile: pixels from (row, column) on with the taps [top, bottom) x [left, right), and a block of filters. */
static void bn_tile(const bn_convolution *v, int row, int column, int pixels, int filter, const int *taps)
{
    const int y = row * v->stride[0] - v->before[0] + taps[0], x = column * v->stride[1] - v->before[1] + taps[2];
    const int rows = taps[1] > taps[0] && taps[3] > taps[2] ? taps[1] - taps[0] : 0;
    /* A window beside the map reads nothing, and no address is made from its taps. */
    const int top = rows ? taps[0] : 0, left = rows ? taps[2] : 0;
    const int values = (taps[3] - taps[2]) * v->step, x_row = v->columns * v->step, x_step = v->stride[1] * v->step;
    const size_t from = rows ? (size_t)y * (size_t)x_row + (size_t)x * (size_t)v->step : 0;
    const int tap_row = v->window[1] * v->step;
    (void)top; /* bytes have their border in the map, and always whole windows */
    (void)left;
    switch (v->weights_are) {
#if defined(BN_USES_BITS) || defined(BN_USES_PLANES)
    case BN_OF_BITS:
    case BN_OF_PLANES: {
        int32_t pop[BN_P * BN_XF];
        float dots[BN_P * BN_XF];
        const int w_row = tap_row * BN_XF, n = rows * (taps[3] - taps[2]) * v->channels;
        const bn_word *words = (const bn_word *)v->x + from;
        const bn_word *w = (const bn_word *)v->weights + (size_t)filter * (size_t)(v->window[0] * tap_row) +
                           top * w_row + left * v->step * BN_XF;
#ifdef BN_USES_PLANES
        int32_t sums[BN_P * BN_XF] = {0};
        for (int i = 0; i < v->w_planes; i++)
            for (int j = 0; j < v->x_planes; j++) {
                bn_xnor_tile(pop, words + (size_t)j * (size_t)v->plane_words, x_row, x_step, pixels,
                             w + (size_t)i * (size_t)v->plane_weights, w_row, rows, values);
                for (int k = 0; k < pixels * BN_XF; k++)
                    sums[k] += (n - 2 * pop[k]) * (1 << (i + j));
            }
#else
        bn_xnor_tile(pop, words, x_row, x_step, pixels, w, w_row, rows, values);
#endif
#ifdef BN_USES_COMPARE
        if (v->target->most != NULL) { /* never of several planes */
            bn_compare(v->target, pop, n, row, column, pixels, filter);
            return;
        }
#endif
        for (int k = 0; k < pixels * BN_XF; k++)
#ifdef BN_USES_PLANES
            dots[k] = (float)sums[k];
#else
            dots[k] = (float)(n - 2 * pop[k]);
#endif
        bn_finish_tile(BN_XF, v->target, dots, row, column, pixels, filter);
        return;
    }
#endif
#ifdef BN_USES_FLOATS
    case BN_OF_FLOATS: {
        float sums[BN_P * BN_FF];
        const int w_row = tap_row * BN_FF;
        const float *w = (const float *)v->weights + (size_t)filter * (size_t)(v->window[0] * tap_row) +
                         top * w_row + left * v->step * BN_FF;
        bn_conv_tile(sums, (const float *)v->x + from, x_row, x_step, pixels, w, w_row, rows, values);
        bn_finish_tile(BN_FF, v->target, sums, row, column, pixels, filter);
        return;
    }
#endif
#ifdef BN_USES_SIGNS
    case BN_OF_SIGNS: {
        float sums[BN_P * BN_FF];
        const int w_row = tap_row * BN_SIGN_BYTES;
        const uint8_t *w = (const uint8_t *)v->weights +
                           (size_t)(filter / BN_FF) * (size_t)(v->window[0] * tap_row * BN_SIGN_BYTES) +
                           top * w_row + left * v->step * BN_SIGN_BYTES;
        bn_bwn_tile(sums, (const float *)v->x + from, x_row, x_step, pixels, w, w_row, rows, values);
        bn_finish_tile(BN_FF, v->target, sums, row, column, pixels, filter);
        return;
    }
#endif
#ifdef BN_USES_BYTES
    case BN_OF_BYTES: {
        int32_t whole[BN_P * BN_IF];
        float sums[BN_P * BN_IF];
        const int w_row = (tap_row + 3) / 4 * 4 * BN_IF;
        const int8_t *w = (const int8_t *)v->weights + (size_t)(filter / BN_IF) * (size_t)(v->window[0] * w_row);
        bn_int8_tile(whole, (const uint8_t *)v->x + from, x_row, x_step, pixels, w, w_row, rows, values);
        for (int p = 0; p < pixels; p++) {
#ifdef BN_USES_TAP_SUMS
            float more[BN_IF];
            bn_offsets(v, w, w_row, filter, row, column + p, more);
#else
            const float *more = v->offsets[v->row_class[row] * v->classes + v->column_class[column + p]] + filter;
#endif
            for (int i = 0; i < BN_IF; i++) {
                const float scaled = (float)whole[p * BN_IF + i] * v->scale[filter + i];
                sums[p * BN_IF + i] = scaled + more[i];
            }
        }
        bn_finish_tile(BN_IF, v->target, sums, row, column, pixels, filter);
        return;
    }
#endif
    default:
        return;
    }
}

static void bn_convolve(const bn_convolution *v)
{
    const int block = v->weights_are <= BN_OF_PLANES ? BN_XF : v->weights_are == BN_OF_BYTES ? BN_IF : BN_FF;
    /* Filters whose bits share a word belong to one group, so that groups can run on several threads. */
    const int groups = (v->filters + BN_WORD_BITS - 1) / BN_WORD_BITS;
    int item;
#ifdef _OPENMP
#pragma omp parallel for
#endif
    for (item = 0; item < groups * v->out_rows; item++) {
        const int first = item / v->out_rows * BN_WORD_BITS, row = item % v->out_rows;
        const int end = first + BN_WORD_BITS < v->filters ? first + BN_WORD_BITS : v->filters;
        const int y = row * v->stride[0] - v->before[0];
        /* Columns before this one have their whole window on the map, unless it begins in the border. */
        const int inside = (v->columns + v->before[1] - v->window[1]) / v->stride[1] + 1;
        int taps[4];
        taps[0] = bn_first_tap(y);
        taps[1] = bn_end_tap(y, v->window[0], v->rows);
        for (int filter = first; filter < end; filter += block)
            for (int column = 0, pixels; column < v->out_columns; column += pixels) {
                const int x = column * v->stride[1] - v->before[1];
                taps[2] = bn_first_tap(x);
                taps[3] = bn_end_tap(x, v->window[1], v->columns);
                pixels = 1;
                if (taps[2] == 0 && taps[3] == v->window[1]) {
                    const int end_column = inside < v->out_columns ? inside : v->out_columns;
                    pixels = end_column - column < BN_P ? end_column - column : BN_P;
                }
                bn_tile(v, row, column, pixels, filter, taps);
            }
    }
}
