"""Pooling over windows and its gradients, in plain NumPy. The last arrays are written."""

from __future__ import annotations

import numpy as np

from ..checks import Float, Window, Winners


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
