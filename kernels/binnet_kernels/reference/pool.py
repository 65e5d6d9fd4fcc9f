"""Pooling over windows and its gradients, in plain NumPy. The last arrays are written."""

from __future__ import annotations

import numpy as np

from ..checks import Float, Window, Winners


def padded(x: Float, window: Window, value: float = 0.0) -> Float:
    """Images with the border of a window."""
    (ph, pw) = window.padding
    return np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=value)


def patches(x: Float, window: Window) -> Float:
    """All windows of a padded image, as a view (N, OH, OW, C, KH, KW)."""
    view = np.lib.stride_tricks.sliding_window_view(x, window.size, axis=(1, 2))
    return view[:, :: window.stride[0], :: window.stride[1]]


def max_pool2d(x: Float, window: Window, y: Float) -> None:
    """``y`` (N, OH, OW, C): the largest value of each window of ``x`` (N, H, W, C)."""
    y[...] = patches(padded(x, window, -np.inf), window).max(axis=(4, 5))


def max_pool2d_winners(x: Float, window: Window, y: Float, winners: Winners) -> None:
    """:func:`max_pool2d`, and the number of the winning tap (N, OH, OW, 32 ceil(C / 32))."""
    taps, real = (
        patches(p, window).reshape(*y.shape, window.size[0] * window.size[1])
        for p in (padded(x, window, -np.inf), padded(np.ones_like(x), window))
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
    grad_padded = padded(np.zeros_like(grad_x), window)
    np.add.at(grad_padded, (n, oh * sh + winner // kw, ow * sw + winner % kw, c), grad)
    grad_x[...] = _inside(grad_padded, grad_x.shape, window)


def avg_pool2d(x: Float, window: Window, y: Float) -> None:
    """``y`` (N, OH, OW, C): the mean of each window of ``x`` (N, H, W, C), the border counted as zeros."""
    y[...] = patches(padded(x, window), window).mean(axis=(4, 5))


def avg_pool2d_grad(grad: Float, window: Window, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C): from each window that sees a value an equal share of its ``grad``."""
    (kh, kw), (sh, sw), (oh, ow) = window.size, window.stride, grad.shape[1:3]
    grad_padded = padded(np.zeros_like(grad_x), window)
    for r in range(kh):
        for s in range(kw):
            grad_padded[:, r : r + sh * oh : sh, s : s + sw * ow : sw] += grad / np.float32(kh * kw)
    grad_x[...] = _inside(grad_padded, grad_x.shape, window)


def _inside(padded_x: Float, x_shape: tuple[int, ...], window: Window) -> Float:
    """The images without the border of a window."""
    (ph, pw), (h, w) = window.padding, x_shape[1:3]
    return padded_x[:, ph : ph + h, pw : pw + w]
