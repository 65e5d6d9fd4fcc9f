"""float32 convolution and its two gradients, by the same register tile as the binary one: no BLAS, no im2col."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import checks
from ..checks import Float, Pair, Window
from ..simd.geometry import Sliding, aligned, padded, sliding
from ..simd.jit import kernel
from ..simd.threads import get_num_threads
from ..simd.tile import CHANNELS
from .backward.grad_input import grad_input
from .backward.grad_weight import grad_weight
from .forward.blocks import SLAB, add_taps, interleave, parts_of, room, share


class Conv2d:
    """A float32 convolution prepared for one set of weights, to call many times.

    Parameters
    ----------
    weight : array (O, KH, KW, C) of real numbers
    stride, padding : int or pair of ints
        Vertical and horizontal; the border is zero.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(self, weight: Any, stride: Pair = 1, padding: Pair = 0) -> None:
        weight = checks.floats(weight, "weight", 4)
        self.window = Window.of(weight.shape[1:3], stride, padding)
        self.shape = weight.shape
        o, depth = len(weight), int(np.prod(weight.shape[1:]))
        self._blocks = aligned(-(-o // CHANNELS) * CHANNELS * depth)
        if self._blocks.size:
            _interleave(weight.ravel(), self._blocks, o, depth)

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Images (N, H, W, C) of real numbers to float32 (N, OH, OW, O), written to ``out`` when given."""
        x = checks.floats(x, "x", 4)
        checks.same_channels(x, self.shape)
        walk, y = _walk_and_output(x, self.shape[0], self.window, out)
        if not self._blocks.size:
            y[...] = 0
        elif y.size:
            # The tile is written with a scale, which real weights do not have.
            ones = np.ones(y.shape[3] + CHANNELS, np.float32)
            sizes = (walk.pixels, y.shape[3], walk.rows, walk.span, walk.pitch)
            _convolve(padded(x, self.window), walk.starts, walk.numbers, self._blocks, ones, y.ravel(), *sizes)
        return y


def _walk_and_output(x: Float, o: int, window: Window, out: Any) -> tuple[Sliding, Float]:
    walk = sliding(x.shape, window)
    return walk, checks.output(out, (walk.n, walk.oh, walk.ow, o))


def conv2d(x: Any, weight: Any, stride: Pair = 1, padding: Pair = 0, out: Any = None) -> Float:
    """float32 convolution (cross-correlation) with a zero border.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    weight : array (O, KH, KW, C) of real numbers
    stride, padding : int or pair of ints
        Vertical and horizontal; stride at least 1, padding at least 0.
    out : float32 (N, OH, OW, O), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (N, OH, OW, O)
        The same bits for any number of threads.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or the padded image is smaller than the filter.
    """
    weight, x = checks.floats(weight, "weight", 4), checks.floats(x, "x", 4)
    window = Window.of(weight.shape[1:3], stride, padding)
    checks.same_channels(x, weight.shape)
    walk, y = _walk_and_output(x, len(weight), window, out)
    if not weight.size:
        y[...] = 0
    elif y.size:
        workers, ones = get_num_threads(), np.ones(y.shape[3] + CHANNELS, np.float32)
        sizes = (walk.pixels, y.shape[3], walk.rows, walk.span, walk.pitch)
        tables = padded(x, window), walk.starts, walk.numbers
        _convolve_once(*tables, weight.ravel(), ones, room(workers), y.ravel(), *sizes, workers)
    return y


def conv2d_grad_input(
    grad: Any, weight: Any, x_shape: tuple[int, ...], stride: Pair = 1, padding: Pair = 0, out: Any = None
) -> Float:
    """Gradient of :func:`conv2d` with respect to its input.

    Parameters
    ----------
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight : array (O, KH, KW, C) of real numbers
    x_shape : (N, H, W, C)
    stride, padding : int or pair of ints
        Those of the convolution.
    out : float32 (N, H, W, C), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (N, H, W, C)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others.
    """
    weight = checks.floats(weight, "weight", 4)
    window = Window.of(weight.shape[1:3], stride, padding)
    grad = checks.conv_grad(grad, x_shape, weight.shape, window)
    grad_x = checks.output(out, tuple(x_shape))
    grad_input(grad, weight, window, grad_x)
    return grad_x


def conv2d_grad_weight(
    x: Any, grad: Any, weight_shape: tuple[int, ...], stride: Pair = 1, padding: Pair = 0, out: Any = None
) -> Float:
    """Gradient of :func:`conv2d` with respect to its weights.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight_shape : (O, KH, KW, C)
    stride, padding : int or pair of ints
        Those of the convolution.
    out : float32 (O, KH, KW, C), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (O, KH, KW, C)
        Summed in an order that depends on the shapes alone: the same bits for any number of threads. A gradient that
        is not finite spreads through its filter; places on a border of 0 are left out there, or not.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others.
    """
    x = checks.floats(x, "x", 4)
    window = Window.of(weight_shape[1:3], stride, padding)
    grad = checks.conv_grad(grad, x.shape, weight_shape, window)
    gradient = checks.output(out, tuple(weight_shape))
    grad_weight(x, grad, window, gradient)
    return gradient


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
    (tiles, chunks, blocks), depth = parts_of(pixels, o), rows * span
    for item in prange(chunks * blocks):
        chunk, channel = share(item // blocks, chunks, tiles), item % blocks * CHANNELS
        target = out, numbers, o, channel, ones
        add_taps((x, starts, span, pitch), (weight, channel * depth), target, (0, depth), chunk)


@kernel
def _convolve_once(x, starts, numbers, weight, ones, scratch, out, pixels, o, rows, span, pitch, workers):
    """With filters (O, depth), put in order a slab at a time."""
    (tiles, chunks, blocks), depth = parts_of(pixels, o), rows * span
    for worker in prange(workers):
        slab, (begin, end) = (scratch, worker * SLAB * CHANNELS), share(worker, workers, chunks * blocks)
        for item in range(begin, end):
            chunk, channel = share(item // blocks, chunks, tiles), item % blocks * CHANNELS
            for first in range(0, depth, SLAB):
                taps = first, min(first + SLAB, depth)
                # The slab stays in the cache, so that filters which are used once need no copy of all of them in
                # another order.
                interleave(weight, slab, channel, o, depth, taps)
                add_taps((x, starts, span, pitch), slab, (out, numbers, o, channel, ones), taps, chunk)
