"""float32 convolution and its two gradients, by the same register tile as the binary one: no BLAS, no im2col."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from . import checks
from ._jit import kernel
from .checks import Float, Pair, Window
from .epilogue import load_sums, store_sums
from .geometry import padded, sliding
from .tile import CHANNELS, CHUNK, FLOAT_ROWS, float_starts, multiply_add, multiply_add_first, no_sums

_PIXELS = 128  # of x and grad that stay in the cache while all tiles of a weight gradient pass over them


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
        self._weight = _blocks(len(weight), weight.size // max(len(weight), 1))
        if self._weight.size:
            _interleave(weight.ravel(), self._weight, len(weight), weight[0].size)

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Images (N, H, W, C) of real numbers to float32 (N, OH, OW, O), written to ``out`` when given."""
        x = checks.floats(x, "x", 4)
        checks.same_channels(x, self.shape)
        return _run(x, self._weight, self.shape[0], self.window, out)


def _blocks(o: int, depth: int) -> Float:
    """Room for filters in the order that a tile reads them."""
    return np.empty(-(-o // CHANNELS) * CHANNELS * depth, np.float32)


def _run(x: Float, blocks: Float, o: int, window: Window, out: Any = None) -> Float:
    """Convolve with ``o`` filters that lie in blocks."""
    walk = sliding(x.shape, window)
    y = checks.output(out, (walk.n, walk.oh, walk.ow, o))
    if y.size:
        ones = np.ones(o + CHANNELS, np.float32)
        sizes = (walk.pixels, o, walk.rows, walk.span, walk.pitch)
        _convolve(padded(x, window), walk.starts, blocks, ones, y.ravel(), *sizes)
    return y


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
    return Conv2d(weight, stride, padding)(x, out)


def conv2d_grad_input(grad: Any, weight: Any, x_shape: tuple[int, ...], stride: Pair = 1, padding: Pair = 0) -> Float:
    """Gradient of :func:`conv2d` with respect to its input.

    Parameters
    ----------
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight : array (O, KH, KW, C) of real numbers
    x_shape : (N, H, W, C)
    stride, padding : int or pair of ints
        Those of the convolution.

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
    if window.stride == (1, 1):
        return _grad_input(grad, weight, x_shape, window.padding)
    # Rows y of x with one remainder of (y + ph) / sh meet the same taps r = a, a + sh, ... and make a convolution of
    # stride 1 with those: no multiplication by the zeros that a strided gradient would have between its pixels.
    grad_x = np.zeros(x_shape, np.float32)
    (sh, sw), (ph, pw) = window.stride, window.padding
    for a in range(min(sh, weight.shape[1])):
        for b in range(min(sw, weight.shape[2])):
            top, left = max(-((a - ph) // sh), 0), max(-((b - pw) // sw), 0)
            part = grad_x[:, top * sh + a - ph :: sh, left * sw + b - pw :: sw]
            taps = np.ascontiguousarray(weight[:, a::sh, b::sw])
            if part.size:
                part[...] = _grad_input(grad, taps, part.shape, (top, left))
    return grad_x


def _grad_input(grad: Float, weight: Float, x_shape: tuple[int, ...], padding: tuple[int, int]) -> Float:
    """Gradient of a convolution of stride 1 with respect to its input, ``x_shape`` of it from ``-padding`` on.

    It is the convolution of the gradient, with a border of the filter's reach, with the filters turned round.
    """
    o, kh, kw, c = weight.shape
    (n, h, w, _), (oh, ow) = x_shape, grad.shape[1:3]
    blocks = _blocks(c, o * kh * kw)
    if blocks.size:
        _interleave_turned(weight.ravel(), blocks, o, kh * kw, c)
    (top, left), one = (kh - 1 - padding[0], kw - 1 - padding[1]), Window.of((kh, kw), 1, 0)
    if (kh, kw, oh, ow) == (1, 1, h, w) and (top, left) == (0, 0):
        return _run(grad, blocks, c, one)
    bordered = np.zeros((n, h + kh - 1, w + kw - 1, o), np.float32)
    rows, cols = slice(max(top, 0), max(top + oh, 0)), slice(max(left, 0), max(left + ow, 0))
    target = bordered[:, rows, cols]
    source = grad[:, max(-top, 0) :, max(-left, 0) :]
    target[...] = source[:, : target.shape[1], : target.shape[2]]
    return _run(bordered, blocks, c, one)


def conv2d_grad_weight(x: Any, grad: Any, weight_shape: tuple[int, ...], stride: Pair = 1, padding: Pair = 0) -> Float:
    """Gradient of :func:`conv2d` with respect to its weights.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight_shape : (O, KH, KW, C)
    stride, padding : int or pair of ints
        Those of the convolution.

    Returns
    -------
    float32 (O, KH, KW, C)
        Summed in an order that depends on the shapes alone: the same bits for any number of threads.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others.
    """
    x = checks.floats(x, "x", 4)
    window = Window.of(weight_shape[1:3], stride, padding)
    grad = checks.conv_grad(grad, x.shape, weight_shape, window)
    o, depth = weight_shape[0], int(np.prod(weight_shape[1:]))
    if not (grad.size and x.size and depth):
        return np.zeros(weight_shape, np.float32)
    walk = sliding(x.shape, window)
    taps = (np.arange(walk.rows)[:, None] * walk.pitch + np.arange(walk.span)).ravel()
    taps = np.pad(taps, (0, -depth % FLOAT_ROWS), mode="edge")
    # Few large gradients share the work by taps; small ones also by slices of the pixels, summed afterwards in order.
    slices = int(np.clip(walk.pixels // (4 * _PIXELS), 1, 8))
    groups = max(1, min(16 // slices, len(taps) // FLOAT_ROWS))
    partial = np.zeros((slices, depth, o), np.float32)
    sizes = (walk.pixels, depth, o, slices, groups)
    _outer_sums(
        padded(x, window),
        walk.starts,
        taps,
        grad.ravel(),
        np.ones(o + CHANNELS, np.float32),
        partial.ravel(),
        *sizes,
    )
    grad_weight = np.empty(weight_shape, np.float32)
    _add_slices(partial.ravel(), grad_weight.ravel(), slices, depth, o)
    return grad_weight


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _interleave(weight, blocks, o, depth):
    """Filters (O, depth) in the order a tile reads them: block by block, tap by tap, all channels of the block."""
    for block in prange((o + CHANNELS - 1) // CHANNELS):
        for i in range(depth):
            for lane in range(CHANNELS):
                channel = block * CHANNELS + lane
                value = weight[channel * depth + i] if channel < o else np.float32(0)
                blocks[(block * depth + i) * CHANNELS + lane] = value


@kernel
def _interleave_turned(weight, blocks, o, taps, c):
    """Filters (O, taps, C) for the gradient of the input: taps turned round, C in the place of O."""
    for block in prange((c + CHANNELS - 1) // CHANNELS):
        for tap in range(taps):
            for channel in range(o):
                source = (channel * taps + taps - 1 - tap) * c + block * CHANNELS
                target = ((block * taps + tap) * o + channel) * CHANNELS
                for lane in range(CHANNELS):
                    inside = block * CHANNELS + lane < c
                    blocks[target + lane] = weight[source + lane] if inside else np.float32(0)


@kernel
def _convolve(x, starts, weight, scale, out, pixels, filters, rows, span, pitch):
    tiles = (pixels + FLOAT_ROWS - 1) // FLOAT_ROWS
    blocks = (filters + CHANNELS - 1) // CHANNELS
    chunks = (tiles + CHUNK - 1) // CHUNK
    for item in prange(chunks * blocks):
        channel = item % blocks * CHANNELS
        for tile in range(item // blocks * tiles // chunks, (item // blocks + 1) * tiles // chunks):
            first, place = tile * FLOAT_ROWS, channel * rows * span
            start, sums = float_starts(starts, first), no_sums()
            for r in range(rows):
                for i in range(span):
                    sums = multiply_add(sums, x, start, r * pitch + i, weight, place)
                    place += CHANNELS
            store_sums(sums, out, first, pixels - 1, filters, channel, scale)


@kernel
def _outer_sums(x, starts, taps, grad, ones, out, pixels, depth, filters, slices, groups):
    """``out[slice, tap, o] = sum over the slice's pixels q of x[starts[q] + taps[tap]] * grad[q, o]``."""
    tiles = (depth + FLOAT_ROWS - 1) // FLOAT_ROWS
    share = (pixels + slices - 1) // slices
    for item in prange(slices * groups):
        part, group = item // groups, item % groups
        end = min((part + 1) * share, pixels)
        target = out[part * depth * filters : (part + 1) * depth * filters]
        for chunk in range(part * share, end, _PIXELS):
            for channel in range(0, filters, CHANNELS):
                for tile in range(group * tiles // groups, (group + 1) * tiles // groups):
                    first = tile * FLOAT_ROWS
                    tap = float_starts(taps, first)
                    sums = load_sums(target, first, depth - 1, filters, channel)
                    for q in range(chunk, min(chunk + _PIXELS, end)):
                        sums = multiply_add_first(
                            sums, x, tap, starts[q], grad, q * filters + channel, filters - channel
                        )
                    store_sums(sums, target, first, depth - 1, filters, channel, ones)


@kernel
def _add_slices(partial, total, slices, depth, filters):
    """``total[o, tap] = sum over slices of partial[slice, tap, o]``, a cache line of filters at a time."""
    for block in prange((filters + 15) // 16):
        for tap in range(depth):
            for o in range(16 * block, min(16 * block + 16, filters)):
                value = partial[tap * filters + o]
                for part in range(1, slices):
                    value += partial[(part * depth + tap) * filters + o]
                total[o * depth + tap] = value
