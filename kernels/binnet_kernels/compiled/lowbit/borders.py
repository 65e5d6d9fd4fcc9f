"""Where windows leave the image: what a border of zeros has to be taken off for."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...checks import Halves, Window
from ...simd.geometry import border_classes
from ...simd.lanes import WIDTH


@lru_cache(maxsize=64)
def pixels_inside(size: tuple[int, int], n: int, window: Window, of_zeros: bool) -> Halves:
    """Which pixels lie inside of the image under each tap: uint32 (groups of 32 taps, blocks of 32 pixels, 32).

    All of them do unless the border is one ``of_zeros``. After the last tap stands one under which no pixel does.
    """
    outside, border_class = border_classes(*size, n, window)
    classes = (~outside if of_zeros else np.ones_like(outside)).reshape(len(outside), -1)
    pixels, taps = len(border_class), classes.shape[1]
    of_pixel = np.zeros((-(-(taps + 1) // WIDTH) * WIDTH, -(-pixels // WIDTH) * WIDTH), bool)
    of_pixel[:taps, :pixels] = classes[border_class].T
    words = np.packbits(of_pixel, axis=1, bitorder="little").view("<u4")
    return np.ascontiguousarray(words.reshape(-1, WIDTH, words.shape[1]).swapaxes(1, 2), np.uint32)
