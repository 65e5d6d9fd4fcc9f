"""Both backward convolutions of a binary layer by popcount: a quantised gradient with signs of weights, or of inputs.

What is summed over lies in one half word: output channels for the gradient of the input, pixels for that of the
weights. Signs arrive packed along the other axis, so squares of 32 x 32 bits are turned round, in registers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from . import checks
from ._jit import helper, kernel
from .blocks import share
from .checks import Float, Ints, Pair, Window
from .epilogue import store_ints
from .geometry import border_classes, filled, framed, sliding
from .masked import count_masked, store_products, twice
from .quantise import Halves, QuantisedGradient
from .threads import get_num_threads
from .tile import CHANNELS, CHUNK, XNOR_ROWS, no_counts, xnor_starts
from .turned import Axis, Part, parts_of_input
from .wide import BITS, no_bits, ones, set_bit, store_halves

_ROWS = filled(np.arange(XNOR_ROWS))  # where the channels of a tile start
_BOTH = 2 * XNOR_ROWS  # half words of one block of pixels: signs and masks of the channels of a tile


def quantised_grad_input(
    gradient: QuantisedGradient, weight_signs: Any, x_shape: tuple[int, ...], stride: Pair = 1, padding: Pair = 0
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

    Returns
    -------
    float32 (N, H, W, C)
        Whole numbers, exact below 2**24, times the unit of their sample.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    signs, window = checks.quantised_input(gradient.shape, weight_signs, x_shape, stride, padding)
    (n, h, w, _), (kh, kw), halves = x_shape, window.size, gradient.rows.shape[4]
    (sh, sw), (ph, pw) = window.stride, window.padding
    rows, cols = Axis(h, kh, sh, ph), Axis(w, kw, sw, pw)
    if sh > kh or sw > kw or not gradient.rows.size:  # some of x, or all, meets no tap
        grad_x = np.zeros(x_shape, np.float32)
    else:
        grad_x = np.empty(x_shape, np.float32)
    if grad_x.size and gradient.rows.size:
        maps = gradient.rows.reshape(gradient.planes * n, *gradient.shape[1:3], 2 * halves)
        frame = framed(maps.view(np.float32), rows.frame, cols.frame).view(np.uint32)
        kept = np.empty(len(frame) // (gradient.planes * 2 * halves), np.int32)
        _count_kept(frame, kept, len(kept), halves, gradient.planes)
        for part in parts_of_input(n, rows, cols, 2 * halves):
            pitch = (cols.frame[1] - cols.frame[0]) * 2 * halves
            _one_part(part, (frame, kept, pitch), gradient, signs, grad_x)
    return grad_x


def _one_part(
    part: Part, frame: tuple[Halves, Ints, int], gradient: QuantisedGradient, signs: Halves, grad_x: Float
) -> None:
    """The pixels of x that meet the same taps."""
    (planes, kept, pitch), (o, size), c = frame, signs.shape[:2], grad_x.shape[3]
    halves, span, per_sample = (
        gradient.rows.shape[4],
        part.cols * 2 * gradient.rows.shape[4],
        part.pixels // len(grad_x),
    )
    turned = np.empty(-(-c // BITS) * len(part.taps) * halves * BITS, np.uint32)
    _turn_signs(signs.ravel(), part.taps, turned, o, size, signs.shape[2], -(-c // BITS))
    most, unit = np.empty(part.pixels, np.int32), np.repeat(gradient.row_unit, per_sample)
    _sum_kept(kept, part.starts, most, part.pixels, 2 * halves, part.rows, part.cols, pitch // (2 * halves))
    arrays = planes, part.starts, part.targets, turned, most, unit, grad_x.ravel()
    _convolve(*arrays, part.pixels, c, part.rows, span, pitch, gradient.planes, planes.size // gradient.planes)


def quantised_grad_weight(
    bits: Any,
    gradient: QuantisedGradient,
    weight_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
) -> Float:
    """Gradient of a binary convolution with respect to its scaled weights, from a quantised gradient.

    Parameters
    ----------
    bits : uint32 (N, H + 2 ph, W + 2 pw, ceil(C / 32))
        Signs of the input, 1 is negative; the border holds the sign of ``pad_value``, +1 for 0.
    gradient : QuantisedGradient
        From :func:`quantise_gradient`, of (N, OH, OW, O); alpha plays no part.
    weight_shape : (O, KH, KW, C)
    stride, padding : int or pair of ints
    pad_value : 0, +1 or -1
        What the border counts as.

    Returns
    -------
    float32 (O, KH, KW, C)
        Whole numbers, exact below 2**24, times the unit of their channel.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    bits, window = checks.quantised_weight(bits, gradient.shape, weight_shape, stride, padding)
    of_zeros = checks.pad_value(pad_value) == 0
    (o, kh, kw, c), grad_weight = weight_shape, np.zeros(weight_shape, np.float32)
    if not (grad_weight.size and gradient.columns.size):
        return grad_weight
    halves, (n, *padded) = bits.shape[3], bits.shape[:3]
    size = tuple(side - 2 * p for side, p in zip(padded, window.padding))
    walk = sliding((n, *size, halves), window)
    taps = np.arange(kh)[:, None] * walk.pitch + np.arange(kw) * halves
    blocks, workers = gradient.columns.shape[2], get_num_threads()
    shared = gradient.columns.ravel(), o, blocks, gradient.planes, gradient.columns.size // gradient.planes
    most = _most(_inside(size, n, window, of_zeros), shared, kh * kw)
    panels = np.empty(workers * blocks * BITS, np.uint32)
    arrays = walk.starts, taps.ravel(), filled(np.arange(o) * kh * kw), most.ravel(), gradient.column_unit
    _sum_signs(*shared, bits.ravel(), *arrays, panels, grad_weight.ravel(), walk.pixels, kh * kw, c, workers)
    return grad_weight


