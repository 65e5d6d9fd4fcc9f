"""Binary-weight convolution and dense layers: real input, weights of one bit (Eq. 1): I * W ≈ (I ⊕ B) alpha.

The weights stay one bit in memory; a tile expands the bits of its channels to ±1 in registers and multiply-adds, which
costs no more than loading 32-bit weights would, and reads 32 times less.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from . import checks
from ._jit import kernel
from .checks import Float, Pair, Window
from .epilogue import store_sums
from .geometry import padded, sliding
from .scale import weight_alpha
from .tile import CHANNELS, CHUNK, FLOAT_ROWS, add_signed, float_starts, no_sums
from .xnor import rows_as_pixels


class BwnConv2d:
    """A convolution with binary weights, prepared for one set of weights (arXiv:1603.05279, Eq. 1).

    ``y = (x * sign(W)) . alpha`` with additions and subtractions only.

    Parameters
    ----------
    weight : array (O, KH, KW, C) of real numbers
    stride, padding : int or pair of ints
        Vertical and horizontal; the border is zero.
    alpha : bool or array (O,)
        True: mean of |W| for each filter (Eq. 6). False: 1 (BinaryConnect). An array: these scales.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(self, weight: Any, stride: Pair = 1, padding: Pair = 0, alpha: Any = True) -> None:
        weight = checks.filters(weight, 4)
        self.window = Window.of(weight.shape[1:3], stride, padding)
        self.alpha = checks.alpha(alpha, weight, weight_alpha)
        self.shape = weight.shape
        o, depth, blocks = len(weight), int(np.prod(weight.shape[1:])), -(-len(weight) // CHANNELS)
        columns = blocks * CHANNELS
        negative = np.pad(weight.reshape(o, depth) < 0, ((0, columns - o), (0, 0)))
        by_tap = negative.reshape(blocks, CHANNELS, depth).transpose(0, 2, 1)
        self.weight_bits = np.packbits(by_tap, axis=-1, bitorder="little").ravel()
        self._alpha_blocks = np.pad(self.alpha, (0, columns - o))

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Images (N, H, W, C) of real numbers to float32 (N, OH, OW, O), written to ``out`` when given."""
        x = checks.floats(x, "x", 4)
        checks.same_channels(x, self.shape)
        walk, o = sliding(x.shape, self.window), self.shape[0]
        y = checks.output(out, (walk.n, walk.oh, walk.ow, o))
        if y.size:
            sizes = (walk.pixels, o, walk.rows, walk.span, walk.pitch)
            image = padded(x, self.window)
            _convolve_signs(image, walk.starts, self.weight_bits, self._alpha_blocks, y.ravel(), *sizes)
        return y


class BwnLinear:
    """A dense layer with binary weights: ``y = (x · sign(W)) . alpha``.

    Parameters
    ----------
    weight : array (O, I) of real numbers
    alpha : bool or array (O,)
        As in :class:`BwnConv2d`.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(self, weight: Any, alpha: Any = True) -> None:
        weight = checks.filters(weight, 2)
        self._conv = BwnConv2d(weight[:, None, None], alpha=alpha)
        self.shape, self.alpha = weight.shape, self._conv.alpha

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Rows (N, I) of real numbers to float32 (N, O), written to ``out`` when given."""
        return rows_as_pixels(self._conv, x, out, self.shape[0])


@kernel
def _convolve_signs(x, starts, bits, alpha, out, pixels, filters, rows, span, pitch):
    tiles = (pixels + FLOAT_ROWS - 1) // FLOAT_ROWS
    blocks = (filters + CHANNELS - 1) // CHANNELS
    chunks = (tiles + CHUNK - 1) // CHUNK
    for item in prange(chunks * blocks):
        block = item % blocks
        for tile in range(item // blocks * tiles // chunks, (item // blocks + 1) * tiles // chunks):
            first, place = tile * FLOAT_ROWS, block * rows * span
            start, sums = float_starts(starts, first), no_sums()
            for r in range(rows):
                for i in range(span):
                    sums = add_signed(sums, x, start, r * pitch + i, bits, place)
                    place += 1
            store_sums(sums, out, first, pixels - 1, filters, block * CHANNELS, alpha)
