"""Gradients rounded to few levels, and both backward convolutions of them.

arXiv:1603.05279, end of section 3.2, with two changes. First, max|g| is taken per sample for the gradient of the input
(a window never spans two samples), and per channel for the gradient of the weights. Second, zeros may stay zero: after
ReLU and max-pooling most gradients are 0, and sign(0) = +1 would turn them into noise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..backend import PACKING, POPCOUNT, Late, front_door, in_numpy
from ..checks import Float, Halves, Pair, Window
from .rounding import QuantisedGradient, Rounding

if TYPE_CHECKING:
    from ..compiled.lowbit import grad_input, grad_weight
    from ..compiled.lowbit import gradient as compiled
    from ..reference.lowbit import gradient as reference
else:
    reference = Late("binnet_kernels.reference.lowbit.gradient")
    compiled = Late("binnet_kernels.compiled.lowbit.gradient")
    grad_input = Late("binnet_kernels.compiled.lowbit.grad_input")
    grad_weight = Late("binnet_kernels.compiled.lowbit.grad_weight")


@front_door(PACKING)
def quantise_gradient(
    grad: Any,
    alpha: Any = None,
    y: Any = None,
    how: str = "ternary",
    bits: int = 1,
    seed: int = 0,
    *,
    first: int = 0,
    peaks: Any = None,
) -> QuantisedGradient:
    """Round the gradient of a binary convolution's output to few levels, for both convolutions of the backward pass.

    Parameters
    ----------
    grad : array (N, OH, OW, O) of real numbers
    alpha : array (O,), optional
        The scales of the filters, by which the gradient of the input is multiplied before it is rounded.
    y : array (N, OH, OW, O), optional
        What a ReLU returned after the convolution: the gradient counts only where it is above 0.
    how : "ternary", "even" or "paper"
        ``ternary``: sign times 0 ... 2^bits - 1, in steps of max|g| / (2^bits - 1), so that zeros stay; one bit has the
        values -1, 0 and 1. ``even``: the 2^bits levels of the paper's q_k, evenly from -max|g| to max|g|, none of them
        zero. ``paper``: sign(g) max|g|, with sign(0) = +1 (arXiv:1603.05279, section 3.2).
    bits : int, 1 to 8
    seed : int
        ``ternary`` and ``even`` choose between the two nearest levels at random, with the probabilities that make the
        result right on average. Element i uses the i-th random number of the seed, for both roundings; so threads do
        not change the result. Take another seed for each layer and step.
    first : int, at least 0
        Number of the first image of ``grad`` within the whole batch: element i is element ``first`` OH OW O + i of it.
    peaks : float32 (O,), optional
        max|g| of each channel over the whole batch, of which ``grad`` is a part; None: over ``grad`` itself. With
        both, an image has the same whole numbers and units as in a call for the whole batch.

    Returns
    -------
    QuantisedGradient
        For :func:`quantised_grad_input` and :func:`quantised_grad_weight`. For the input, max|alpha g| is taken per
        sample; for the weights, max|g| per channel. A maximum below 2**-100 counts as 0. If it is infinite or NaN, all
        gradients of that sample (or filter) are NaN.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    grad, rounding = checks.floats(grad, "grad", 4), Rounding.of(how, bits, seed)
    alpha = checks.floats(np.ones(grad.shape[3]) if alpha is None else alpha, "alpha", shape=grad.shape[3:])
    y = None if y is None else checks.floats(y, "y", shape=grad.shape)
    start = checks.count(first, "first") * math.prod(grad.shape[1:]) % 2**32  # where counters wrap
    peaks = None if peaks is None else checks.floats(peaks, "peaks", shape=grad.shape[3:])
    form = reference.quantise_gradient if in_numpy() else compiled.quantise_gradient
    return form(grad, alpha, y, rounding, start, peaks)


