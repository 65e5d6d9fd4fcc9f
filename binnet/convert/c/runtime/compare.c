/* Whole dot products against thresholds: only bits are written, no floats. */

BN_INLINE void bn_compare(const bn_target *t, const int32_t *pop, int n, int row, int column, int pixels, int channel)
{
    const int left = t->channels - channel, place = channel % BN_WORD_BITS;
    const unsigned used = (1u << (left < BN_XF ? left : BN_XF)) - 1u;
    const unsigned flips = (unsigned)(t->flips[channel / BN_WORD_BITS] >> place);
    bn_word *bits = t->bits + row * t->bits_row + column * t->bits_step;
    for (int p = 0; p < pixels; p++, pop += BN_XF, bits += t->bits_step)
        bn_put(bits, channel, (bn_word)((bn_reach(pop, n, t->most + channel) ^ flips) & used));
}
