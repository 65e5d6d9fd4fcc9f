"""Gradients of few levels, and what is computed with them, in plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import checks
from ..checks import Float, Ints, Pair
from ..draws import uniform
from ..levels import EVEN, MAGNITUDES, Levels, even_levels_of, magnitudes_of, signs_of
from .conv import conv2d_grad_input, conv2d_grad_weight
from .valued import unpack_signs


@dataclass(frozen=True, eq=False)
class QuantisedGradient:
    """A gradient (N, OH, OW, O) of few levels: whole numbers, and what a 1 of them stands for.

    Attributes
    ----------
    rows : int32 (N, OH, OW, O),  row_unit : float32 (N,)
        Of gradient times alpha.
    columns : int32 (N, OH, OW, O),  column_unit : float32 (O,)
        Of the gradient.
    """

    rows: Ints
    row_unit: Float
    columns: Ints
    column_unit: Float


def quantise_gradient(
    grad: Any,
    alpha: Any = None,
    y: Any = None,
    how: str = "ternary",
    bits: int = 1,
    seed: int = 0,
) -> QuantisedGradient:
    """See :func:`binnet_kernels.quantise_gradient`."""
    grad, alpha, y = checks.quantised(grad, alpha, y)
    levels = Levels.of(how, bits, seed)
    grad = grad if y is None else np.where(y > 0, grad, np.float32(0))
    u = uniform(grad.size, levels.seed).reshape(grad.shape)
    scaled = grad * alpha
    row_unit, row_factor = levels.scales((np.abs(grad).max(axis=(1, 2), initial=0) * np.abs(alpha)).max(1, initial=0))
    column_unit, column_factor = levels.scales(np.abs(grad).max(axis=(0, 1, 2), initial=0))
    rows = _values(scaled, row_factor[:, None, None, None], u, levels)
    return QuantisedGradient(rows, row_unit, _values(grad, column_factor, u, levels), column_unit)


def _values(x: Float, factor: Float, u: Any, levels: Levels) -> Ints:
    top = np.float32(levels.top)
    with np.errstate(invalid="ignore"):  # infinity times 0: the unit is NaN
        if levels.kind == MAGNITUDES:
            return np.where(x < 0, -1, 1).astype(np.int32) * magnitudes_of(x, factor, u, top).astype(np.int32)
        steps = even_levels_of(x, factor, u, top) if levels.kind == EVEN else signs_of(x)
    result: Ints = np.int32(levels.top) - 2 * steps.astype(np.int32)
    return result


def quantised_grad_input(
    gradient: QuantisedGradient,
    weight_signs: Any,
    x_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    out: Any = None,
) -> Float:
    """See :func:`binnet_kernels.quantised_grad_input`."""
    _, window = checks.quantised_input(gradient.rows.shape, weight_signs, x_shape, stride, padding)
    weight = unpack_signs(weight_signs, x_shape[3])
    sums = conv2d_grad_input(gradient.rows, weight, x_shape, window.stride, window.padding)
    result = checks.output(out, sums.shape)
    return np.multiply(sums, gradient.row_unit[:, None, None, None], out=result)


def quantised_grad_weight(
    bits: Any,
    gradient: QuantisedGradient,
    weight_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
    out: Any = None,
) -> Float:
    """See :func:`binnet_kernels.quantised_grad_weight`."""
    bits, window = checks.quantised_weight(bits, gradient.columns.shape, weight_shape, stride, padding)
    single = np.unpackbits(bits.astype("<u4", copy=False).view(np.uint8), axis=-1, bitorder="little")
    signs = np.where(single[..., : weight_shape[3]] == 1, np.float32(-1), np.float32(1))
    if checks.pad_value(pad_value) == 0:
        (ph, pw), (h, w) = window.padding, signs.shape[1:3]
        inside = np.zeros((h, w, 1), np.float32)
        inside[ph : h - ph, pw : w - pw] = 1
        signs = signs * inside
    sums = conv2d_grad_weight(signs, gradient.columns, weight_shape, window.stride, 0)
    result = checks.output(out, sums.shape)
    return np.multiply(sums, gradient.column_unit[:, None, None, None], out=result)
