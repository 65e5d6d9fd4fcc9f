"""Gradient of a float convolution with respect to its weights: sums over pixels of gradient times what lay under it.

The rows of a tile are output channels, its columns consecutive taps, so that it is a piece of the result as it lies in
memory. What the taps of a tile read of x, for a chunk of pixels, is first copied side by side (a *panel*): it stays in
the first-level cache while all output channels pass over it.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ._jit import helper, kernel
from .blocks import share
from .checks import Float, Window
from .epilogue import load_short_sums, store_sums
from .geometry import aligned, filled, padded, sliding
from .simd import LANES, load, load_first, store_first
from .threads import get_num_threads
from .tile import CHANNELS, SHORT_ROWS, multiply_add, no_short_sums, short_starts

_PIXELS = 128  # in a panel
_TAPS = 512  # as many suffice for all threads to have some
_PARTIAL = 2**18  # numbers that it costs little to write and to add up


def grad_weight(x: Float, grad: Float, weight_shape: tuple[int, ...], window: Window) -> Float:
    """Gradient (O, KH, KW, C) for images (N, H, W, C) and a gradient (N, OH, OW, O) of the output."""
    o, depth = weight_shape[0], int(np.prod(weight_shape[1:]))
    if not (grad.size and x.size and depth):
        return np.zeros(weight_shape, np.float32)
    walk, workers = sliding(x.shape, window), get_num_threads()
    slices = _slices(depth, o, walk.pixels)
    groups = workers if slices % workers else 1  # of taps
    partial, panels = np.empty((slices, *weight_shape), np.float32), aligned(workers * _PIXELS * CHANNELS)
    panels[...] = 0  # lanes past the last tap are computed too, and not stored
    arrays = (
        padded(x, window),
        walk.starts,
        grad.ravel(),
        filled(np.arange(o)),
        np.ones(depth + CHANNELS, np.float32),
        panels,
    )
    sizes = walk.pixels, o, walk.rows, walk.span, walk.pitch
    _sum_products(*arrays, partial.ravel(), *sizes, slices, groups, workers)
    total: Float = partial[0]
    if slices == 1:
        return total
    total = np.empty(weight_shape, np.float32)
    _add_slices(partial.ravel(), total.ravel(), slices, o * depth, workers)
    return total


def _slices(depth: int, o: int, pixels: int) -> int:
    """How many slices of the pixels are summed for themselves; by shape alone, as it decides the order of the sum.

    Threads share the taps. Where there are few, they share the pixels as well.
    """
    return 1 if depth >= _TAPS else int(np.clip(min(pixels // (4 * _PIXELS), _PARTIAL // (depth * o)), 1, 8))


@helper
def _copy_panel(x, starts, first, end, panel, place, tap, span, pitch, depth):
    """``panel[q - first, lane] = x[starts[q] + tap + lane]`` for CHANNELS taps, run by run of neighbours in x."""
    lane = 0
    while lane < CHANNELS and tap + lane < depth:
        r, i = (tap + lane) // span, (tap + lane) % span
        run = min(span - i, CHANNELS - lane)
        for v in range(0, run, LANES):
            source, target = r * pitch + i + v, place + lane + v
            if run - v >= LANES:
                for q in range(first, end):
                    store_first(panel, target + (q - first) * CHANNELS, load(x, starts[q] + source), LANES)
            else:
                for q in range(first, end):
                    values = load_first(x, starts[q] + source, run - v)
                    store_first(panel, target + (q - first) * CHANNELS, values, run - v)
        lane += run


@helper
def _add_panel(grad, channels, ones, panel, place, out, tap, first, begin, end, o, depth):
    """``out[channel, tap + lane] += sum over pixels of grad[q, channel] * panel[q - begin, lane]``.

    For pixels ``begin`` to ``end``; those from ``first`` on overwrite what is in ``out``.
    """
    for channel in range(0, o, SHORT_ROWS):
        row, sums = short_starts(channels, channel), no_short_sums()
        if begin > first:
            sums = load_short_sums(out, channel, o - 1, depth, tap)
        for q in range(begin, end):
            sums = multiply_add(sums, grad, row, q * o, panel, place + (q - begin) * CHANNELS)
        store_sums(sums, out, channel, o - 1, depth, tap, ones)


@kernel
def _sum_products(x, starts, grad, channels, ones, panels, out, pixels, o, rows, span, pitch, slices, groups, workers):
    """``out[slice, o, tap] = sum over the slice's pixels q of grad[q, o] * x[starts[q] + tap]``."""
    depth = rows * span
    for worker in prange(workers):
        place, items = worker * _PIXELS * CHANNELS, share(worker, workers, slices * groups)
        for item in range(items[0], items[1]):
            first, last = share(item // groups, slices, pixels)
            of_group = share(item % groups, groups, (depth + CHANNELS - 1) // CHANNELS)
            target = out[item // groups * o * depth : (item // groups + 1) * o * depth]
            for begin in range(first, last, _PIXELS):
                end = min(begin + _PIXELS, last)
                for tap in range(of_group[0] * CHANNELS, of_group[1] * CHANNELS, CHANNELS):
                    _copy_panel(x, starts, begin, end, panels, place, tap, span, pitch, depth)
                    _add_panel(grad, channels, ones, panels, place, target, tap, first, begin, end, o, depth)


@kernel
def _add_slices(partial, total, slices, size, workers):
    """``total[i] = sum over slices of partial[slice, i]``, in order."""
    for worker in prange(workers):
        begin, end = share(worker, workers, size)
        for i in range(begin, end):
            value = partial[i]
            for part in range(1, slices):
                value += partial[part * size + i]
            total[i] = value
