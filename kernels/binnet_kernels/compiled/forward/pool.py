"""Max and average pooling over windows, and their gradients, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ...checks import Float, Window, Winners
from ...simd.geometry import seen_by
from ...simd.jit import Kernel, kernel
from ...simd.lanes import (
    WIDTH,
    all_lanes,
    beats,
    either,
    equal,
    fetch_ahead,
    first_lanes,
    load_all,
    load_lanes,
    store_all,
    store_lanes,
    zero_unless,
)

_WORTH_SHARING = 1 << 14  # values of the larger map, some 10 µs of work
_NO_WINNERS = np.zeros(1, np.uint16)


def max_pool2d(x: Float, window: Window, y: Float) -> None:
    """``y`` (N, OH, OW, C): the largest value of each window of ``x`` (N, H, W, C)."""
    _largest(x, window, y, _NO_WINNERS)


def max_pool2d_winners(x: Float, window: Window, y: Float, winners: Winners) -> None:
    """:func:`max_pool2d`, and the number of the winning tap (N, OH, OW, 32 ceil(C / 32))."""
    _largest(x, window, y, winners)


def max_pool2d_grad_winners(grad: Float, winners: Winners, window: Window, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C): the sum of ``grad`` over the windows that each value has won."""
    if grad_x.size:
        sizes = (*grad_x.shape, *grad.shape[1:3], *window.size, *window.stride, *window.padding)
        rows, cols = seen_by(grad_x.shape, grad.shape, window)
        _sharing(_max_pool_grad, grad_x.size)(grad.ravel(), winners.ravel(), rows, cols, grad_x.ravel(), *sizes)


def avg_pool2d(x: Float, window: Window, y: Float) -> None:
    """``y`` (N, OH, OW, C): the mean of each window of ``x`` (N, H, W, C), the border counted as zeros."""
    if y.size:
        _sharing(_avg_pool, x.size)(x.ravel(), y.ravel(), *_sizes(x.shape, y.shape, window))


def avg_pool2d_grad(grad: Float, window: Window, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C): from each window that sees a value an equal share of its ``grad``."""
    if grad_x.size:
        share = np.float32(1) / np.float32(window.size[0] * window.size[1])
        rows, cols = seen_by(grad_x.shape, grad.shape, window)
        sizes = (*grad_x.shape, *grad.shape[1:3])
        _sharing(_spread, grad_x.size)(grad.ravel(), rows, cols, share, grad_x.ravel(), *sizes)


def _largest(x: Float, window: Window, y: Float, winners: Winners) -> None:
    if y.size:
        sizes = _sizes(x.shape, y.shape, window)
        _sharing(_max_pool, x.size)(x.ravel(), y.ravel(), winners.ravel(), winners is not _NO_WINNERS, *sizes)


def _sizes(x_shape: tuple[int, ...], y_shape: tuple[int, ...], window: Window) -> tuple[int, ...]:
    return (*x_shape, *y_shape[1:3], *window.size, *window.stride, *window.padding)


def _sharing(work: Kernel, size: int) -> Any:
    """The kernel itself, or its serial form for what is not worth sharing."""
    return work if size > _WORTH_SHARING else work.serial


# Each kernel gives a line of pixels to one thread and writes it once: forward, a pixel gathers the taps of its window
# that lie inside the image; backward, the windows that see it. Channels are innermost, 32 of them in registers.


@kernel
def _max_pool(x, y, winners, wanted, n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw):
    blocks = (c + WIDTH - 1) // WIDTH
    for line in prange(n * oh):
        top, image = line % oh * sh - ph, line // oh * h
        for col in range(ow):
            left = col * sw - pw
            for block in range(blocks):
                lanes, first = first_lanes(c - block * WIDTH), max(-top, 0) * kw + max(-left, 0)
                # Begins with a value of the window, not with -inf, so that a window of -inf has a winner too.
                best = load_lanes(x, ((image + max(top, 0)) * w + max(left, 0)) * c + block * WIDTH, lanes)
                winner = all_lanes(np.uint16(first))
                for row in range(max(top, 0), min(top + kh, h)):
                    for s in range(max(left, 0), min(left + kw, w)):
                        value = load_lanes(x, ((image + row) * w + s) * c + block * WIDTH, lanes)
                        better = beats(value, best)
                        best = either(value, best, better)
                        winner = either(all_lanes(np.uint16((row - top) * kw + s - left)), winner, better)
                store_lanes(y, (line * ow + col) * c + block * WIDTH, best, lanes)
                if wanted:
                    store_all(winners, ((line * ow + col) * blocks + block) * WIDTH, winner)


@kernel
def _max_pool_grad(grad, winners, rows, cols, grad_x, n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw):
    blocks = (c + WIDTH - 1) // WIDTH
    for line in prange(n * h):
        image, row = line // h * oh, line % h
        for col in range(w):
            for block in range(blocks):
                lanes, total = first_lanes(c - block * WIDTH), all_lanes(np.float32(0))
                for i in range(rows[2 * row], rows[2 * row + 1]):
                    for j in range(cols[2 * col], cols[2 * col + 1]):
                        pixel, tap = (image + i) * ow + j, (row + ph - i * sh) * kw + col + pw - j * sw
                        # A pixel gathers from the windows that see it. Windows that overlap and scattered would write
                        # to one place, in an order that depends on the threads.
                        won = equal(load_all(winners, (pixel * blocks + block) * WIDTH), np.uint16(tap))
                        total = total + zero_unless(load_lanes(grad, pixel * c + block * WIDTH, lanes), won)
                fetch_ahead(grad_x, (line * w + col) * c + block * WIDTH)  # to be written
                store_lanes(grad_x, (line * w + col) * c + block * WIDTH, total, lanes)


@kernel
def _avg_pool(x, y, n, h, w, c, oh, ow, kh, kw, sh, sw, ph, pw):
    share = all_lanes(np.float32(1) / np.float32(kh * kw))
    for line in prange(n * oh):
        top, image = line % oh * sh - ph, line // oh * h
        for col in range(ow):
            left = col * sw - pw
            for i in range(0, c, WIDTH):
                lanes, total = first_lanes(c - i), all_lanes(np.float32(0))
                for row in range(max(top, 0), min(top + kh, h)):
                    for s in range(max(left, 0), min(left + kw, w)):
                        total = total + load_lanes(x, ((image + row) * w + s) * c + i, lanes)
                store_lanes(y, (line * ow + col) * c + i, total * share, lanes)


@kernel
def _spread(grad, rows, cols, share, grad_x, n, h, w, c, oh, ow):
    for line in prange(n * h):
        image, row = line // h * oh, line % h
        for col in range(w):
            for i in range(0, c, WIDTH):
                lanes, total = first_lanes(c - i), all_lanes(np.float32(0))
                for up in range(rows[2 * row], rows[2 * row + 1]):
                    for left in range(cols[2 * col], cols[2 * col + 1]):
                        total = total + load_lanes(grad, ((image + up) * ow + left) * c + i, lanes)
                fetch_ahead(grad_x, (line * w + col) * c + i)
                store_lanes(grad_x, (line * w + col) * c + i, total * all_lanes(share), lanes)
