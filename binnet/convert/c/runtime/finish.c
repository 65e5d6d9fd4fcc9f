/* What follows the sums of a tile: element-wise steps, and where the values go, as floats, as bits or as both. */

#if defined(__GNUC__)
#define BN_INFINITY __builtin_inff()
#define BN_NAN __builtin_nanf("")
#else
#include <math.h>
#define BN_INFINITY INFINITY
#define BN_NAN NAN
#endif

typedef enum {
    BN_SCALE,  /* y * a */
    BN_SHIFT,  /* y + a */
    BN_NORM,   /* (y - a) * b + c */
    BN_RELU,
    BN_PRELU,  /* a * y where y < 0 */
    BN_SIGN,   /* -1 where y < 0, else +1 */
    BN_ADD,    /* y + the map a */
    BN_BY_PIXEL /* y * a of the pixel, which is K */
} bn_kind;

/* Vectors have a number for each channel, and some more up to a whole tile. */
typedef struct {
    bn_kind kind;
    const float *a, *b, *c;
} bn_step;

typedef struct {
    int columns, channels; /* of the map that is written */
    int count;
    const bn_step *steps;
    float *floats;         /* the map, or NULL */
    bn_word *bits;         /* the bit map inside its border, or NULL */
    int bits_row, bits_step; /* words between rows and between pixels */
    const float *low, *high; /* a bit is 1 where low <= y <= high */
    const int32_t *most;     /* or where a whole dot product is at most this, */
    const bn_word *flips;    /* after which these bits are inverted */
} bn_target;

/* Put the bits of some channels, which begin at a multiple of their number, into the words of a pixel. */
BN_INLINE void bn_put(bn_word *pixel, int channel, bn_word bits)
{
    const int place = channel % BN_WORD_BITS;
    bn_word *word = pixel + channel / BN_WORD_BITS;
    *word = place ? (bn_word)(*word | (bn_word)(bits << place)) : bits;
}

BN_OF_BLOCK void bn_apply(const int f, const bn_step *step, float *y, size_t at, int pixels, int channels, int channel)
{
    const float *a = step->a, *b = step->b, *c = step->c;
    const bn_kind kind = step->kind;
    if (kind == BN_ADD || kind == BN_BY_PIXEL)
        a += kind == BN_ADD ? at : at / (size_t)channels;
    else if (kind != BN_RELU && kind != BN_SIGN)
        a += channel;
    if (kind == BN_NORM) {
        b += channel;
        c += channel;
    }
/* A vector is a block of filters. Clang would take several pixels for one, and spend its time on moving lanes. */
#if defined(__clang__)
#define BN_PIXEL_BY_PIXEL _Pragma("clang loop vectorize(disable) interleave(disable)")
#else
#define BN_PIXEL_BY_PIXEL
#endif
#define BN_EACH(value)                                  \
    BN_PIXEL_BY_PIXEL for (int p = 0; p < pixels; p++)  \
        for (int i = 0; i < f; i++)                     \
            y[p * f + i] = (value);                     \
    break
    switch (kind) {
    case BN_SCALE: BN_EACH(y[p * f + i] * a[i]);
    case BN_SHIFT: BN_EACH(y[p * f + i] + a[i]);
    case BN_NORM:
        /* One operation a statement: old processors keep more digits within an expression. */
        BN_PIXEL_BY_PIXEL for (int p = 0; p < pixels; p++)
            for (int i = 0; i < f; i++) {
                const float from_mean = y[p * f + i] - a[i];
                const float scaled = from_mean * b[i];
                y[p * f + i] = scaled + c[i];
            }
        break;
    case BN_RELU: BN_EACH(y[p * f + i] < 0.0f ? 0.0f : y[p * f + i]);
    case BN_PRELU: BN_EACH(y[p * f + i] < 0.0f ? y[p * f + i] * a[i] : y[p * f + i]);
    case BN_SIGN: BN_EACH(y[p * f + i] < 0.0f ? -1.0f : 1.0f);
    case BN_ADD: BN_EACH(y[p * f + i] + a[(size_t)p * (size_t)channels + (size_t)i]);
    default: BN_EACH(y[p * f + i] * a[p]);
    }
#undef BN_EACH
#undef BN_PIXEL_BY_PIXEL
}

/* Finish the values y [pixel][f] of pixels from (row, column) on, of channels from `channel` on. */
BN_OF_BLOCK void bn_finish_tile(const int f, const bn_target *t, float *y, int row, int column, int pixels, int channel)
{
    const size_t first = (size_t)row * (size_t)t->columns + (size_t)column;
    const size_t at = first * (size_t)t->channels + (size_t)channel;
    const int left = t->channels - channel, n = left < f ? left : f;
    const bn_word used = (bn_word)(((bn_word)1 << (n - 1) << 1) - 1);
    for (int s = 0; s < t->count; s++)
        bn_apply(f, t->steps + s, y, at, pixels, t->channels, channel);
    if (t->floats != NULL)
        for (int p = 0; p < pixels; p++) {
            float *out = t->floats + at + (size_t)p * (size_t)t->channels;
            if (n == f)
                for (int i = 0; i < f; i++)
                    out[i] = y[p * f + i];
            else
                for (int i = 0; i < n; i++)
                    out[i] = y[p * f + i];
        }
    if (t->bits != NULL)
        for (int p = 0; p < pixels; p++) {
            const bn_word bits = bn_between(f, y + p * f, t->low + channel, t->high + channel);
            bn_put(t->bits + row * t->bits_row + (column + p) * t->bits_step, channel, bits & used);
        }
}

/* Taps of a window that lie on the map: first and end. */
BN_INLINE int bn_first_tap(int place) { return place < 0 ? -place : 0; }
BN_INLINE int bn_end_tap(int place, int window, int size)
{
    const int left = size - place;
    return left < window ? (left > 0 ? left : 0) : window;
}
