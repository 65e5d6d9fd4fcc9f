"""What stands between convolutions, in plain NumPy: ReLU, sums, normalisation and pooling, with their gradients.

Arguments are already checked; the result is written to the last one (or ones).
"""

from __future__ import annotations

import numpy as np

from ..checks import Affine, Doubles, Float, Halves, Window, Winners
from . import xnor

Grads = tuple[Float, Float, Float]

# ---------------------------------------------------------------------------------------------- element by element


def relu(x: Float, y: Float) -> None:
    """``y = max(x, 0)``; NaN stays NaN."""
    y[...] = np.where(x < 0, np.float32(0), x)


def relu_grad(grad: Float, y: Float, grad_x: Float) -> None:
    """``grad_x = grad`` where ``y > 0``, else 0."""
    grad_x[...] = np.where(y > 0, grad, np.float32(0))


def polynomial_grad(grad: Float, x: Float, grad_x: Float) -> None:
    """``grad_x = grad max(2 - 2|x|, 0)``"""
    np.multiply(2 * np.maximum(1 - np.abs(x), 0), grad, out=grad_x)


def add(x: Float, y: Float, total: Float) -> None:
    """``total = x + y``."""
    np.add(x, y, out=total)


# ---------------------------------------------------------------------------------------------- with numbers a channel


def rprelu(x: Float, before: Float, slope: Float, after: Float, y: Float) -> None:
    """``y = prelu(x + before) + after``, with a rounding each, as in the compiled form."""
    value = x + before
    y[...] = np.where(value < 0, slope * value, value) + after


def rprelu_grad(grad: Float, x: Float, before: Float, slope: Float, grad_x: Float) -> tuple[Doubles, Doubles, Doubles]:
    """The gradient of x; and sums over rows of it, of ``grad`` times the negative part, and of ``grad``."""
    value, total = x + before, channel_sums(grad)
    sloped = channel_sums(grad * np.where(value < 0, value, np.float32(0)))
    grad_x[...] = np.where(value < 0, slope * grad, grad)
    return channel_sums(grad_x), sloped, total


def channel_sums(x: Float) -> Doubles:
    """Sums over all axes but the last, in float64."""
    total: Doubles = x.sum(axis=tuple(range(x.ndim - 1)), dtype=np.float64)
    return total


# ---------------------------------------------------------------------------------------------- normalisation


def batch_statistics(x: Float, mean: Float, var: Float) -> None:
    """``mean`` and biased variance ``var`` (C,) of ``x`` (..., C)."""
    axes = tuple(range(x.ndim - 1))
    mean[...] = x.mean(axis=axes, dtype=np.float64)
    var[...] = np.square(x - mean).mean(axis=axes, dtype=np.float64)


def batch_moments(x: Float, mean: Doubles, square: Doubles) -> None:
    """``mean`` (C,) of ``x`` (..., C), and the sum of squared distances from it."""
    axes = tuple(range(x.ndim - 1))
    mean[...] = x.mean(axis=axes, dtype=np.float64)
    square[...] = np.square(x - mean).sum(axis=axes)


def normalise(x: Float, affine: Affine, y: Float) -> None:
    """``y = (x - mean) factor + shift``, with a rounding each, as in the compiled form."""
    mean, factor, shift = affine
    y[...] = (x - mean) * factor + shift


def norm_relu(x: Float, affine: Affine, y: Float, passed: Halves) -> None:
    """The same and a ReLU; ``passed`` are the bits of y > 0."""
    normalise(x, affine, y)
    relu(y, y)
    passed[...] = xnor.half_words(y > 0)


def norm_signs(
    x: Float, affine: Affine, padding: tuple[int, int], pad_value: int, bits: Halves, within: Halves
) -> None:
    """The same and its signs, as :func:`xnor.signs` writes them."""
    y = np.empty_like(x)
    normalise(x, affine, y)
    xnor.signs(y, padding, pad_value, bits, within)


