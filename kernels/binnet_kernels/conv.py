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
from .tile import FLOAT_CHANNELS, FLOAT_ROWS, float_starts, multiply_add, multiply_add_first, no_sums

_CHUNK = 256  # pixels of x and grad that stay in the cache while all tiles of a weight gradient pass over them


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
        o, depth = len(weight), weight[0].size if len(weight) else 0
        blocks = -(-o // FLOAT_CHANNELS)
        self._weight = np.empty(blocks * depth * FLOAT_CHANNELS, np.float32)
        self._ones = np.ones(blocks * FLOAT_CHANNELS, np.float32)
        if self._weight.size:
            _interleave(weight.ravel(), self._weight, o, depth)

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Images (N, H, W, C) of real numbers to float32 (N, OH, OW, O), written to ``out`` when given."""
        x = checks.floats(x, "x", 4)
        checks.same_channels(x, self.shape)
        walk, o = sliding(x.shape, self.window), self.shape[0]
        y = checks.output(out, (walk.n, walk.oh, walk.ow, o))
        if y.size:
            sizes = (walk.pixels, o, walk.rows, walk.span, walk.pitch)
            _convolve(padded(x, self.window), walk.starts, self._weight, self._ones, y.ravel(), *sizes)
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
    turned = np.ascontiguousarray(weight[:, ::-1, ::-1].transpose(3, 1, 2, 0))  # (C, KH, KW, O)
    return Conv2d(turned)(_spread_out(grad, x_shape, window))


def _spread_out(grad: Float, x_shape: tuple[int, ...], window: Window) -> Float:
    """The output gradient with zeros between its pixels (stride) and around them (filter), (N, H+KH-1, W+KW-1, O).

    Rows and columns that only ever met the border fall outside and are left out.
    """
    (kh, kw), (sh, sw), (ph, pw) = window.size, window.stride, window.padding
    n, oh, ow, o = grad.shape
    size = (x_shape[1] + kh - 1, x_shape[2] + kw - 1)
    if (kh, kw, sh, sw, ph, pw) == (1, 1, 1, 1, 0, 0):
        return grad
    rows, cols = np.arange(oh) * sh + kh - 1 - ph, np.arange(ow) * sw + kw - 1 - pw
    keep_rows, keep_cols = (rows >= 0) & (rows < size[0]), (cols >= 0) & (cols < size[1])
    spread = np.zeros((n, *size, o), np.float32)
    if keep_rows.any() and keep_cols.any():
        (r0, r1), (c0, c1) = rows[keep_rows][[0, -1]], cols[keep_cols][[0, -1]]
        spread[:, r0 : r1 + 1 : sh, c0 : c1 + 1 : sw] = grad[:, keep_rows][:, :, keep_cols]
    return spread


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
    slices = int(np.clip(walk.pixels // (4 * _CHUNK), 1, 8))
    groups = max(1, min(16 // slices, len(taps) // FLOAT_ROWS))
    partial = np.zeros((slices, depth, o), np.float32)
    sizes = (walk.pixels, depth, o, slices, groups)
    _outer_sums(
        padded(x, window),
        walk.starts,
        taps,
        grad.ravel(),
        np.ones(o + FLOAT_CHANNELS, np.float32),
        partial.ravel(),
        *sizes,
    )
    total = partial.sum(axis=0) if slices > 1 else partial[0]
    return np.ascontiguousarray(total.T).reshape(weight_shape)


# ---------------------------------------------------------------------------------------------- kernels


@kernel
def _interleave(weight, blocks, o, depth):
    """Filters (O, depth) in the order a tile reads them: block by block, tap by tap, all channels of the block."""
    for block in prange((o + FLOAT_CHANNELS - 1) // FLOAT_CHANNELS):
        for i in range(depth):
            for lane in range(FLOAT_CHANNELS):
                channel = block * FLOAT_CHANNELS + lane
                value = weight[channel * depth + i] if channel < o else np.float32(0)
                blocks[(block * depth + i) * FLOAT_CHANNELS + lane] = value


@kernel
def _convolve(x, starts, weight, scale, out, pixels, filters, rows, span, pitch):
    tiles = (pixels + FLOAT_ROWS - 1) // FLOAT_ROWS
    blocks = (filters + FLOAT_CHANNELS - 1) // FLOAT_CHANNELS
    for item in prange(blocks * tiles):
        block, first = item // tiles, item % tiles * FLOAT_ROWS
        channel = block * FLOAT_CHANNELS
        start, place = float_starts(starts, first), channel * rows * span
        sums = no_sums()
        for r in range(rows):
            for i in range(span):
                sums = multiply_add(sums, x, start, r * pitch + i, weight, place)
                place += FLOAT_CHANNELS
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
        for chunk in range(part * share, end, _CHUNK):
            for tile in range(group * tiles // groups, (group + 1) * tiles // groups):
                first = tile * FLOAT_ROWS
                tap = float_starts(taps, first)
                for channel in range(0, filters, FLOAT_CHANNELS):
                    sums = load_sums(target, first, depth - 1, filters, channel)
                    for q in range(chunk, min(chunk + _CHUNK, end)):
                        sums = multiply_add_first(
                            sums, x, tap, starts[q], grad, q * filters + channel, filters - channel
                        )
                    store_sums(sums, target, first, depth - 1, filters, channel, ones)
