"""Images to maps of bits: the signs of each pixel in half words, the border around them."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...simd.jit import kernel
from .bits import mean_magnitude, pack_border, pack_values


@kernel
def pack_image(x, border, packed, n, h, w, c, top, bottom, left, right):
    halves, high, wide = (c + 31) // 32, top + h + bottom, left + w + right
    for line in prange(n * high):
        row, target = line % high - top, line * wide * halves
        # A thread writes whole lines, the border too: no second pass over the map fills it.
        inside = 0 <= row < h
        pack_border(border, packed, target, wide, halves, left if inside else wide, right)
        if inside:
            for col in range(w):
                source = ((line // high * h + row) * w + col) * c
                pack_values(x, source, c, packed, target + (col + left) * halves)


@kernel
def pack_image_and_mean(x, border, packed, mean_abs_x, n, h, w, c, top, bottom, left, right):
    halves, high, wide = (c + 31) // 32, top + h + bottom, left + w + right
    for line in prange(n * high):
        row, target = line % high - top, line * wide * halves
        inside = 0 <= row < h
        pack_border(border, packed, target, wide, halves, left if inside else wide, right)
        for col in range(wide):
            mean_abs_x[line * wide + col] = np.float32(0)
        if inside:
            for col in range(w):
                source = ((line // high * h + row) * w + col) * c
                pack_values(x, source, c, packed, target + (col + left) * halves)
                # A is computed while the pixel is in the cache: K costs no pass over the image of its own.
                mean_abs_x[line * wide + col + left] = mean_magnitude(x, source, c)
