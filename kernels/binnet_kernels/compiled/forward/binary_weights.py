"""Binary weights in training: signs and scales of real weights in one pass, and real weights that have them."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...checks import Float, Words
from ...simd.jit import kernel
from ...simd.lanes import WIDTH, all_lanes, either, first_lanes, store_lanes
from .bits import pack_values
from .scale import filter_alpha


def binary_weights(weight: Float, signs: Words, alpha: Float) -> None:
    """``signs`` (O, ceil(n / 64)) and ``alpha`` (O,) of filters (O, n)."""
    if len(weight):
        _binary_weights(weight.ravel(), signs.ravel().view(np.uint32), alpha, *weight.shape)


def stand_in(signs: Words, alpha: Float, below: Float, weight: Float) -> None:
    """``weight`` (O, n): ``below`` (O,) where the sign is negative, elsewhere ``alpha``."""
    if len(weight):
        _stand_in(signs.ravel().view(np.uint32), alpha, below, weight.ravel(), *weight.shape)


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _binary_weights(weight, halves, alpha, filters, n):
    count = (n + 63) // 64 * 2
    for o in prange(filters):
        halves[o * count + count - 1] = np.uint32(0)  # the last half of a word may have no weights
        # The first of these two reads memory, the second the cache: most filters have less than 64 KB.
        alpha[o] = filter_alpha(weight, o * n, n)
        pack_values(weight, o * n, n, halves, o * count)


@kernel
def _stand_in(halves, alpha, below, weight, filters, n):
    count = (n + 63) // 64 * 2
    for o in prange(filters):
        plus, minus = all_lanes(alpha[o]), all_lanes(below[o])
        for i in range(0, n, WIDTH):
            value = either(minus, plus, halves[o * count + i // WIDTH])
            store_lanes(weight, o * n + i, value, first_lanes(n - i))
