"""Maps of sign bits: of a map, and of a normalised map in one pass.

The block of a binary layer starts with "normalise, take the sign". Forward, neither the normalised map nor the signs
are ever written as floats: each value leaves two bits, its sign for the convolution and whether the straight-through
gradient may pass it. Both are half words of 32 channels, the least significant bit first.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..checks import Affine, Float, Halves, border_halves
from ..simd.jit import kernel
from ..simd.lanes import WIDTH, fetch_ahead, first_lanes, load_lanes, negative, within_one
from .forward.bits import pack_border

GROUP = 8  # pixels of a row that go through all channels before the next
WORTH_SHARING = 1 << 16  # values, some 10 µs of work: twice as long as it takes to wake the other threads


def signs(x: Float, padding: tuple[int, int], pad_value: int, bits: Halves, within: Halves) -> None:
    """``bits``: the signs of images with their border; ``within``: where the straight-through gradient passes."""
    norm_signs(x, unchanged(x.shape[3]), padding, pad_value, bits, within)


def norm_signs(
    x: Float, affine: Affine, padding: tuple[int, int], pad_value: int, bits: Halves, within: Halves
) -> None:
    """The same of a normalised ``x``, with the roundings of ``normalise``."""
    if bits.size:
        write = _norm_signs if x.size > WORTH_SHARING else _norm_signs.serial
        fill = border_halves(x.shape[3], pad_value)
        write(x.ravel(), *affine, fill, bits.ravel(), within.ravel(), *x.shape, *padding)


def unchanged(c: int) -> Affine:
    """The normalisation of ``c`` channels that leaves all values what they are."""
    zeros, ones = np.zeros(c, np.float32), np.ones(c, np.float32)
    return zeros, ones, zeros


@kernel
def _norm_signs(x, mean, factor, shift, border, bits, within, n, h, w, c, ph, pw):
    halves, high, wide = (c + 31) // 32, h + 2 * ph, w + 2 * pw
    for line in prange(n * high):
        row, target = line % high - ph, line * wide * halves
        inside = 0 <= row < h
        pack_border(border, bits, target, wide, halves, pw if inside else wide, pw)
        start = (line // high * h + row) * w
        for first in range(0, w if inside else 0, GROUP):
            for i in range(halves):
                lanes = first_lanes(c - i * WIDTH)
                centre, scale = load_lanes(mean, i * WIDTH, lanes), load_lanes(factor, i * WIDTH, lanes)
                base = load_lanes(shift, i * WIDTH, lanes)
                for col in range(first, min(first + GROUP, w)):
                    # Blocks of 32 channels are no sequence that the CPU would fetch by itself.
                    fetch_ahead(x, (start + col) * c + i * WIDTH)
                    # Three roundings, as in batch_norm_inference.
                    value = (load_lanes(x, (start + col) * c + i * WIDTH, lanes) - centre) * scale + base
                    bits[target + (col + pw) * halves + i] = negative(value)
                    # With the sign this is all that is kept of the normalised map: two bits a value (ADR 0020).
                    within[(start + col) * halves + i] = within_one(value) & lanes
