"""Products of matrices of packed signs, by the tile of the XNOR-popcount convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ... import checks
from ...checks import Ints
from ...simd.epilogue import store_ints
from ...simd.jit import kernel
from ...simd.tile import CHANNELS, CHUNK, XNOR_ROWS
from .xnor import count_tile, half_words, interleaved, whole_blocks


def xnor_gemm(a: Any, b: Any, n: int) -> Ints:
    """Dot products of rows of packed signs: ``n - 2 * popcount(a ^ b)``.

    Parameters
    ----------
    a : uint64 (M, ceil(n / 64)),  b : uint64 (N, ceil(n / 64))
        Signs from :func:`pack_signs`; unused bits of the last word must be equal in both (0 there).
    n : int
        Number of signs in a row, at least 0.

    Returns
    -------
    int32 (M, N)
        Exact; in [-n, n].

    Raises
    ------
    TypeError, ValueError
        When an argument is not uint64, not two-dimensional, or its rows are not ceil(n / 64) words.

    Examples
    --------
    >>> x, w = np.array([[1.0, -2.0, 3.0]]), np.array([[4.0, 5.0, -6.0], [1.0, -1.0, 1.0]])
    >>> bk.xnor_gemm(bk.pack_signs(x), bk.pack_signs(w), n=3)
    array([[-1,  3]], dtype=int32)
    """
    a, b = checks.packed(a, n, "a", 2), checks.packed(b, n, "b", 2)
    out = np.empty((len(a), len(b)), np.int32)
    if out.size:
        base = np.full(whole_blocks(len(b)), n, np.int32)
        halves = 2 * a.shape[1]
        # Copies of the last row fill the last tile.
        starts = np.arange(len(a) + XNOR_ROWS, dtype=np.int64).clip(max=len(a) - 1) * halves
        rows = a.ravel().view(np.uint32)
        _gemm(rows, starts, interleaved(half_words(b, n)), base, out.ravel(), len(a), len(b), -(-n // 32), halves)
    return out


@kernel
def _gemm(a, starts, b, base, out, rows, columns, depth, pitch):
    tiles = (rows + XNOR_ROWS - 1) // XNOR_ROWS
    blocks = (columns + CHANNELS - 1) // CHANNELS
    chunks = (tiles + CHUNK - 1) // CHUNK
    for item in prange(chunks * blocks):
        channel = item % blocks * CHANNELS
        for tile in range(item // blocks * tiles // chunks, (item // blocks + 1) * tiles // chunks):
            first = tile * XNOR_ROWS
            # A row of the matrix is a pixel whose window is one run of words.
            counts = count_tile(a, starts, first, b, channel * depth, 1, depth, pitch)
            store_ints(counts, out, first, rows - 1, columns, channel, base)
