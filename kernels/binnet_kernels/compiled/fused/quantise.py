"""Maps rounded to bytes, compiled."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import prange

from ...checks import Float
from ...fused.byte_map import ByteMap
from ...fused.epilogue import Run
from ...simd.jit import kernel


def bind_quantise(x: Float, factor: np.float32, zero: np.float32, out: ByteMap, stride: tuple[int, int]) -> Run:
    """Write ``clip(round(x * factor) + zero, 0, 255)`` of every stride-th pixel, 0 for NaN."""
    (_, h, w, c), (n, oh, ow, _), (_, high, wide, _), (top, _, left, _) = x.shape, out.shape, out.wide, out.border
    # Without a stride the pixels of a row lie side by side: one run.
    runs, length = (1, ow * c) if stride[1] == 1 else (ow, c)
    sizes = n, h, w * c, oh, high, wide * c, top, left * c, stride[0], stride[1] * c, runs, length
    return partial(_quantise, x.ravel(), factor, zero, out.memory, np.array(sizes, np.int64))


@kernel
def _quantise(x, factor, zero, out, sizes):
    n, h, w, oh, high, wide, top, left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7]
    down, right, runs, length = sizes[8], sizes[9], sizes[10], sizes[11]
    for line in prange(n * oh):
        source = (line // oh * h + line % oh * down) * w
        target = (line // oh * high + line % oh + top) * wide + left
        for run in range(runs):
            for i in range(length):
                y = np.rint(x[source + run * right + i] * factor) + zero
                y = y if y > np.float32(0) else np.float32(0)  # also for NaN
                # LLVM makes vectors of this loop.
                out[target + run * length + i] = np.uint8(y if y < np.float32(255) else np.float32(255))
