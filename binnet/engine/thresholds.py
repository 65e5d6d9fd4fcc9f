"""The threshold where a chain of element-wise steps becomes negative, found exactly by bisection.

Normalisation, ReLU and sign are monotone in each channel, in floating point too, since rounding is. So the inputs whose
result is below zero are all on one side of a threshold, and a comparison with it says what the whole chain would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float

Apply = Callable[[Float], Float]
Ints = npt.NDArray[np.int64]
Truth = npt.NDArray[np.bool_]


def limits(chain: Sequence[Apply], c: int) -> tuple[Float, Float]:
    """The interval of floats that a chain maps below zero: ``chain(x) < 0`` exactly where ``low <= x <= high``.

    Parameters
    ----------
    chain
        Element-wise functions of float32 (C,), each monotone in each channel, on finite values at least. All but the
        last must map NaN to NaN.
    c
        Number of channels.

    Returns
    -------
    low, high : float32 (C,)
        Infinities included; +inf and -inf where nothing becomes negative. NaN lies in no interval.
    """
    # The search needs one input with a negative result. As the chain is monotone, the negative inputs reach one end of
    # the floats; infinity times a factor of 0 is NaN, so the largest finite numbers are tried as well.
    largest = np.finfo(np.float32).max
    keys = _keys(np.array([0, -np.inf, np.inf, -largest, largest], np.float32))
    seed, found = np.zeros(c, np.int64), np.zeros(c, bool)
    for key in keys[::-1]:  # 0 comes last and decides: where the factor is 0, infinity gives NaN
        negative = _is_negative(chain, np.full(c, key))
        seed, found = np.where(negative, key, seed), found | negative
    # Whole numbers in the order of the floats are halved at most 32 times. Each test runs the chain itself, with its
    # own roundings, so the limit is exact.
    low, high = (_last(lambda k: _is_negative(chain, k), seed, np.full(c, end)) for end in keys[1:3])
    return (
        np.where(found, _from_keys(low), np.float32(np.inf)),
        np.where(found, _from_keys(high), np.float32(-np.inf)),
    )


@dataclass(frozen=True, eq=False)
class Cut:
    """The threshold at which a chain over whole numbers becomes negative.

    Attributes
    ----------
    most : int64 (C,)
    below : bool (C,)
        The result is negative where ``d <= most`` if ``below``, else where ``d > most``.
    """

    most: Ints
    below: Truth


def cut(chain: Sequence[Apply], n: int, c: int) -> Cut | None:
    """The threshold of a chain over the dot products d of n signs, |d| <= n < 2^24; None if something is not finite."""
    # Each step is monotone: what is finite at both ends is finite between them.
    for end in (-n, n):
        y = np.full(c, end, np.float32)
        for step in chain:
            with np.errstate(all="ignore"):
                y = step(y)
            if not np.isfinite(y).all():
                return None
    least, most = np.full(c, -n, np.int64), np.full(c, n, np.int64)
    below, above = (_of_numbers(chain, d) for d in (least, most))
    rising = below | ~above  # negative for small d, for all, or for none
    first, far = np.where(rising, least, most), np.where(rising, most, least)
    last = _bisect(lambda d: _of_numbers(chain, d), first, far)
    # n: every d is at most that. -n - 1: none is.
    falling = np.where(above & below, n, np.where(below, last, np.where(above, last - 1, -n - 1)))
    return Cut(falling, rising)


def is_rising(chain: Sequence[Apply], n: int, c: int) -> Truth:
    """Whether the result grows with d, or stays the same; else it falls."""
    low, high = (_run(chain, np.full(c, end, np.float32)) for end in (-n, n))
    rising: Truth = low <= high
    return rising


def _run(chain: Sequence[Apply], x: Float) -> Float:
    with np.errstate(all="ignore"):
        for step in chain:
            x = step(x)
    return x


def _of_numbers(chain: Sequence[Apply], d: Ints) -> Truth:
    return _run(chain, d.astype(np.float32)) < 0


def _is_negative(chain: Sequence[Apply], keys: Ints) -> Truth:
    return _run(chain, _from_keys(keys)) < 0


def _last(holds: Callable[[Ints], Truth], start: Ints, end: Ints) -> Ints:
    """The last whole number from ``start`` towards ``end`` for which ``holds`` is true; it is true at ``start``."""
    return np.where(holds(end), end, _bisect(holds, start, end))


def _bisect(holds: Callable[[Ints], Truth], start: Ints, end: Ints) -> Ints:
    """Like :func:`_last`, for ``holds`` that is false at ``end``."""
    while (np.abs(end - start) > 1).any():
        middle = start + (end - start) // 2
        yes = holds(middle)
        start, end = np.where(yes, middle, start), np.where(yes, end, middle)
    return start


def _keys(x: Float) -> Ints:
    """Whole numbers in the order of the floats: 0 for both zeros, and 1 between neighbouring floats."""
    # Bit patterns of positive floats are in the order of the floats, those of negative floats in the opposite one.
    bits = x.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _from_keys(keys: Ints) -> Float:
    bits: npt.NDArray[Any] = np.where(keys < 0, -keys | 0x80000000, keys)
    return bits.astype(np.uint32).view(np.float32)
