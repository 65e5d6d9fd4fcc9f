/* Functions of several maps, and of single values. */

#ifdef BN_USES_COMBINE
typedef struct {
    int sizes[3];             /* rows, columns, channels of the result */
    int x_steps[3], y_steps[3]; /* of the inputs; 0 along an axis that is repeated */
    char operation;           /* + * or / */
} bn_pair;

static void bn_combine(float *out, const float *x, const float *y, const bn_pair *p)
{
    for (int i = 0; i < p->sizes[0]; i++)
        for (int j = 0; j < p->sizes[1]; j++)
            for (int k = 0; k < p->sizes[2]; k++) {
                const float a = x[i * p->x_steps[0] + j * p->x_steps[1] + k * p->x_steps[2]];
                const float b = y[i * p->y_steps[0] + j * p->y_steps[1] + k * p->y_steps[2]];
                *out++ = p->operation == '+' ? a + b : p->operation == '*' ? a * b : a / b;
            }
}
#endif

#ifdef BN_USES_JOIN
/* Blocks of `size` values to places that are `pitch` values apart. */
static void bn_join(float *out, const float *x, int blocks, int size, int pitch)
{
    for (int i = 0; i < blocks; i++)
        for (int j = 0; j < size; j++)
            out[i * pitch + j] = x[i * size + j];
}
#endif

#ifdef BN_USES_FILL
static void bn_fill(float *out, int values, float value)
{
    for (int i = 0; i < values; i++)
        out[i] = value;
}
#endif

#ifdef BN_USES_GROUPS
/* A convolution whose filters read the channels of their group; weights are (filters, rows, columns, channels). */
static void bn_grouped(float *out, const float *x, const float *w, const float *bias, int groups, int channels,
                       const bn_pool *p, int filters)
{
    for (int row = 0; row < p->out_rows; row++)
        for (int column = 0; column < p->out_columns; column++) {
            const int y = row * p->stride[0] - p->before[0], z = column * p->stride[1] - p->before[1];
            for (int f = 0; f < filters; f++) {
                float sum = 0.0f;
                for (int i = bn_first_tap(y); i < bn_end_tap(y, p->window[0], p->rows); i++)
                    for (int j = bn_first_tap(z); j < bn_end_tap(z, p->window[1], p->columns); j++) {
                        const float *v = x + ((y + i) * p->columns + z + j) * p->channels + f / (filters / groups) * channels;
                        const float *weight = w + ((f * p->window[0] + i) * p->window[1] + j) * channels;
                        for (int c = 0; c < channels; c++)
                            sum += v[c] * weight[c];
                    }
                *out++ = bias == NULL ? sum : sum + bias[f];
            }
        }
}
#endif

#if defined(BN_USES_PLANES) || defined(BN_USES_LEVELS)
/* The number 0 to 2^bits - 1 of the level between -1 and +1 that is nearest; halves go up, NaN counts as +1. */
BN_INLINE int bn_level(float x, int bits)
{
    const int most = (1 << bits) - 1;
    const float within = x != x || x > 1.0f ? 1.0f : x < -1.0f ? -1.0f : x;
    const float scaled = within * (float)most;
    int whole = (int)scaled;
    whole -= (float)whole > scaled;
    return ((whole % 2 != 0 ? whole : whole + 1) + most) / 2;
}
#endif

#ifdef BN_USES_PLANES
/* The levels of a map as planes of signs; plane i counts 2^i. */
static void bn_planes(bn_word *planes, int plane_words, int row_words, const float *x, int rows, int columns, int channels,
                      int bits)
{
    const int words = (channels + BN_WORD_BITS - 1) / BN_WORD_BITS;
    for (int plane = 0; plane < bits; plane++)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++) {
                bn_word *to = planes + plane * plane_words + i * row_words + j * words;
                for (int word = 0; word < words; word++)
                    to[word] = 0;
                for (int c = 0; c < channels; c++) {
                    const bn_word up = (bn_word)(bn_level(x[(i * columns + j) * channels + c], bits) >> plane & 1);
                    to[c / BN_WORD_BITS] |= (bn_word)((up ^ 1u) << c % BN_WORD_BITS);
                }
            }
}
#endif

