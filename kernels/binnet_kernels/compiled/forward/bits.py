"""The 64-bit word: how signs become bits and bits become signs.

Bit i of a word is 1 where the i-th value is negative, counted from the least significant bit. +0.0, -0.0 and NaN count
as +1 (they are not below zero). Bits past the last value are 0. Kernels read a word as two halves of 32 bits, the lower
one first (all machines that Numba compiles for are little-endian), so that a depth of 96 costs three halves, not four.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ...checks import Float, Words
from ...simd.jit import helper, kernel
from ...simd.vector import LANES, add, load_first, magnitude, sign_half, store_signs, sum_lanes, zeros

_RUN = 4096  # values that one thread takes at a time


def sign(x: Float, y: Float) -> None:
    """``y`` = sign(x), of one shape."""
    if x.size:
        _signs(x.ravel(), y.ravel(), -(-x.size // _RUN), x.size)


def pack_signs(x: Float, words: Words) -> None:
    """``words`` (..., ceil(n / 64)): the signs of ``x`` (..., n)."""
    if words.size:
        _pack_rows(x.ravel(), words.ravel().view(np.uint32), x.size // x.shape[-1], x.shape[-1])


def unpack_signs(words: Words, x: Float) -> None:
    """``x`` (..., n): the signs of packed ``words``."""
    if x.size:
        _unpack_rows(words.ravel(), x.ravel(), x.size // x.shape[-1], x.shape[-1])


@helper
def pack_values(x, start, n, halves, target):
    """Pack the signs of ``x[start:start + n]`` into the ceil(n / 32) half words at ``halves[target:]``."""
    # 64 signs are read without a mask; only the rest needs one.
    whole = n // 64
    for i in range(whole):
        store_signs(halves, target + 2 * i, x, start + 64 * i)
    for i in range(2 * whole, (n + 31) // 32):
        halves[target + i] = sign_half(x, start + 32 * i, n - 32 * i)


@helper
def mean_magnitude(x, start, n):
    """The mean of ``|x[start:start + n]|``, summed in an order that depends on n alone."""
    total = zeros()
    for i in range(0, n, LANES):  # masked throughout: a branch for the tail made this three times as slow
        total = add(total, magnitude(load_first(x, start + i, n - i)))
    return sum_lanes(total) / np.float32(n)


@helper
def pack_border(border, packed, target, wide, halves, left, right):
    """Fill the first ``left`` and the last ``right`` pixels of a row of ``wide`` pixels."""
    for i in range(left * halves):
        packed[target + i] = border[i % halves]
    for i in range((wide - right) * halves, wide * halves):
        packed[target + i] = border[i % halves]


@kernel
def _signs(x, y, runs, n):
    for run in prange(runs):
        for i in range(run * _RUN, min((run + 1) * _RUN, n)):
            y[i] = np.float32(-1) if x[i] < 0 else np.float32(1)


@kernel
def _pack_rows(x, halves, rows, n):
    count = (n + 63) // 64 * 2
    for row in prange(rows):
        halves[row * count + count - 1] = np.uint32(0)  # the last half of a word may have no values
        pack_values(x, row * n, n, halves, row * count)


@kernel
def _unpack_rows(words, x, rows, n):
    count = (n + 63) // 64
    for row in prange(rows):
        for i in range(n):
            # Constants are wrapped: `uint64 & 1` is int64 in Numba.
            bit = (words[row * count + i // 64] >> np.uint64(i % 64)) & np.uint64(1)
            x[row * n + i] = np.float32(1) - np.float32(2) * np.float32(bit)
