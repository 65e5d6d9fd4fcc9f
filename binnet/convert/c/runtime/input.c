/* Pixels to what the first layers read. */

#ifdef BN_USES_NORMALISE
/* (pixel / 255 - mean) / std, rounded after each operation. */
static void bn_normalise(float *out, const uint8_t *pixels, int values, int channels, const float *mean, const float *std)
{
    for (int i = 0; i < values; i += channels)
        for (int c = 0; c < channels; c++) {
            const float scaled = (float)pixels[i + c] / 255.0f;
            const float shifted = scaled - mean[c];
            out[i + c] = shifted / std[c];
        }
}
#endif

#if defined(BN_USES_QUANTISE) || defined(BN_USES_ROUND)
/* clip(round(x * factor) + zero, 0, 255), ties to even; 0 for NaN. */
BN_INLINE int bn_quantised(float x, float factor, int zero)
{
    const float y = x * factor;
    const float within = y > -256.0f ? (y < 256.0f ? y : 256.0f) : -256.0f;
    const int whole = (int)within;
    const float rest = within - (float)whole;
    /* Without branches, so that the loops around it become vectors. */
    const int odd = whole & 1, up = (rest > 0.5f) | ((rest == 0.5f) & odd), down = (rest < -0.5f) | ((rest == -0.5f) & odd);
    const int q = whole + up - down + zero;
    return q > 0 ? (q < 255 ? q : 255) : 0;
}
#endif

#ifdef BN_USES_ROUND
static void bn_round(float *out, const float *x, int values, float factor, int zero)
{
    for (int i = 0; i < values; i++)
        out[i] = (float)bn_quantised(x[i], factor, zero);
}
#endif

#ifdef BN_USES_BYTES
typedef struct {
    int rows, columns, channels; /* of the map that is read */
    int stride[2];               /* of the rows and columns that are taken */
    int out_row;                 /* bytes from row to row of what is written */
    float factor;                /* 1 / step */
    int zero;
} bn_bytes;

#ifdef BN_USES_PIXELS
static void bn_take_pixels(uint8_t *out, const uint8_t *pixels, const bn_bytes *b)
{
    const int row_values = b->columns * b->channels;
    for (int y = 0; y < b->rows; y += b->stride[0], out += b->out_row) {
        uint8_t *to = out;
        for (int x = 0; x < row_values; x += b->stride[1] * b->channels)
            for (int c = 0; c < b->channels; c++)
                *to++ = pixels[y * row_values + x + c];
    }
}
#endif

#ifdef BN_USES_QUANTISE
static void bn_quantise(uint8_t *out, const float *x, const bn_bytes *b)
{
    const int row_values = b->columns * b->channels;
    for (int y = 0; y < b->rows; y += b->stride[0], out += b->out_row) {
        const int run = b->stride[1] == 1 ? row_values : b->channels, step = b->stride[1] * run;
        const float factor = b->factor, *row = x + y * row_values;
        const int zero = b->zero;
        uint8_t *to = out;
        for (int i = 0; i < row_values; i += step, to += run)
            for (int c = 0; c < run; c++)
                to[c] = (uint8_t)bn_quantised(row[i + c], factor, zero);
    }
}
#endif
#endif
