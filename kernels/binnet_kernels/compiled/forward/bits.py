"""The 64-bit word: how signs become bits and bits become signs.

Bit i of a word is 1 where the i-th value is negative, counted from the least significant bit. +0.0, -0.0 and NaN count
as +1 (they are not below zero). Bits past the last value are 0. Kernels read a word as two halves of 32 bits, the lower
one first (all machines that Numba compiles for are little-endian), so that a depth of 96 costs three halves, not four.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ... import checks
from ...checks import Float, Words
from ...simd.jit import helper, kernel
from ...simd.vector import LANES, add, load_first, magnitude, sign_half, store_signs, sum_lanes, zeros

_RUN = 4096  # values that one thread takes at a time


def sign(x: Any) -> Float:
    """The signs of real values (arXiv:1603.05279, Eq. 4, with sign(0) = +1).

    Parameters
    ----------
    x : array of real numbers, any shape

    Returns
    -------
    float32, the shape of ``x``
        -1 where x < 0, else +1.

    Raises
    ------
    TypeError
        When ``x`` does not hold real numbers.

    Examples
    --------
    >>> bk.sign([-0.5, 0.0, -0.0, 2.0])
    array([-1.,  1.,  1.,  1.], dtype=float32)
    """
    x = checks.floats(x, "x")
    y: Float = np.empty_like(x)
    if x.size:
        _signs(x.ravel(), y.ravel(), -(-x.size // _RUN), x.size)
    return y


def pack_signs(x: Any) -> Words:
    """Pack the signs of real values, 64 to a word.

    Parameters
    ----------
    x : array (..., n) of real numbers
        Any shape; the last axis is packed.

    Returns
    -------
    uint64 (..., ceil(n / 64))
        sign(x) of Eq. 4 (arXiv:1603.05279) as bits: 1 where x < 0.

    Raises
    ------
    TypeError
        When ``x`` does not hold real numbers.

    Examples
    --------
    >>> bk.pack_signs([-0.5, 0.0, -3.0, 2.0])  # bits 0 and 2
    array([5], dtype=uint64)
    >>> bk.pack_signs(np.zeros((10, 100))).shape
    (10, 2)
    """
    x = checks.floats(np.atleast_1d(x), "x")
    n = x.shape[-1]
    words = np.empty((*x.shape[:-1], -(-n // 64)), np.uint64)
    if words.size:
        _pack_rows(x.ravel(), words.ravel().view(np.uint32), x.size // n, n)
    return words


def unpack_signs(words: Any, n: int) -> Float:
    """The signs in packed words, as floats.

    Parameters
    ----------
    words : uint64 (..., ceil(n / 64))
        As made by :func:`pack_signs`.
    n : int
        How many signs each row holds, at least 0.

    Returns
    -------
    float32 (..., n)
        +1 where the bit is 0, -1 where it is 1.

    Raises
    ------
    TypeError, ValueError
        When ``words`` is not uint64, or its last axis is not ceil(n / 64).

    Examples
    --------
    >>> bk.unpack_signs(np.array([5], np.uint64), 4)
    array([-1.,  1., -1.,  1.], dtype=float32)
    """
    words = checks.packed(words, n)
    x = np.empty((*words.shape[:-1], int(n)), np.float32)
    if x.size:
        _unpack_rows(words.ravel(), x.ravel(), x.size // x.shape[-1], x.shape[-1])
    return x


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
