"""Gradient of a convolution with respect to its weights: sums over pixels of gradient times input.

The rows of a tile are output channels, its columns consecutive taps, so that it is a piece of the result as it lies in
memory. What tiles read, for a chunk of pixels, is first gathered in panels that stay in the caches: the gradients of
all channels in the second-level one, CHANNELS taps in the first-level one while all channels pass over them.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numba import prange

from ...checks import Float, Halves, Window
from ...simd.epilogue import load_block, store_block, stream_block
from ...simd.geometry import aligned, padded
from ...simd.jit import helper, kernel
from ...simd.threads import get_num_threads
from ...simd.tile import CHANNELS, SHORT_ROWS, add_outer, no_short_sums
from ...simd.tiling import share
from ...simd.vector import LANES
from ...tree import add_parts
from ..forward.slabs import NO_BITS, NO_FLOATS
from .gather import FIELDS, PIXELS, Source, find_pixels, gather, gather_gradients, strips
from .micro_batches import STREAM, add_micro_batches

_FEW = 32  # pixels
_TAPS = 512  # as many suffice for all threads to have some
_PARTIAL = 2**18  # numbers that it costs little to write and to add up


def grad_weight(x: Float, grad: Float, window: Window, cuts: tuple[int, ...], out: Float) -> None:
    """Write the gradient (O, KH, KW, C) for images (N, H, W, C) and a gradient (N, OH, OW, O) of the output."""
    (_, h, w, c), (kh, kw), (ph, pw) = x.shape, window.size, window.padding
    if not (out.size and grad.size):
        out[...] = 0
    elif kh * kw * -(-c // CHANNELS) * 4 <= -(-kh * kw * c // CHANNELS) * 5:
        table = strips(h, w, window, (-ph, -pw), True)
        _add_up(Source(x.ravel(), NO_BITS, table, (h * w * c, w * c, c), (1, c, c)), grad, window, cuts, out)
    else:  # so few channels that strips would leave lanes empty: one strip of all taps, over images with their border
        high, wide = h + 2 * ph, w + 2 * pw
        table, steps = strips(h, w, window, (0, 0), False)[:FIELDS], (high * wide * c, wide * c, c)
        _add_up(Source(padded(x, window), NO_BITS, table, steps, (kh, kw * c, wide * c)), grad, window, cuts, out)


def grad_weight_signs(
    bits: Halves,
    grad: Float,
    x_shape: tuple[int, ...],
    window: Window,
    pad_value: int,
    cuts: tuple[int, ...],
    out: Float,
) -> None:
    """The same for planes (m, N, H + 2 ph, W + 2 pw, ceil(C / 32)) with a border; when that is 0, it is not read."""
    (_, h, w, c), (high, wide, halves), m = x_shape, bits.shape[2:], len(bits)
    table, blocks = strips(h, w, window, (0, 0), pad_value == 0), halves * 32 // CHANNELS
    if not (out.size and grad.size):
        out[...] = 0
    else:
        steps = high * wide * blocks, wide * blocks, blocks
        planes = m, bits[0].size * 32 // CHANNELS, (1 << m) - 1
        source = Source(NO_FLOATS, bits.view(np.uint8).ravel(), table, steps, (1, c, c), planes)
        _add_up(source, grad, window, cuts, out)


def _add_up(source: Source, grad: Float, window: Window, cuts: tuple[int, ...], out: Float) -> None:
    most = max(end - first for first, end in pairwise(cuts)) * math.prod(grad.shape[1:3])
    if len(cuts) == 2:
        _add_up_one(source.since(cuts[0]), grad[cuts[0] : cuts[1]], window, out)
    elif _slices(out[0].size, len(out), most) == 1:
        add_micro_batches(source, grad, window, cuts, out)
    else:  # so few numbers that it costs little to add up whole arrays

        def sum_of(first: int, end: int) -> Float:
            part = np.empty_like(out)
            _add_up(source, grad, window, (first, end), part)
            return part

        out[...] = add_parts(cuts, sum_of)


def _add_up_one(source: Source, grad: Float, window: Window, out: Float) -> None:
    if not grad.size:
        out[...] = 0
        return
    (n, oh, ow, o), workers, taps = grad.shape, get_num_threads(), source.taps
    pixels = n * oh * ow
    few = pixels <= _FEW and pixels * taps <= _PARTIAL
    columns = -(-taps // CHANNELS) * CHANNELS if few else CHANNELS
    room = min(PIXELS, pixels) * (columns + -(-o // LANES) * LANES)
    # Past the caches only where each value is written once, in whole vectors that begin where a line does.
    stream = pixels <= PIXELS and out.nbytes >= STREAM and out.ctypes.data % 64 == taps % CHANNELS == 0
    slices = _slices(out.size // o, o, pixels)
    groups = workers if slices % workers else 1  # of taps
    partial = aligned(slices * out.size) if slices > 1 else out.ravel()
    tables = source.strips, aligned(workers * room), np.empty(workers * 2 * PIXELS, np.int64)
    sizes = (
        (*source.steps, n, *window.stride, oh, ow, o),
        (*source.walk, *source.planes),
        (slices, groups, stream, room),
    )
    sum_products = _sum_few_products if few else _sum_products
    sum_products(source.floats, source.bits, grad.ravel(), *tables, partial, *sizes, workers)
    if slices > 1:
        _add_slices(partial, out.ravel(), slices, out.size, workers)


def _slices(depth: int, o: int, pixels: int) -> int:
    """Number of slices of pixels that are summed separately. It decides the order of the sum: shapes alone set it.

    Threads share the taps. Where there are few, they share the pixels as well.
    """
    return 1 if depth >= _TAPS else int(np.clip(min(pixels // (4 * PIXELS), _PARTIAL // (depth * o)), 1, 8))


@helper
def _add_tile(panels, count, gradients, taps, target, channel, tap, left, fresh):
    """``out[channel, tap + lane] += sum over pixels k of gradient[k, channel] * taps[k, lane]``, SHORT_ROWS channels.

    Overwrites what is in ``out`` when ``fresh``; ``left`` taps are left from ``tap`` on.
    """
    (out, o, depth, stream), sums = target, no_short_sums()
    gradients += channel // LANES * LANES * count + channel % LANES
    if not fresh:
        sums = load_block(out, channel, o, depth, tap, left)
    for k in range(count):
        # Rows are output channels, of which there are 64 or 256: 8 rows divide them, the 10 of other tiles do not.
        sums = add_outer(sums, panels, gradients + k * LANES, panels, taps + k * CHANNELS)
    if stream:
        stream_block(sums, out, channel, o, depth, tap, left)
    else:
        store_block(sums, out, channel, o, depth, tap, left)


@kernel
def _sum_products(x, bits, grad, strips, panels, places, out, shape, walk, ways, workers):
    (slices, groups, stream, room), o, span = ways, shape[8], walk[0] * walk[1]
    count_strips, blocks = len(strips) // FIELDS, (span + CHANNELS - 1) // CHANNELS
    size = o * count_strips * span
    for worker in prange(workers):
        taps, table = worker * room, (places, worker * 2 * PIXELS)
        items = share(worker, workers, slices * groups)
        for item in range(items[0], items[1]):
            units = share(item % groups, groups, count_strips * blocks)
            target = out[item // groups * size : (item // groups + 1) * size], o, count_strips * span, stream
            for strip in range(units[0] // blocks, (units[1] + blocks - 1) // blocks):
                pixels = shape[3] * strips[strip * FIELDS + 1] * strips[strip * FIELDS + 3]
                first, last = share(item // groups, slices, pixels)
                # At least once, as a strip without pixels has to write its zeros.
                for begin in range(first, max(last, first + 1), PIXELS):
                    count = min(last - begin, PIXELS)
                    gradients = taps + count * CHANNELS
                    find_pixels(strips, strip, shape, begin, count, table)
                    gather_gradients(grad, table, count, o, (0, o), panels, gradients)
                    for block in range(max(units[0] - strip * blocks, 0), min(units[1] - strip * blocks, blocks)):
                        tap = block * CHANNELS
                        gather(x, bits, table, count, block, walk, panels, taps)
                        for channel in range(0, o, SHORT_ROWS):
                            place, left, fresh = strip * span + tap, span - tap, begin == first
                            _add_tile(panels, count, gradients, taps, target, channel, place, left, fresh)


@kernel
def _sum_few_products(x, bits, grad, strips, panels, places, out, shape, walk, ways, workers):
    """For so few pixels that panels of all taps fit the second-level cache: the result is written row by row."""
    (_, _, stream, room), o, span = ways, shape[8], walk[0] * walk[1]
    count_strips, blocks = len(strips) // FIELDS, (span + CHANNELS - 1) // CHANNELS
    target = out, o, count_strips * span, stream
    for worker in prange(workers):
        taps, table = worker * room, (places, worker * 2 * PIXELS)
        tiles = share(worker, workers, (o + SHORT_ROWS - 1) // SHORT_ROWS)
        for strip in range(count_strips):
            count = shape[3] * strips[strip * FIELDS + 1] * strips[strip * FIELDS + 3]
            gradients = taps + blocks * count * CHANNELS
            find_pixels(strips, strip, shape, 0, count, table)
            gather_gradients(grad, table, count, o, (0, o), panels, gradients)
            for block in range(blocks):
                gather(x, bits, table, count, block, walk, panels, taps + block * count * CHANNELS)
            for channel in range(tiles[0] * SHORT_ROWS, tiles[1] * SHORT_ROWS, SHORT_ROWS):
                for tap in range(0, span, CHANNELS):
                    place, left = strip * span + tap, span - tap
                    _add_tile(panels, count, gradients, taps + tap * count, target, channel, place, left, True)


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