@front_door(PACKING)
def gradient_peaks(grad: Any, y: Any = None) -> Float:
    """max|g| of each channel, by which :func:`quantise_gradient` scales columns.

    The maximum over parts of a batch is that of the whole batch; take one that keeps NaN, such as ``np.maximum``.

    Parameters
    ----------
    grad : array (N, OH, OW, O) of real numbers
    y : array (N, OH, OW, O), optional
        The gradient counts only where this is above 0.

    Returns
    -------
    float32 (O,)
        0 without images, NaN where a gradient that counts is NaN.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    grad = checks.floats(grad, "grad", 4)
    y = None if y is None else checks.floats(y, "y", shape=grad.shape)
    peaks = (reference.sample_peaks if in_numpy() else compiled.sample_peaks)(grad, y)
    highest: Float = peaks.max(axis=0, initial=0)
    return highest


def _of_input(grad_x: Float, gradient: QuantisedGradient, weight_signs: Any, *_: Any, **__: Any) -> int:
    taps = math.prod(np.shape(weight_signs)[1:3])
    return math.prod((*gradient.shape, taps, grad_x.shape[3]))


@front_door(POPCOUNT, _of_input)
def quantised_grad_input(
    gradient: QuantisedGradient,
    weight_signs: Any,
    x_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    out: Any = None,
) -> Float:
    """Gradient of a binary convolution with respect to the signs of its input, from a quantised gradient.

    Parameters
    ----------
    gradient : QuantisedGradient
        From :func:`quantise_gradient`, of (N, OH, OW, O); alpha is in it.
    weight_signs : uint64 (O, KH, KW, ceil(C / 64))
        Of the weights, from :func:`pack_signs`.
    x_shape : (N, H, W, C)
    stride, padding : int or pair of ints
    out : float32 (N, H, W, C), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (N, H, W, C)
        Whole numbers, exact below 2**24, times the unit of their sample.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    signs = checks.words(weight_signs, "weight_signs", 4)
    window = Window.of(signs.shape[1:3], stride, padding)
    if len(x_shape) != 4 or signs.shape[3] != -(-x_shape[3] // 64):
        raise ValueError(
            f"x {tuple(x_shape)} must be (N, H, W, C), and weight_signs end in ceil(C/64), got {signs.shape}"
        )
    _same_shape(gradient, (x_shape[0], *window.output_size(*x_shape[1:3]), len(signs)))
    grad_x = checks.output(out, tuple(x_shape))
    # Not the active backend: a gradient can only be read by the form that packed it.
    form = reference.quantised_grad_input if gradient.in_numpy else grad_input.quantised_grad_input
    form(gradient, signs, window, grad_x)
    return grad_x


@front_door(POPCOUNT, lambda grad_w, bits, gradient, *_, **__: math.prod(gradient.shape) * grad_w[:1].size)
def quantised_grad_weight(
    bits: Any,
    gradient: QuantisedGradient,
    weight_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
    out: Any = None,
) -> Float:
    """Gradient of a binary convolution with respect to its scaled weights, from a quantised gradient.

    Parameters
    ----------
    bits : uint32 (N, H + 2 ph, W + 2 pw, ceil(C / 32))
        Signs of the input, 1 is negative; the border holds the sign of ``pad_value``, +1 for 0.
    gradient : QuantisedGradient
        From :func:`quantise_gradient`, of (N, OH, OW, O); alpha is not used.
    weight_shape : (O, KH, KW, C)
    stride, padding : int or pair of ints
    pad_value : 0, +1 or -1
        What the border counts as.
    out : float32 (O, KH, KW, C), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (O, KH, KW, C)
        Whole numbers, exact below 2**24, times the unit of their channel. With a ``column_unit`` of ones, results of
        parts of a batch add up exactly, in any order; the sum times the unit is the result of the whole batch.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    bits, window = _map_and_window(bits, weight_shape, stride, padding)
    (h, w), (ph, pw) = bits.shape[1:3], window.padding
    _same_shape(gradient, (len(bits), *window.output_size(h - 2 * ph, w - 2 * pw), weight_shape[0]))
    pad_value, grad_w = checks.pad_value(pad_value), checks.output(out, tuple(weight_shape))
    form = reference.quantised_grad_weight if gradient.in_numpy else grad_weight.quantised_grad_weight
    form(bits, gradient, window, pad_value, grad_w)
    return grad_w


def _map_and_window(bits: Any, weight_shape: tuple[int, ...], stride: Pair, padding: Pair) -> tuple[Halves, Window]:
    """The map of bits (N, H + 2 ph, W + 2 pw, ceil(C / 32)), and the window of filters (O, KH, KW, C)."""
    bits = np.asarray(bits)
    halves: Halves = checks.half_words(bits, "bits", bits.shape)
    if len(weight_shape) != 4 or halves.ndim != 4 or halves.shape[3] != -(-weight_shape[3] // 32):
        raise ValueError(
            f"weight {tuple(weight_shape)} must be (O, KH, KW, C), bits (N, H, W, ceil(C/32)), got {halves.shape}"
        )
    window = Window.of(weight_shape[1:3], stride, padding)
    (h, w), (ph, pw) = halves.shape[1:3], window.padding
    if h <= 2 * ph or w <= 2 * pw:
        raise ValueError(f"bits {halves.shape} must hold a border of {ph, pw} and an image within")
    return halves, window


def _same_shape(gradient: QuantisedGradient, expected: tuple[int, ...]) -> None:
    if gradient.shape != expected:
        raise ValueError(f"the gradient must have shape {expected}, got {gradient.shape}")
