"""Gradient of a float convolution with respect to its input: a convolution of the gradient with the filters turned."""

from __future__ import annotations

import numpy as np
from numba import prange

from ._jit import kernel
from .blocks import SLAB, add_taps, parts_of, room, share, turn
from .checks import Float, Window
from .geometry import framed
from .threads import get_num_threads
from .tile import CHANNELS
from .turned import Axis, parts_of_input


def grad_input(grad: Float, weight: Float, x_shape: tuple[int, ...], window: Window) -> Float:
    """Gradient (N, H, W, C) for a gradient (N, OH, OW, O) of the output."""
    (n, h, w, c), (o, kh, kw, _) = x_shape, weight.shape
    (sh, sw), (ph, pw) = window.stride, window.padding
    rows, cols = Axis(h, kh, sh, ph), Axis(w, kw, sw, pw)
    if sh > kh or sw > kw or not (grad.size and weight.size):  # some of x, or all, meets no tap
        grad_x = np.zeros(x_shape, np.float32)
    else:
        grad_x = np.empty(x_shape, np.float32)
    if grad_x.size and grad.size and weight.size:
        frame, pitch = framed(grad, rows.frame, cols.frame), (cols.frame[1] - cols.frame[0]) * o
        workers, ones = get_num_threads(), np.ones(c + CHANNELS, np.float32)
        for part in parts_of_input(n, rows, cols, o):
            tables = part.starts, part.targets, part.taps, weight.ravel(), ones, room(workers)
            sizes = part.pixels, o, kh * kw, c, part.rows, part.cols * o
            _convolve_turned(frame, *tables, grad_x.ravel(), *sizes, pitch, workers)
    return grad_x


@kernel
def _convolve_turned(
    grad, starts, targets, places, weight, ones, scratch, out, pixels, o, size, c, rows, span, pitch, workers
):
    (tiles, chunks, blocks), depth = parts_of(pixels, c), rows * span
    for worker in prange(workers):
        slab, (begin, end) = (scratch, worker * SLAB * CHANNELS), share(worker, workers, chunks * blocks)
        for item in range(begin, end):
            chunk, channel = share(item // blocks, chunks, tiles), item % blocks * CHANNELS
            for first in range(0, depth, SLAB):
                taps = first, min(first + SLAB, depth)
                turn(weight, slab, channel, (o, size, c), places, taps)
                add_taps((grad, starts, span, pitch), slab, (out, targets, c, channel, ones), taps, chunk)
