"""Gradient of a convolution with respect to its weights: sums over pixels of gradient times what lay under it.

The rows of a tile are output channels, its columns consecutive taps, so that it is a piece of the result as it lies in
memory. What tiles read, for a chunk of pixels, is first gathered in panels that stay in the caches: the gradients of
all channels in the second-level one, CHANNELS taps in the first-level one while all channels pass over them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ._jit import helper, kernel
from .blocks import share
from .checks import Float, Halves, Window
from .epilogue import load_block, store_block
from .geometry import Indices, aligned, padded
from .panels import FIELDS, PIXELS, find_pixels, gather_gradients, gather_signs, gather_taps, strips
from .simd import LANES
from .threads import get_num_threads
from .tile import CHANNELS, SHORT_ROWS, add_outer, no_short_sums

_TAPS = 512  # as many suffice for all threads to have some
_PARTIAL = 2**18  # numbers that it costs little to write and to add up


def grad_weight(x: Float, grad: Float, window: Window, out: Float) -> None:
    """Write the gradient (O, KH, KW, C) for images (N, H, W, C) and a gradient (N, OH, OW, O) of the output."""
    (_, h, w, c), (kh, kw), (ph, pw) = x.shape, window.size, window.padding
    if kh * kw * -(-c // CHANNELS) * 4 <= -(-kh * kw * c // CHANNELS) * 5:
        table, image = strips(h, w, window, (-ph, -pw), True), x.ravel()
        steps, walk = (h * w * c, w * c, c), (1, c, c)
    else:  # so few channels that a strip would leave lanes empty: one strip of all taps, over images with their border
        high, wide = h + 2 * ph, w + 2 * pw
        table, image = strips(h, w, window, (0, 0), False)[:FIELDS], padded(x, window)
        steps, walk = (high * wide * c, wide * c, c), (kh, kw * c, wide * c)
    _add_up(_sum_products, image, table, grad, window, steps, walk, out)


def grad_weight_signs(
    bits: Halves, grad: Float, x_shape: tuple[int, ...], window: Window, pad_value: int, out: Float
) -> None:
    """The same for a map of bits with its border; when that is 0, its bits are not read."""
    (_, h, w, c), (high, wide, halves) = x_shape, bits.shape[1:]
    table, blocks = strips(h, w, window, (0, 0), pad_value == 0), halves * 32 // CHANNELS
    steps = high * wide * blocks, wide * blocks, blocks
    _add_up(_sum_signed, bits.view(np.uint8).ravel(), table, grad, window, steps, (1, c, c), out)


def _add_up(
    products: Any,
    image: Any,
    table: Indices,
    grad: Float,
    window: Window,
    steps: tuple[int, int, int],
    walk: tuple[int, int, int],
    out: Float,
) -> None:
    (n, oh, ow, o), workers = grad.shape, get_num_threads()
    if not (out.size and grad.size):
        out[...] = 0
        return
    slices = _slices(out.size // o, o, n * oh * ow)
    groups = workers if slices % workers else 1  # of taps
    partial = np.empty((slices, out.size), np.float32) if slices > 1 else out
    room = min(PIXELS, n * oh * ow) * (CHANNELS + -(-o // LANES) * LANES)
    scratch = aligned(workers * room), np.empty(workers * 2 * PIXELS, np.int64)
    shape, output = (*steps, *walk), (n, oh, ow, o, *window.stride)
    products(image, table, grad.ravel(), *scratch, partial.ravel(), shape, output, slices, groups, room, workers)
    if slices > 1:
        _add_slices(partial.ravel(), out.ravel(), slices, out.size, workers)


def _slices(depth: int, o: int, pixels: int) -> int:
    """How many slices of the pixels are summed for themselves; by shape alone, as it decides the order of the sum.

    Threads share the taps. Where there are few, they share the pixels as well.
    """
    return 1 if depth >= _TAPS else int(np.clip(min(pixels // (4 * PIXELS), _PARTIAL // (depth * o)), 1, 8))


@helper
def _multiply(panels, count, taps, out, o, depth, tap, left, fresh):
    """``out[channel, tap + lane] += sum over pixels k of gradient[k, channel] * taps[k, lane]``.

    Overwrites what is in ``out`` when ``fresh``; ``left`` taps are left from ``tap`` on.
    """
    for channel in range(0, o, SHORT_ROWS):
        gradients = taps + count * (CHANNELS + channel // LANES * LANES) + channel % LANES
        sums = no_short_sums()
        if not fresh:
            sums = load_block(out, channel, o, depth, tap, left)
        for k in range(count):
            sums = add_outer(sums, panels, gradients + k * LANES, panels, taps + k * CHANNELS)
        store_block(sums, out, channel, o, depth, tap, left)


@kernel
def _sum_products(x, strips, grad, panels, places, out, shape, output, slices, groups, room, workers):
    image, row, pixel, rows, span, pitch = shape
    n, oh, ow, o, sh, sw = output
    blocks = (rows * span + CHANNELS - 1) // CHANNELS
    depth = len(strips) // FIELDS * rows * span
    for worker in prange(workers):
        taps, at = worker * room, worker * 2 * PIXELS
        items = share(worker, workers, slices * groups)
        for item in range(items[0], items[1]):
            units = share(item % groups, groups, len(strips) // FIELDS * blocks)
            target = out[item // groups * o * depth : (item // groups + 1) * o * depth]
            for strip in range(units[0] // blocks, (units[1] + blocks - 1) // blocks):
                first, last = share(item // groups, slices, n * strips[strip * FIELDS + 1] * strips[strip * FIELDS + 3])
                for begin in range(first, max(last, first + 1), PIXELS):
                    count = min(last - begin, PIXELS)
                    find_pixels(strips, strip, (oh, ow, sh, sw), (image, row, pixel), begin, begin + count, (places, at))
                    gather_gradients(grad, (places, at), count, o, panels, taps + count * CHANNELS)
                    for block in range(max(units[0] - strip * blocks, 0), min(units[1] - strip * blocks, blocks)):
                        gather_taps(x, (places, at), count, block * CHANNELS, (rows, span, pitch), panels, taps)
                        tap = block * CHANNELS
                        _multiply(panels, count, taps, target, o, depth, strip * rows * span + tap, rows * span - tap, begin == first)


@kernel
def _sum_signed(x, strips, grad, panels, places, out, shape, output, slices, groups, room, workers):
    image, row, pixel, rows, span, pitch = shape
    n, oh, ow, o, sh, sw = output
    blocks = (rows * span + CHANNELS - 1) // CHANNELS
    depth = len(strips) // FIELDS * rows * span
    for worker in prange(workers):
        taps, at = worker * room, worker * 2 * PIXELS
        items = share(worker, workers, slices * groups)
        for item in range(items[0], items[1]):
            units = share(item % groups, groups, len(strips) // FIELDS * blocks)
            target = out[item // groups * o * depth : (item // groups + 1) * o * depth]
            for strip in range(units[0] // blocks, (units[1] + blocks - 1) // blocks):
                first, last = share(item // groups, slices, n * strips[strip * FIELDS + 1] * strips[strip * FIELDS + 3])
                for begin in range(first, max(last, first + 1), PIXELS):
                    count = min(last - begin, PIXELS)
                    find_pixels(strips, strip, (oh, ow, sh, sw), (image, row, pixel), begin, begin + count, (places, at))
                    gather_gradients(grad, (places, at), count, o, panels, taps + count * CHANNELS)
                    for block in range(max(units[0] - strip * blocks, 0), min(units[1] - strip * blocks, blocks)):
                        gather_signs(x, (places, at), count, block, panels, taps)
                        tap = block * CHANNELS
                        _multiply(panels, count, taps, target, o, depth, strip * rows * span + tap, rows * span - tap, begin == first)


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