def _most(inside: Halves, shared: tuple[Any, ...], taps: int) -> Ints:
    """What the sums (taps, O) start from: kept values inside, and twice the negative ones under the border.

    The border counts as +1 in popcounts. Kept values whose sign differs from a row of ``inside``, and negative ones,
    are together just that.
    """
    o, (groups, _, lanes) = shared[1], inside.shape
    counts = np.empty((-(-o // XNOR_ROWS) * XNOR_ROWS, groups * lanes), np.int32)
    _count_inside(*shared, inside.ravel(), np.zeros(groups * lanes, np.int32), counts.ravel(), groups)
    counts //= -2
    return np.ascontiguousarray((counts[:o, :taps] + counts[:o, taps : taps + 1]).T)


@lru_cache(maxsize=64)
def _inside(size: tuple[int, int], n: int, window: Window, of_zeros: bool) -> Halves:
    """Which pixels lie inside of the image under each tap: uint32 (groups of 32 taps, blocks of 32 pixels, 32).

    After the last tap stands one under which no pixel does.
    """
    outside, class_of = border_classes(*size, n, window)
    classes = (~outside if of_zeros else np.ones_like(outside)).reshape(len(outside), -1)
    pixels, taps = len(class_of), classes.shape[1]
    of_pixel = np.zeros((-(-(taps + 1) // BITS) * BITS, -(-pixels // BITS) * BITS), bool)
    of_pixel[:taps, :pixels] = classes[class_of].T
    words = np.packbits(of_pixel, axis=1, bitorder="little").view("<u4")
    return np.ascontiguousarray(words.reshape(-1, BITS, words.shape[1]).swapaxes(1, 2), np.uint32)


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _count_kept(frame, kept, pixels, halves, planes):
    """``kept[pixel] = sum over planes of 2^plane popcount(masks)``."""
    for q in prange(pixels):
        total = 0
        for plane in range(planes):
            for half in range(halves):
                total += ones(frame[((plane * pixels + q) * halves + half) * 2 + 1]) << plane
        kept[q] = total


@kernel
def _sum_kept(kept, starts, most, pixels, step, rows, cols, wide):
    """``most[q]``: the kept values under the window that starts at ``starts[q] / step``."""
    for q in prange(pixels):
        total = 0
        for r in range(rows):
            for s in range(cols):
                total += kept[starts[q] // step + r * wide + s]
        most[q] = total


@kernel
def _turn_signs(signs, places, turned, o, size, words, groups):
    """Signs (O, size, half words of C) as (group of 32 channels, place, half word of O, 32 channels)."""
    halves = (o + BITS - 1) // BITS
    for item in prange(groups * len(places)):
        group, place = item // len(places), places[item % len(places)]
        for half in range(halves):
            lanes = no_bits()
            for f in range(half * BITS, min((half + 1) * BITS, o)):
                lanes = set_bit(lanes, signs[(f * size + place) * words + group], f - half * BITS)
            store_halves(turned, (item * halves + half) * BITS, lanes)


@kernel
def _convolve(planes, starts, targets, weight, most, unit, out, pixels, c, rows, span, pitch, count, plane_size):
    tiles, depth = (pixels + XNOR_ROWS - 1) // XNOR_ROWS, rows * span // 2
    blocks = (c + CHANNELS - 1) // CHANNELS
    chunks = (tiles + CHUNK - 1) // CHUNK
    for item in prange(chunks * blocks):
        channel = item % blocks * CHANNELS
        for tile in range(item // blocks * tiles // chunks, (item // blocks + 1) * tiles // chunks):
            first, counts = tile * XNOR_ROWS, no_counts()
            start = xnor_starts(starts, first)
            for plane in range(count - 1, -1, -1):
                counts, place = twice(counts), channel // BITS * depth * BITS + channel % BITS
                for r in range(rows):
                    row = plane * plane_size + r * pitch
                    for i in range(row, row + span, 2):
                        counts = count_masked(counts, planes, start, i, weight, place, 1)
                        place += BITS
            store_products(counts, out, xnor_starts(targets, first), pixels - first, c, channel, most, unit, first)


@helper
def _count_blocks(columns, quad, blocks, planes, plane_size, panel, place):
    """Differing signs of XNOR_ROWS channels over all pixels, for CHANNELS lanes of a panel."""
    counts, start = no_counts(), xnor_starts(_ROWS, 0)
    for plane in range(planes - 1, -1, -1):
        counts = twice(counts)
        first = plane * plane_size + quad * blocks * _BOTH
        for block in range(blocks):
            counts = count_masked(counts, columns, start, first + block * _BOTH, panel, place + block * BITS, XNOR_ROWS)
    return counts


@kernel
def _count_inside(columns, o, blocks, planes, plane_size, inside, base, counts, groups):
    quads = (o + XNOR_ROWS - 1) // XNOR_ROWS
    for quad in prange(quads):
        for lane in range(0, groups * BITS, CHANNELS):
            place = lane // BITS * blocks * BITS + lane % BITS
            tile = _count_blocks(columns, quad, blocks, planes, plane_size, inside, place)
            store_ints(tile, counts, quad * XNOR_ROWS, quads * XNOR_ROWS - 1, groups * BITS, lane, base)


@helper
def _turn_panel(bits, starts, offset, panel, first, pixels):
    """``panel[block, lane]`` is bit ``lane`` of ``bits[starts[q] + offset]`` for 32 pixels q."""
    for begin in range(0, pixels, BITS):
        lanes = no_bits()
        for q in range(begin, min(begin + BITS, pixels)):
            lanes = set_bit(lanes, bits[starts[q] + offset], q - begin)
        store_halves(panel, first + begin, lanes)


@kernel
def _sum_signs(
    columns, o, blocks, planes, plane_size, bits, starts, taps, rows, most, unit, panels, out, pixels, size, c, workers
):
    quads, groups = (o + XNOR_ROWS - 1) // XNOR_ROWS, (c + BITS - 1) // BITS
    parts = workers if size * groups < 4 * workers else 1  # of the filters, where there are few panels
    for worker in prange(workers):
        panel, (begin, end) = worker * blocks * BITS, share(worker, workers, size * groups * parts)
        for item in range(begin, end):
            tap, channel = item // parts // groups, item // parts % groups * BITS
            if item == begin or item % parts == 0:
                _turn_panel(bits, starts, taps[tap] + channel // BITS, panels, panel, pixels)
            first, last = share(item % parts, parts, quads)
            for quad in range(first, last):
                for lane in range(channel, min(channel + BITS, c), CHANNELS):
                    counts = _count_blocks(columns, quad, blocks, planes, plane_size, panels, panel + lane - channel)
                    filter_ = quad * XNOR_ROWS
                    row = xnor_starts(rows, filter_)
                    store_products(counts, out[tap * c :], row, o - filter_, c, lane, most[tap * o :], unit, filter_)
