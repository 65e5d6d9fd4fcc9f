"""Gradients of few levels, and what is computed with them, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...checks import Float, Halves, Ints, Window, Words
from ...lowbit.counter_rng import uniform
from ...lowbit.rounding import EVEN, MAGNITUDES, QuantisedGradient, Rounding, even_levels_of, magnitudes_of, signs_of
from ..conv import conv2d_grad_input, conv2d_grad_weight
from ..xnor import unpack_signs


def quantise_gradient(
    grad: Float, alpha: Float, y: Float | None, rounding: Rounding, start: int, peaks: Float | None
) -> QuantisedGradient:
    """A gradient (N, OH, OW, O), where ``y`` is above 0, times alpha and as it is, rounded to levels.

    The first element uses random number ``start``; ``peaks`` (O,) replace the largest magnitudes of the channels.
    """
    of_samples = sample_peaks(grad, y)
    grad = _where(grad, y)
    u = uniform(grad.size, rounding.seed, start).reshape(grad.shape)
    row_unit, row_factor = rounding.scales((of_samples * np.abs(alpha)).max(1, initial=0))
    column_unit, column_factor = rounding.scales(of_samples.max(axis=0, initial=0) if peaks is None else peaks)
    rows = _whole_numbers(grad * alpha, row_factor[:, None, None, None], u, rounding)
    columns = _whole_numbers(grad, column_factor, u, rounding)
    return QuantisedGradient(grad.shape, rows, row_unit, columns, column_unit)


def sample_peaks(grad: Float, y: Float | None) -> Float:
    """The largest magnitude of each sample and channel (N, O), where ``y`` is above 0."""
    peaks: Float = np.abs(_where(grad, y)).max(axis=(1, 2), initial=0)
    return peaks


def _where(grad: Float, y: Float | None) -> Float:
    return grad if y is None else np.where(y > 0, grad, np.float32(0))


def _whole_numbers(x: Float, factor: Float, u: Any, rounding: Rounding) -> Ints:
    top = np.float32(rounding.top)
    with np.errstate(invalid="ignore"):  # infinity times 0: the unit is NaN
        if rounding.kind == MAGNITUDES:
            return np.where(x < 0, -1, 1).astype(np.int32) * magnitudes_of(x, factor, u, top).astype(np.int32)
        steps = even_levels_of(x, factor, u, top) if rounding.kind == EVEN else signs_of(x)
    result: Ints = np.int32(rounding.top) - 2 * steps.astype(np.int32)
    return result


def quantised_grad_input(gradient: QuantisedGradient, weight_signs: Words, window: Window, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C) of filters of signs (O, KH, KW, words)."""
    weight = np.empty((*weight_signs.shape[:3], grad_x.shape[3]), np.float32)
    unpack_signs(weight_signs, weight)
    conv2d_grad_input(gradient.rows.astype(np.float32), weight, window, 1, grad_x)
    grad_x *= gradient.row_unit[:, None, None, None]


def quantised_grad_weight(
    bits: Halves, gradient: QuantisedGradient, window: Window, pad_value: int, grad_weight: Float
) -> None:
    """``grad_weight`` (O, KH, KW, C) of a map of bits (N, H + 2 ph, W + 2 pw, ceil(C / 32))."""
    single = np.unpackbits(bits.astype("<u4", copy=False).view(np.uint8), axis=-1, bitorder="little")
    signs = np.where(single[..., : grad_weight.shape[3]] == 1, np.float32(-1), np.float32(1))
    if pad_value == 0:
        (ph, pw), (h, w) = window.padding, signs.shape[1:3]
        image = np.zeros((h, w, 1), np.float32)
        image[ph : h - ph, pw : w - pw] = 1
        signs = signs * image
    inside = Window.of(window.size, window.stride, 0)
    conv2d_grad_weight(signs, gradient.columns.astype(np.float32), inside, 1, (0, len(bits)), grad_weight)
    grad_weight *= gradient.column_unit[:, None, None, None]