def batch_norm_grad_sums(grad: Float, within: Halves | None, x: Float, mean: Float) -> tuple[Doubles, Doubles]:
    """Sums of g and g (x - mean) over rows; ``grad`` passes where ``within`` is 1."""
    g, axes = _passed(grad, within), tuple(range(x.ndim - 1))
    return g.sum(axis=axes, dtype=np.float64), (g * (x - mean)).sum(axis=axes, dtype=np.float64)


def batch_norm_grad_apply(
    grad: Float,
    within: Halves | None,
    x: Float,
    norm: tuple[Float, Float, Float],
    sums: tuple[Doubles, Doubles],
    rows: int,
    grads: Grads,
) -> None:
    """Gradients of x, gamma and beta from sums over ``rows`` rows; ``norm`` is gamma, mean, 1 / sqrt(var + eps)."""
    (gamma, mean, inverse), (grad_x, grad_gamma, grad_beta), n = norm, grads, np.float32(rows)
    grad_beta[...], grad_gamma[...] = sums[0], sums[1] * inverse
    x_hat = (x - mean) * inverse
    grad_x[...] = (gamma * inverse) * (_passed(grad, within) - grad_beta / n - x_hat * (grad_gamma / n))


def _passed(grad: Float, within: Halves | None) -> Float:
    """``grad`` where the bit of ``within`` is 1, else 0; everywhere if there are no bits."""
    if within is None:
        return grad
    bits = np.unpackbits(within.view(np.uint8), axis=-1, bitorder="little")[..., : grad.shape[-1]]
    return np.where(bits == 1, grad, np.float32(0))


# ---------------------------------------------------------------------------------------------- pooling


def max_pool2d(x: Float, window: Window, y: Float) -> None:
    """``y`` (N, OH, OW, C): the largest value of each window of ``x`` (N, H, W, C)."""
    y[...] = window.patches(window.bordered(x, -np.inf)).max(axis=(4, 5))


def max_pool2d_winners(x: Float, window: Window, y: Float, winners: Winners) -> None:
    """:func:`max_pool2d`, and the number of the winning tap (N, OH, OW, 32 ceil(C / 32))."""
    taps, real = (
        window.patches(p).reshape(*y.shape, window.size[0] * window.size[1])
        for p in (window.bordered(x, -np.inf), window.bordered(np.ones_like(x)))
    )
    y[...] = taps.max(axis=-1)
    best = y[..., None]
    candidates = ((taps == best) | (np.isnan(taps) & np.isnan(best))) & (real == 1)
    winners[..., : x.shape[3]] = candidates.argmax(axis=-1)  # the first one, row by row


def max_pool2d_grad_winners(grad: Float, winners: Winners, window: Window, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C): the sum of ``grad`` over the windows that each value has won."""
    winner = winners[..., : grad_x.shape[3]].astype(np.int64)
    (_, kw), (sh, sw) = window.size, window.stride
    n, oh, ow, c = np.ix_(*map(np.arange, grad.shape))
    grad_padded = window.bordered(np.zeros_like(grad_x))
    np.add.at(grad_padded, (n, oh * sh + winner // kw, ow * sw + winner % kw, c), grad)
    (ph, pw), (h, w) = window.padding, grad_x.shape[1:3]
    grad_x[...] = grad_padded[:, ph : ph + h, pw : pw + w]


def avg_pool2d(x: Float, window: Window, y: Float) -> None:
    """``y`` (N, OH, OW, C): the mean of each window of ``x`` (N, H, W, C), the border counted as zeros."""
    y[...] = window.patches(window.bordered(x)).mean(axis=(4, 5))


def avg_pool2d_grad(grad: Float, window: Window, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C): from each window that sees a value an equal share of its ``grad``."""
    share = grad / np.float32(window.size[0] * window.size[1])
    grad_x[...] = window.sum_over_taps(lambda r, s: share, grad_x.shape)
