"""Gradient of a binary convolution with respect to its weights: a quantised gradient with signs of inputs.

Signed bytes are multiplied by table look-up (``lookup``), bit planes by popcounts, here. What is summed over, the
pixels of all images, lies in one half word. The signs arrive packed along the channels. For each tap, squares of 32
pixels by 32 channels are transposed in registers, and make up a *panel*: all pixels of 32 channels under one tap, which
stays in the cache while the filters pass over it, four at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ...checks import Float, Halves, Ints, Window
from ...lowbit.rounding import QuantisedGradient
from ...simd.counts import RECENT_STEPS, add_recent, no_counts, settle, twice
from ...simd.epilogue import store_ints
from ...simd.geometry import filled, sliding
from ...simd.jit import helper, kernel
from ...simd.lanes import WIDTH, store_all
from ...simd.threads import get_num_threads
from ...simd.tile import CHANNELS, XNOR_ROWS, xnor_starts
from ...simd.tiling import share
from .bit_lanes import pixels_in_lanes
from .borders import pixels_inside
from .lookup import grad_weight as by_lookup
from .masked_popcount import count_masked, store_products

_ROWS = filled(np.arange(XNOR_ROWS))  # where the channels of a tile start
_BOTH = 2 * XNOR_ROWS  # half words of one block of pixels: signs and masks of the channels of a tile
_CACHED = 2048  # blocks of 32 pixels in the panels that filters pass over together: 256 KB


def quantised_grad_weight(
    bits: Halves, gradient: QuantisedGradient, window: Window, pad_value: int, grad_weight: Float
) -> None:
    """``grad_weight`` (O, KH, KW, C) of a map of bits (N, H + 2 ph, W + 2 pw, ceil(C / 32))."""
    o, kh, kw, c = grad_weight.shape
    if not (grad_weight.size and len(bits)):
        grad_weight[...] = 0
        return
    if gradient.in_bytes:
        by_lookup.sum_signs(bits, gradient, window, pad_value, grad_weight)
        return
    halves, (n, *padded) = bits.shape[3], bits.shape[:3]
    size = tuple(side - 2 * p for side, p in zip(padded, window.padding))
    walk = sliding((n, *size, halves), window)
    taps = np.arange(kh)[:, None] * walk.pitch + np.arange(kw) * halves
    blocks, workers = -(-walk.pixels // WIDTH), get_num_threads()
    planes = gradient.columns.ravel(), gradient.planes, gradient.columns[0].size, gradient.columns.shape[2]
    most = _most(pixels_inside(size, n, window, pad_value == 0), planes, o, kh * kw)
    together = int(np.clip(_CACHED // blocks, 1, kh * kw * halves))
    panels = np.empty(workers * together * blocks * WIDTH, np.uint32)
    arrays = walk.starts, taps.ravel(), filled(np.arange(o) * kh * kw), most.ravel(), gradient.column_unit, panels
    sizes = walk.pixels, o, kh * kw, c, together, workers
    _sum_signs(planes, bits.ravel(), *arrays, grad_weight.ravel(), *sizes)


def _most(inside: Halves, planes: tuple[Any, ...], o: int, taps: int) -> Ints:
    """What the sums (taps, O) start from: kept values inside, and twice the negative ones under the border.

    The border counts as +1 in popcounts. Kept values whose sign differs from a row of ``inside``, and negative ones,
    are together just that.
    """
    groups, blocks, lanes = inside.shape
    counts = np.empty((-(-o // XNOR_ROWS) * XNOR_ROWS, groups * lanes), np.int32)
    zeros = np.zeros(groups * lanes, np.int32)
    _count_inside(planes, inside.ravel(), zeros, counts.ravel(), len(counts), blocks, groups)
    counts //= -2
    return np.ascontiguousarray((counts[:o, :taps] + counts[:o, taps : taps + 1]).T)


# ---------------------------------------------------------------------------------------------- kernels


@helper
def _count_blocks(gradient, quad, blocks, panel, place):
    """Differing signs of XNOR_ROWS channels over all pixels, for CHANNELS lanes of a panel."""
    columns, planes, plane_size, pitch = gradient
    counts, start = no_counts(), xnor_starts(_ROWS, 0)
    for plane in range(planes - 1, -1, -1):
        # Horner's rule, from the highest plane to the lowest: one shift of the tile between planes, no multiplication.
        counts, recent, left = twice(counts), no_counts(), RECENT_STEPS
        first = plane * plane_size + quad * pitch * _BOTH
        for block in range(blocks):
            recent = count_masked(
                recent, columns, start, first + block * _BOTH, panel, place + block * WIDTH, XNOR_ROWS
            )
            counts, recent, left = settle(counts, recent, left)
        counts = add_recent(counts, recent)
    return counts


@kernel
def _count_inside(gradient, inside, base, counts, rows, blocks, groups):
    for quad in prange(rows // XNOR_ROWS):
        for lane in range(0, groups * WIDTH, CHANNELS):
            tile = _count_blocks(gradient, quad, blocks, inside, lane // WIDTH * blocks * WIDTH + lane % WIDTH)
            store_ints(tile, counts, quad * XNOR_ROWS, rows - 1, groups * WIDTH, lane, base)


@helper
def _transpose_panel(bits, starts, offset, panel, first, pixels):
    """``panel[block, lane]`` is bit ``lane`` of ``bits[starts[q] + offset]`` for 32 pixels q."""
    for begin in range(0, pixels, WIDTH):
        lanes = pixels_in_lanes(bits, starts, offset, begin, min(begin + WIDTH, pixels))
        store_all(panel, first + begin, lanes)


@kernel
def _sum_signs(gradient, bits, starts, taps, rows, most, unit, panels, out, pixels, o, size, c, together, workers):
    quads, groups, blocks = (o + XNOR_ROWS - 1) // XNOR_ROWS, (c + WIDTH - 1) // WIDTH, (pixels + WIDTH - 1) // WIDTH
    # Threads that share the panels transpose each once; threads that share the filters transpose all of them, each for
    # itself.
    by_panel = size * groups >= 4 * workers  # otherwise threads share the filters
    for worker in prange(workers):
        of_panels, of_quads = (0, size * groups), (0, quads)
        if by_panel:
            of_panels = share(worker, workers, size * groups)
        else:
            of_quads = share(worker, workers, quads)
        room = worker * together * blocks * WIDTH
        for first in range(of_panels[0], of_panels[1], together):
            last = min(first + together, of_panels[1])
            for i in range(first, last):
                offset = taps[i // groups] + i % groups
                _transpose_panel(bits, starts, offset, panels, room + (i - first) * blocks * WIDTH, pixels)
            for quad in range(of_quads[0], of_quads[1]):
                row, channel = xnor_starts(rows, quad * XNOR_ROWS), quad * XNOR_ROWS
                for i in range(first, last):
                    tap, group, panel = i // groups, i % groups * WIDTH, room + (i - first) * blocks * WIDTH
                    for lane in range(group, min(group + WIDTH, c), CHANNELS):
                        counts = _count_blocks(gradient, quad, blocks, panels, panel + lane - group)
                        store_products(
                            counts, out[tap * c :], row, o - channel, c, lane, most[tap * o :], unit, channel
                        )
