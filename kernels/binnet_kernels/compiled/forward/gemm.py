"""Products of matrices of packed signs, by the tile of the XNOR-popcount convolution."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...checks import Ints, Words
from ...simd.epilogue import store_ints
from ...simd.jit import kernel
from ...simd.tile import XNOR_ROWS
from ...simd.tiling import items_of, part_of
from .xnor import count_tile, half_words, interleaved, whole_blocks


def xnor_gemm(a: Words, b: Words, n: int, dots: Ints) -> None:
    """``dots`` (M, N): ``n - 2 popcount(a ^ b)`` of rows of packed signs."""
    if dots.size:
        base = np.full(whole_blocks(len(b)), n, np.int32)
        halves = 2 * a.shape[1]
        # Copies of the last row fill the last tile.
        starts = np.arange(len(a) + XNOR_ROWS, dtype=np.int64).clip(max=len(a) - 1) * halves
        rows = a.ravel().view(np.uint32)
        _gemm(rows, starts, interleaved(half_words(b, n)), base, dots.ravel(), *dots.shape, -(-n // 32), halves)


@kernel
def _gemm(a, starts, b, base, out, rows, columns, depth, pitch):
    for item in prange(items_of(rows, columns, XNOR_ROWS)):
        channel, begin, end = part_of(item, rows, columns, XNOR_ROWS)
        for first in range(begin, end, XNOR_ROWS):
            # A row of the matrix is a pixel whose window is one run of words.
            counts = count_tile(a, starts, first, b, channel * depth, 1, depth, pitch)
            store_ints(counts, out, first, rows - 1, columns, channel, base)
