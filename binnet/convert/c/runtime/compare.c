/* Whole dot products against thresholds: only bits are written, no floats. */

BN_INLINE void bn_compare(const bn_target *t, const int32_t *dots, int row, int column, int pixels, int channel)
{
    const int left = t->channels - channel, n = left < BN_XF ? left : BN_XF, place = channel % BN_WORD_BITS;
    const bn_word used = (bn_word)(((bn_word)1 << (n - 1) << 1) - 1);
    const bn_word flips = (bn_word)((t->flips[channel / BN_WORD_BITS] >> place) & used);
    const int32_t *most = t->most + channel;
    for (int p = 0; p < pixels; p++, dots += BN_XF) {
        bn_word bits = 0;
        for (int i = 0; i < BN_XF; i++)
            bits |= (bn_word)((bn_word)(dots[i] <= most[i]) << i);
        bn_put(t->bits + row * t->bits_row + (column + p) * t->bits_step, channel, (bn_word)((bits & used) ^ flips));
    }
}
