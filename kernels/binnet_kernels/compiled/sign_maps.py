"""Maps of sign bits: of a map, of a normalised map in one pass, and the gradient of the latter in two.

The block of a binary layer starts with "normalise, take the sign". Forward, neither the normalised map nor the signs
are ever written as floats: each value leaves two bits, its sign for the convolution and whether the straight-through
gradient may pass it. Both are half words of 32 channels, the least significant bit first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import checks
from ..checks import Float, Halves, Pair
from ..fused.bit_map import Bits, border_halves
from ..simd.jit import helper, kernel
from ..simd.lanes import WIDTH, fetch_ahead, first_lanes, load_lanes, negative, within_one
from .forward.bits import pack_border
from .forward.norm import grad_of_norm, inverse_deviation
from .lowbit.level_lanes import codes_of, plane_half

_GROUP = 8  # pixels of a row that go through all channels before the next
_WORTH_SHARING = 1 << 16  # values, some 10 µs of work: twice as long as it takes to wake the other threads


def signs(x: Any, padding: Pair = 0, pad_value: int = 0, act_bits: int | None = None) -> tuple[Bits, Bits]:
    """The signs of images, or the planes of their levels, and where the straight-through gradient passes, as bits.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    padding : int or pair of ints
        The border (ph, pw) of the map of signs.
    pad_value : 0, +1 or -1
        Its sign; 0 is written as +1, which convolutions know how to correct.
    act_bits : int, optional
        m, from 1 to 8: levels q_m(x) in the place of signs.

    Returns
    -------
    bits : uint32 (N, H + 2 ph, W + 2 pw, ceil(C / 32)), or (m, N, ...) of levels
        1 where x < 0 (Eq. 4 of arXiv:1603.05279, sign(0) = +1, NaN counts as +1); unused bits are 0. Of levels the
        planes, as :func:`pack_planes` packs them.
    within : uint32 (N, H, W, ceil(C / 32))
        1 where |x| <= 1, never for NaN: the straight-through estimator of section 3.1; unused bits are 0.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    x = checks.floats(x, "x", 4)
    c = x.shape[3]
    zeros, ones = np.zeros(c, np.float32), np.ones(c, np.float32)
    return _write_bits(x, zeros, ones, zeros, padding, pad_value, act_bits)


def norm_signs(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    eps: float = 1e-5,
    padding: Pair = 0,
    pad_value: int = 0,
    act_bits: int | None = None,
) -> tuple[Bits, Bits]:
    """:func:`signs` of :func:`batch_norm_inference`, with the same roundings, in one pass over ``x``.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    gamma, beta, mean, var : array (C,)
        As in :func:`batch_norm_inference`; in training ``mean`` and ``var`` are the :func:`batch_statistics` of ``x``.
    eps : float
    padding, pad_value, act_bits
        As in :func:`signs`.

    Returns
    -------
    bits, within
        As from :func:`signs`.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    x = checks.floats(x, "x", 4)
    x, gamma, beta, mean, var = checks.channels(x, gamma=gamma, beta=beta, mean=mean, var=var)
    return _write_bits(x, mean, gamma / np.sqrt(var + np.float32(eps)), beta, padding, pad_value, act_bits)


def norm_signs_grad(
    grad: Any, within: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float = 1e-5, out: Any = None
) -> tuple[Float, Float, Float]:
    """Gradients of "normalise, take the sign" with the straight-through estimator (arXiv:1603.05279, section 3.1).

    :func:`batch_norm_grad` of ``grad`` where the bits of ``within`` are 1, and of 0 elsewhere, without writing that
    down. With the bits of :func:`norm_relu` it is the gradient of that.

    Parameters
    ----------
    grad : array (..., C) of real numbers
        Gradient of the signs.
    within : uint32 (..., ceil(C / 32))
        From :func:`norm_signs` or :func:`norm_relu`.
    x, gamma, mean, var, eps
        As given there.
    out : float32 (..., C), C-contiguous, optional
        Where to write; it may be ``grad`` itself.

    Returns
    -------
    grad_x : float32 (..., C)
    grad_gamma, grad_beta : float32 (C,)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or ``x`` is empty.
    """
    x, gamma, mean, var = checks.channels(x, gamma=gamma, mean=mean, var=var)
    grad = checks.floats(grad, "grad", shape=x.shape)
    within = checks.half_words(within, "within", checks.halves_shape(x.shape))
    return grad_of_norm(grad, x, gamma, mean, inverse_deviation(var, eps), checks.output(out, x.shape), within)


def _write_bits(
    x: Float, mean: Float, factor: Float, shift: Float, padding: Pair, pad_value: int, act_bits: int | None
) -> tuple[Bits, Bits]:
    ph, pw = checks.pair(padding, "padding", 0)
    planes, levels = (0, 0) if act_bits is None else (int(act_bits), checks.levels(act_bits, "act_bits"))
    fill: Halves = border_halves(x.shape[3], checks.pad_value(pad_value))
    bits = np.empty((max(planes, 1), *checks.bits_shape(x.shape, (ph, ph, pw, pw))), np.uint32)
    within = np.empty(checks.halves_shape(x.shape), np.uint32)
    if bits.size:
        write = _norm_signs if x.size > _WORTH_SHARING else _norm_signs.alone
        write(x.ravel(), mean, factor, shift, fill, bits.ravel(), within.ravel(), *x.shape, ph, pw, planes, levels)
    return bits if planes else bits[0], within


# ---------------------------------------------------------------------------------------------- kernels


@helper
def _store_planes(value, lanes, planes, levels, bits, target, step):
    """The bits of 32 values: one half word of signs, or one of each plane of levels, ``step`` apart."""
    if planes == 0:
        bits[target] = negative(value)
    else:
        codes = codes_of(value, levels)
        for plane in range(planes):
            bits[target + plane * step] = plane_half(codes, plane) & lanes


@kernel
def _norm_signs(x, mean, factor, shift, border, bits, within, n, h, w, c, ph, pw, planes, levels):
    halves, high, wide = (c + 31) // 32, h + 2 * ph, w + 2 * pw
    step = n * high * wide * halves
    for line in prange(n * high):
        row, target = line % high - ph, line * wide * halves
        inside = 0 <= row < h
        for plane in range(max(planes, 1)):
            pack_border(border, bits, target + plane * step, wide, halves, pw if inside else wide, pw)
        start = (line // high * h + row) * w
        for first in range(0, w if inside else 0, _GROUP):
            for i in range(halves):
                lanes = first_lanes(c - i * WIDTH)
                centre, scale = load_lanes(mean, i * WIDTH, lanes), load_lanes(factor, i * WIDTH, lanes)
                base = load_lanes(shift, i * WIDTH, lanes)
                for col in range(first, min(first + _GROUP, w)):
                    # Blocks of 32 channels are no sequence that the CPU would fetch by itself.
                    fetch_ahead(x, (start + col) * c + i * WIDTH)
                    # Three roundings, as in batch_norm_inference.
                    value = (load_lanes(x, (start + col) * c + i * WIDTH, lanes) - centre) * scale + base
                    _store_planes(value, lanes, planes, levels, bits, target + (col + pw) * halves + i, step)
                    # With the sign this is all that is kept of the normalised map: two bits a value (ADR 0020).
                    within[(start + col) * halves + i] = within_one(value) & lanes
