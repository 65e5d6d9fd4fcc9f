"""The levels between -1 and +1 that take the place of signs: the paper's q_k, and their bits (end of section 3.2).

    q_k(x) = 2 ([(2^k - 1) (x + 1) / 2] / (2^k - 1) - 1/2),  x clipped to [-1, 1], halves rounded up

With L = 2^k - 1 there are the 2^k levels -L/L, (2 - L)/L, ..., L/L. The *code* c of a level counts from the top, 0
for +1 and L for -1, so that L q_k = L - 2 c. With the bits c_i of c, L = sum_i 2^i and c = sum_i 2^i c_i, that is
L q_k = sum_i 2^i (1 - 2 c_i), a sum of signs: *plane* i holds the bits c_i, packed like any signs, 1 for -1. Of one
bit, the only plane is the sign itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..backend import PACKING, WEIGHTS, Late, front_door, in_numpy
from ..binarize import weight_alpha
from ..checks import Float, Words
from .weight_ranges import RANGES
from .weights import level_weight_hat

if TYPE_CHECKING:
    from ..compiled.lowbit import levels as compiled
    from ..reference.lowbit import levels as reference
else:
    reference = Late("binnet_kernels.reference.lowbit.levels")
    compiled = Late("binnet_kernels.compiled.lowbit.levels")


@front_door(PACKING)
def quantise_input(x: Any, bits: int) -> Float:
    """The level of each value, q_k of arXiv:1603.05279, section 3.2, rounding halves up; q_1 is :func:`sign`.

    (2^k - 1) x is rounded to float32 before it is compared with the borders between levels, which are whole numbers, so
    that the float next to such a border may count as the border itself.

    Parameters
    ----------
    x : array of real numbers, any shape
    bits : int
        k, from 1 to 8.

    Returns
    -------
    float32, the shape of ``x``
        In [-1, 1], never 0: both zeros give 1 / (2^k - 1), and NaN gives +1.

    Raises
    ------
    TypeError, ValueError
        When ``x`` does not hold real numbers, or ``bits`` is out of range.
    """
    x = checks.floats(x, "x")
    checks.levels(bits, "bits")
    y: Float = np.empty_like(x)
    (reference.quantise_input if in_numpy() else compiled.quantise_input)(x, int(bits), y)
    return y


@front_door(PACKING)
def pack_planes(x: Any, bits: int) -> Words:
    """Quantise and pack: the planes of q_k(x), 64 values to a word.

    Parameters
    ----------
    x : array (..., n) of real numbers
    bits : int
        k, from 1 to 8.

    Returns
    -------
    uint64 (k, ..., ceil(n / 64))
        Plane i, of weight 2^i, as :func:`pack_signs` packs signs.

    Raises
    ------
    TypeError, ValueError
        As :func:`quantise_input`.
    """
    x = checks.floats(np.atleast_1d(x), "x")
    planes = _no_planes(x.shape, bits)
    (reference.pack_planes if in_numpy() else compiled.pack_planes)(x, planes)
    return planes


@front_door(WEIGHTS)
def weight_range(weight: Any, bits: int) -> Float:
    """The scale of each filter with k-bit weights: mean of |W| (Eq. 6) times a constant of k.

    W is taken as alpha q_k(W / alpha). The constant makes ‖W - alpha q_k(W / alpha)‖ smallest for Gaussian weights; for
    k = 1 it is 1, and alpha that of Eq. 6. The paper says nothing about other k.

    Parameters
    ----------
    weight : array (O, KH, KW, C) or (O, I) of real numbers
    bits : int
        k, from 1 to 8.

    Returns
    -------
    float32 (O,)

    Raises
    ------
    TypeError, ValueError
        As :func:`weight_alpha`, and when ``bits`` is out of range.
    """
    checks.levels(bits, "bits")
    return weight_alpha(weight) * np.float32(RANGES[int(bits) - 1])


@front_door(WEIGHTS)
def quantise_weight(weight: Any, bits: int) -> Float:
    """The levels of weights, q_k(W / alpha) with alpha from :func:`weight_range`; their signs for one bit.

    Parameters
    ----------
    weight : array (O, KH, KW, C) or (O, I) of real numbers
    bits : int
        k, from 1 to 8.

    Returns
    -------
    float32, the shape of ``weight``

    Raises
    ------
    TypeError, ValueError
        As :func:`weight_range`.
    """
    weight = checks.filters(weight)
    return level_weight_hat(weight, np.ones(len(weight), np.float32), bits)


@front_door(WEIGHTS)
def weight_planes(weight: Any, bits: int) -> Words:
    """The planes of the levels of weights, :func:`pack_planes` of :func:`quantise_weight` in one pass.

    Parameters
    ----------
    weight : array (O, KH, KW, C) or (O, I) of real numbers
    bits : int
        k, from 1 to 8.

    Returns
    -------
    uint64 (k, O, KH, KW, ceil(C / 64)) or (k, O, ceil(I / 64))

    Raises
    ------
    TypeError, ValueError
        As :func:`weight_range`.
    """
    weight = checks.filters(weight)
    # Rounded and packed in one pass: floats in between would be read and written once more.
    planes = _no_planes(weight.shape, bits)
    (reference.weight_planes if in_numpy() else compiled.weight_planes)(weight, planes)
    return planes


def _no_planes(shape: tuple[int, ...], bits: int) -> Words:
    """Room for the planes of an array (..., n), all bits 0."""
    checks.levels(bits, "bits")
    return np.zeros((int(bits), *shape[:-1], -(-shape[-1] // 64)), np.uint64)
