"""Pooling over windows and its gradients, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..checks import Float, Pair, Window

Winners = npt.NDArray[np.uint16]


def padded(x: Float, window: Window, value: float = 0.0) -> Float:
    """Images with the border of a window."""
    (ph, pw) = window.padding
    return np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=value)


def patches(x: Float, window: Window) -> Float:
    """All windows of a padded image, as a view (N, OH, OW, C, KH, KW)."""
    view = np.lib.stride_tricks.sliding_window_view(x, window.size, axis=(1, 2))
    return view[:, :: window.stride[0], :: window.stride[1]]


def max_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """See :func:`binnet_kernels.max_pool2d`."""
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    window.output_size(*x.shape[1:3])
    return np.ascontiguousarray(patches(padded(x, window, -np.inf), window).max(axis=(4, 5)))


def max_pool2d_winners(
    x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> tuple[Float, Winners]:
    """See :func:`binnet_kernels.max_pool2d_winners`."""
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    winners = np.zeros(checks.winners_shape(x.shape, window), np.uint16)
    taps, real = (
        patches(p, window).reshape(*winners.shape[:3], x.shape[3], window.size[0] * window.size[1])
        for p in (padded(x, window, -np.inf), padded(np.ones_like(x), window))
    )
    best = taps.max(axis=-1, keepdims=True)
    # The border is -inf as well, and must not win in a window that holds nothing else.
    candidates = ((taps == best) | (np.isnan(taps) & np.isnan(best))) & (real == 1)
    winners[..., : x.shape[3]] = candidates.argmax(axis=-1)  # the first one, row by row
    return np.ascontiguousarray(best[..., 0]), winners


def max_pool2d_grad(grad: Any, x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """See :func:`binnet_kernels.max_pool2d_grad`."""
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    grad = checks.pool_grad(grad, x.shape, window)
    winners = max_pool2d_winners(x, kernel_size, stride, padding)[1]
    return max_pool2d_grad_winners(grad, winners, x.shape, kernel_size, stride, padding)


def max_pool2d_grad_winners(
    grad: Any,
    winners: Any,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
) -> Float:
    """See :func:`binnet_kernels.max_pool2d_grad_winners`."""
    window = checks.pool_window(kernel_size, stride, padding)
    grad = checks.pool_grad(grad, x_shape, window)
    winner = checks.winners(winners, x_shape, window)[..., : x_shape[3]].astype(np.int64)
    (_, kw), (sh, sw), (ph, pw) = window.size, window.stride, window.padding
    n, oh, ow, c = np.indices(grad.shape, sparse=True)
    grad_padded = padded(np.zeros(x_shape, np.float32), window)
    # Windows overlap: `+=` with these indices would keep one of several gradients of a value.
    np.add.at(grad_padded, (n, oh * sh + winner // kw, ow * sw + winner % kw, c), grad)
    return np.ascontiguousarray(grad_padded[:, ph : ph + x_shape[1], pw : pw + x_shape[2]])


def avg_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Float:
    """See :func:`binnet_kernels.avg_pool2d`."""
    x, window = checks.floats(x, "x", 4), checks.pool_window(kernel_size, stride, padding)
    window.output_size(*x.shape[1:3])
    return np.ascontiguousarray(patches(padded(x, window), window).mean(axis=(4, 5)))


def avg_pool2d_grad(
    grad: Any, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Float:
    """See :func:`binnet_kernels.avg_pool2d_grad`."""
    window = checks.pool_window(kernel_size, stride, padding)
    grad = checks.pool_grad(grad, x_shape, window)
    (kh, kw), (sh, sw), (ph, pw), (oh, ow) = window.size, window.stride, window.padding, grad.shape[1:3]
    grad_padded = np.zeros((x_shape[0], x_shape[1] + 2 * ph, x_shape[2] + 2 * pw, x_shape[3]), np.float32)
    for r in range(kh):
        for s in range(kw):
            grad_padded[:, r : r + sh * oh : sh, s : s + sw * ow : sw] += grad / np.float32(kh * kw)
    return np.ascontiguousarray(grad_padded[:, ph : ph + x_shape[1], pw : pw + x_shape[2]])
