"""The levels between -1 and +1 that take the place of signs: the paper's q_k, and their bits (end of section 3.2).

    q_k(x) = 2 ([(2^k - 1) (x + 1) / 2] / (2^k - 1) - 1/2),  x clipped to [-1, 1], halves rounded up

With L = 2^k - 1 there are the 2^k levels -L/L, (2 - L)/L, ..., L/L. The *code* c of a level counts from the top, 0
for +1 and L for -1, so that L q_k = L - 2 c. With the bits c_i of c, L = sum_i 2^i and c = sum_i 2^i c_i, that is
L q_k = sum_i 2^i (1 - 2 c_i), a sum of signs: *plane* i holds the bits c_i, packed like any signs, 1 for -1. Of one
bit, the only plane is the sign itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types

from . import checks
from ._jit import helper, kernel
from .checks import Float, Words
from .kbit_ranges import RANGES, stretch
from .scale import weight_alpha
from .simd import Vector, lane_mask, masked_load, spread, twin

_HALF = Vector(types.uint32, 32)  # codes of as many values as a half word has bits
_RUN = 4096  # values that one thread takes at a time


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
    x, levels = checks.floats(x, "x"), checks.levels(bits, "bits")
    y: Float = np.empty_like(x)
    if x.size:
        _quantise(x.ravel(), np.ones(1, np.float32), y.ravel(), -(-x.size // _RUN), _RUN, x.size, levels, 0)
    return y


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
    return weight_alpha(weight) * np.float32(RANGES[bits - 1])


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
    weight, levels = checks.filters(weight), checks.levels(bits, "bits")
    y: Float = np.empty_like(weight)
    if len(weight):
        factor = stretch(weight_range(weight, bits), bits)
        _quantise(weight.ravel(), factor, y.ravel(), len(weight), weight[0].size, weight.size, levels, 1)
    return y


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
    x, levels = checks.floats(np.atleast_1d(x), "x"), checks.levels(bits, "bits")
    n = x.shape[-1]
    words = np.zeros((int(bits), *x.shape[:-1], -(-n // 64)), np.uint64)
    if words.size:
        _pack_rows(x.ravel(), words.ravel().view(np.uint32), x.size // n, n, int(bits), levels)
    return words


# ------------------------------------------------------------------ 32 codes at a time


def _level_codes(x: Any, index: int, keep: int, levels: int) -> Any:
    codes, count = np.zeros(32, np.uint32), min(keep, 32)
    codes[:count] = [code_of(value, levels) for value in x[index : index + count]]
    return codes


@twin(_level_codes)
def level_codes(context: Any, x: Any, index: Any, keep: Any, levels: Any) -> Any:
    """The codes of the first ``keep`` of 32 floats, 0 after them; ``levels`` is L."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        x, index, keep, levels = args
        floats, ints = ir.VectorType(ir.FloatType(), 32), _HALF.llvm_type
        one, minus_one, shift = (ir.Constant(t, [v] * 32) for t, v in ((floats, 1.0), (floats, -1.0), (ints, 1)))
        y = masked_load(context, builder, sig.args[0], x, index, keep, floats)
        y = builder.select(builder.fcmp_ordered("<", y, one), y, one)  # NaN becomes 1
        y = builder.select(builder.fcmp_ordered(">", y, minus_one), y, minus_one)
        y = builder.fmul(y, spread(builder, builder.sitofp(levels, ir.FloatType()), 32))
        whole = builder.fptosi(y, ints)  # towards 0: one too many where that is above
        above = builder.sext(builder.fcmp_ordered(">", builder.sitofp(whole, floats), y), ints)
        half = builder.ashr(builder.add(whole, above), shift)
        middle = spread(builder, builder.trunc(builder.lshr(levels, ir.Constant(levels.type, 1)), ir.IntType(32)), 32)
        return builder.select(lane_mask(builder, keep, 32), builder.sub(middle, half), ir.Constant(ints, [0] * 32))

    return _HALF(x, types.intp, types.intp, types.intp), build


def _plane_half(codes: Any, plane: int) -> Any:
    return np.packbits((codes >> np.uint32(plane)) & 1 == 1, bitorder="little").view("<u4")[0]


@twin(_plane_half)
def plane_half(context: Any, codes: Any, plane: Any) -> Any:
    """Bit ``plane`` of each code, as a half word."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        codes, plane = args
        ints = _HALF.llvm_type
        bit = builder.shl(ir.Constant(ir.IntType(32), 1), builder.trunc(plane, ir.IntType(32)))
        chosen = builder.and_(codes, spread(builder, bit, 32))
        return builder.bitcast(builder.icmp_unsigned("!=", chosen, ir.Constant(ints, [0] * 32)), ir.IntType(32))

    return types.uint32(_HALF, types.intp), build


# ---------------------------------------------------------------------------------------------- kernels


@helper
def code_of(value, levels):
    """The code of one float, from 0 for the highest level to L for the lowest."""
    y = value if value < np.float32(1) else np.float32(1)
    y = (y if y > np.float32(-1) else np.float32(-1)) * np.float32(levels)
    whole = int(y)
    if np.float32(whole) > y:
        whole -= 1
    return levels // 2 - (whole >> 1)


@helper
def pack_levels(x, start, n, planes, levels, halves, target, step):
    """Pack ``x[start:start + n]``: ceil(n / 32) half words of each plane, planes ``step`` apart, from ``target`` on."""
    for i in range((n + 31) // 32):
        codes = level_codes(x, start + 32 * i, n - 32 * i, levels)
        for plane in range(planes):
            halves[target + plane * step + i] = plane_half(codes, plane)


@kernel
def _quantise(x, factor, y, rows, n, size, levels, factor_step):
    for row in prange(rows):
        scale = factor[row * factor_step]
        for i in range(row * n, min((row + 1) * n, size)):
            code = code_of(x[i] * scale, levels)
            y[i] = np.float32(levels - 2 * code) / np.float32(levels)


@kernel
def _pack_rows(x, halves, rows, n, planes, levels):
    count = (n + 63) // 64 * 2
    for row in prange(rows):
        pack_levels(x, row * n, n, planes, levels, halves, row * count, rows * count)
