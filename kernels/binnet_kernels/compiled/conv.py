"""float32 convolution and its two gradients, by the same register tile as the binary one: no BLAS, no im2col.

Few wide groups of channels (AlexNet's two) are one convolution each; the other groups are in grouped.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import prange

from ..checks import Float, Window
from ..simd.geometry import aligned, padded, sliding
from ..simd.jit import kernel
from ..simd.threads import get_num_threads
from ..simd.tile import CHANNELS, FLOAT_ROWS
from ..simd.tiling import items_of, part_of, share
from . import grouped
from .backward.grad_input import grad_input
from .backward.grad_weight import grad_weight
from .forward.slabs import CHUNK, SLAB, add_taps, interleave, room


class Conv2d:
    """A convolution whose filters are put in the order of the tile once."""

    def __init__(self, weight: Float, window: Window) -> None:
        self._window, (o, depth) = window, (len(weight), int(np.prod(weight.shape[1:])))
        self._blocks = aligned(-(-o // CHANNELS) * CHANNELS * depth)
        if self._blocks.size:
            _interleave(weight.ravel(), self._blocks, o, depth)

    def __call__(self, x: Float, y: Float) -> None:
        """``y`` (N, OH, OW, O) of images (N, H, W, C)."""
        if not self._blocks.size:
            y[...] = 0
        elif y.size:
            walk = sliding(x.shape, self._window)
            # The tile is written with a scale, which real weights do not have.
            ones = np.ones(y.shape[3] + CHANNELS, np.float32)
            sizes = (walk.pixels, y.shape[3], walk.rows, walk.span, walk.pitch)
            _convolve(padded(x, self._window), walk.starts, walk.numbers, self._blocks, ones, y.ravel(), *sizes)


def conv2d(x: Float, weight: Float, window: Window, groups: int, y: Float) -> None:
    """``y`` (N, OH, OW, O) of images (N, H, W, C) and filters (O, KH, KW, C / groups)."""
    if grouped.are_narrow(weight.shape, groups):
        grouped.conv2d(x, weight, window, groups, y)
    else:
        _by_group(_conv2d, groups, window, (x, 3), (weight, 0), (y, 3))


def conv2d_grad_input(grad: Float, weight: Float, window: Window, groups: int, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C) of a gradient (N, OH, OW, O) and filters (O, KH, KW, C / groups)."""
    if grouped.are_narrow(weight.shape, groups):
        grouped.conv2d_grad_input(grad, weight, window, groups, grad_x)
    else:
        _by_group(grad_input, groups, window, (grad, 3), (weight, 0), (grad_x, 3))


def conv2d_grad_weight(
    x: Float, grad: Float, window: Window, groups: int, cuts: tuple[int, ...], grad_w: Float
) -> None:
    """``grad_w`` (O, KH, KW, C / groups) of images (N, H, W, C) and a gradient (N, OH, OW, O)."""
    if grouped.are_narrow(grad_w.shape, groups):
        grouped.conv2d_grad_weight(x, grad, window, groups, cuts, grad_w)
    else:

        def of_group(x: Float, grad: Float, window: Window, grad_w: Float) -> None:
            grad_weight(x, grad, window, cuts, grad_w)

        _by_group(of_group, groups, window, (x, 3), (grad, 3), (grad_w, 0))


def _by_group(form: Callable[..., None], groups: int, window: Window, *arrays: tuple[Float, int]) -> None:
    """Call ``form`` for each group; arrays come with the axis that is divided, the last one is written."""
    if groups == 1:
        (a, _), (b, _), (target, _) = arrays
        form(a, b, window, target)
        return
    for a, b, target in zip(*(np.split(array, groups, axis) for array, axis in arrays), strict=True):
        # Kernels take arrays without gaps, which neighbouring channels of an image are not.
        result = np.empty(target.shape, np.float32)
        form(np.ascontiguousarray(a), np.ascontiguousarray(b), window, result)
        target[...] = result


def _conv2d(x: Float, weight: Float, window: Window, y: Float) -> None:
    if not weight.size:
        y[...] = 0
    elif y.size:
        walk, workers, ones = sliding(x.shape, window), get_num_threads(), np.ones(y.shape[3] + CHANNELS, np.float32)
        sizes = (walk.pixels, y.shape[3], walk.rows, walk.span, walk.pitch)
        tables = padded(x, window), walk.starts, walk.numbers
        _convolve_once(*tables, weight.ravel(), ones, room(workers), y.ravel(), *sizes, workers)


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _interleave(weight, blocks, o, depth):
    """Filters (O, depth) in the order a tile reads them: block by block, tap by tap, all channels of the block."""
    for block in prange((o + CHANNELS - 1) // CHANNELS):
        channel = block * CHANNELS
        interleave(weight, (blocks, channel * depth), channel, o, depth, (0, depth))


@kernel
def _convolve(x, starts, numbers, weight, ones, out, pixels, o, rows, span, pitch):
    """With filters that :func:`_interleave` has put in order."""
    depth = rows * span
    for item in prange(items_of(pixels, o, FLOAT_ROWS, CHUNK)):
        channel, begin, end = part_of(item, pixels, o, FLOAT_ROWS, CHUNK)
        target = out, numbers, o, channel, ones
        add_taps((x, starts, span, pitch), (weight, channel * depth), target, (0, depth), (begin, end))


@kernel
def _convolve_once(x, starts, numbers, weight, ones, scratch, out, pixels, o, rows, span, pitch, workers):
    """With filters (O, depth), put in order a slab at a time."""
    depth, items = rows * span, items_of(pixels, o, FLOAT_ROWS, CHUNK)
    for worker in prange(workers):
        slab, some = (scratch, worker * SLAB * CHANNELS), share(worker, workers, items)
        for item in range(some[0], some[1]):
            channel, begin, end = part_of(item, pixels, o, FLOAT_ROWS, CHUNK)
            for first in range(0, depth, SLAB):
                taps = first, min(first + SLAB, depth)
                # The slab stays in the cache, so that filters which are used once need no copy of all of them in
                # another order.
                interleave(weight, slab, channel, o, depth, taps)
                add_taps((x, starts, span, pitch), slab, (out, numbers, o, channel, ones), taps, (begin, end))
