"""Maps rounded to bytes, compiled."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import prange

from ...checks import Float
from ...fused.byte_map import ByteMap
from ...fused.epilogue import Run
from ...simd.byte_tile import WIDTH, store_rounded
from ...simd.jit import helper, kernel

_WORTH_SHARING = 1 << 16  # numbers, some 6 µs of work


def bind_quantise(x: Float, factor: np.float32, zero: np.float32, out: ByteMap, stride: tuple[int, int]) -> Run:
    """Write ``clip(round(x * factor) + zero, 0, 255)`` of every stride-th pixel, 0 for NaN."""
    (_, h, w, c), (n, oh, ow, _), (_, high, wide, _), (top, _, left, _) = x.shape, out.shape, out.wide, out.border
    # Without a stride the pixels of a row lie side by side: one run.
    runs, length = (1, ow * c) if stride[1] == 1 else (ow, c)
    sizes = n, h, w * c, oh, high, wide * c, top, left * c, stride[0], stride[1] * c, runs, length
    run = _quantise if n * oh * ow * c > _WORTH_SHARING else _quantise.serial
    return partial(run, x.ravel(), factor, zero, out.memory, np.array(sizes, np.int64))


@helper
def rounded(x, factor, zero):
    """A single number, as :func:`store_rounded` rounds it."""
    y = np.rint(x * factor) + zero
    y = y if y > np.float32(0) else np.float32(0)  # also for NaN
    return np.uint8(y if y < np.float32(255) else np.float32(255))


@kernel
def _quantise(x, factor, zero, out, sizes):
    n, h, w, oh, high, wide, top, left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7]
    down, right, runs, length = sizes[8], sizes[9], sizes[10], sizes[11]
    for line in prange(n * oh):
        source = (line // oh * h + line % oh * down) * w
        target = (line // oh * high + line % oh + top) * wide + left
        for run in range(runs):
            read, write = source + run * right, target + run * length
            if length < WIDTH:
                for i in range(length):
                    out[write + i] = rounded(x[read + i], factor, zero)
            else:
                for i in range(0, length, WIDTH):
                    # The last vector begins earlier and writes some numbers again: what follows belongs to others.
                    at = min(i, length - WIDTH)
                    store_rounded(out, write + at, x, read + at, factor, zero)