#ifdef BN_USES_LEVELS
static void bn_levels(float *out, const float *x, int values, int bits)
{
    for (int i = 0; i < values; i++) {
        const int most = (1 << bits) - 1;
        out[i] = (float)(2 * bn_level(x[i], bits) - most) / (float)most;
    }
}
#endif

#ifdef BN_USES_BORDER
static void bn_fill_words(bn_word *bits, int pixels, int channels, int negative)
{
    for (int i = 0; i < pixels; i++)
        for (int c = 0; c < channels; c += BN_WORD_BITS, bits++) {
            const int n = channels - c < BN_WORD_BITS ? channels - c : BN_WORD_BITS;
            *bits = negative ? (bn_word)(((bn_word)1 << (n - 1) << 1) - 1) : 0;
        }
}
#endif

#ifdef BN_USES_K
/* K: the mean of |x| over channels, then over each window, whose border counts 0. */
static void bn_scale_map(float *k, float *mean, const float *x, int channels, const bn_pool *p)
{
    for (int i = 0; i < p->rows * p->columns; i++) {
        float sum = 0.0f;
        for (int c = 0; c < channels; c++) {
            const float v = x[(size_t)i * (size_t)channels + (size_t)c];
            sum += v < 0.0f ? -v : v;
        }
        mean[i] = sum / (float)channels;
    }
    for (int row = 0; row < p->out_rows; row++)
        for (int column = 0; column < p->out_columns; column++) {
            const int y = row * p->stride[0] - p->before[0], z = column * p->stride[1] - p->before[1];
            double sum = 0.0;
            for (int i = bn_first_tap(y); i < bn_end_tap(y, p->window[0], p->rows); i++)
                for (int j = bn_first_tap(z); j < bn_end_tap(z, p->window[1], p->columns); j++)
                    sum += (double)mean[(y + i) * p->columns + z + j];
            *k++ = (float)(sum / (double)(p->window[0] * p->window[1]));
        }
}
#endif

#ifdef BN_USES_CLIP
static void bn_clip(float *out, const float *x, int values, float low, float high)
{
    for (int i = 0; i < values; i++)
        out[i] = x[i] < low ? low : x[i] > high ? high : x[i];
}
#endif

#ifdef BN_USES_TANH
static void bn_tanh(float *out, const float *x, int values)
{
    for (int i = 0; i < values; i++)
        out[i] = (float)tanh((double)x[i]);
}
#endif

#ifdef BN_USES_SIGMOID
static void bn_sigmoid(float *out, const float *x, int values)
{
    for (int i = 0; i < values; i++)
        out[i] = (float)(1.0 / (1.0 + exp(-(double)x[i])));
}
#endif

#ifdef BN_USES_SOFTMAX
static void bn_softmax(float *out, const float *x, int rows, int classes)
{
    for (int i = 0; i < rows; i++, out += classes, x += classes) {
        float most = x[0];
        double sum = 0.0;
        for (int c = 1; c < classes; c++)
            most = x[c] > most ? x[c] : most;
        for (int c = 0; c < classes; c++)
            sum += exp((double)x[c] - (double)most);
        for (int c = 0; c < classes; c++)
            out[c] = (float)(exp((double)x[c] - (double)most) / sum);
    }
}
#endif

#ifdef BN_USES_FLAT_BITS
/* The bits of all pixels without the unused bits between them. */
static void bn_flatten_bits(bn_word *out, const bn_word *x, int pixels, int channels)
{
    const int words = (channels + BN_WORD_BITS - 1) / BN_WORD_BITS;
    for (int i = 0; i < (pixels * channels + BN_WORD_BITS - 1) / BN_WORD_BITS; i++)
        out[i] = 0;
    for (int i = 0; i < pixels * channels; i++) {
        const int c = i % channels;
        const bn_word bit = x[i / channels * words + c / BN_WORD_BITS] >> c % BN_WORD_BITS & 1u;
        out[i / BN_WORD_BITS] |= (bn_word)(bit << i % BN_WORD_BITS);
    }
}
#endif
