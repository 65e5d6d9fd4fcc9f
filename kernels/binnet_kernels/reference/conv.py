"""The float convolution and the gradients of all convolutions in plain NumPy, one group of channels after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..checks import Float, Halves, Window, Words
from ..tree import add_parts
from .xnor import convolve, signs_of_map, unpack_signs


def conv2d(x: Float, weight: Float, window: Window, groups: int, y: Float) -> None:
    """``y`` (N, OH, OW, O) of images (N, H, W, C) and filters (O, KH, KW, C / groups)."""
    padded = window.bordered(x)
    for part, filters, result in zip(*_split(groups, (padded, 3), (weight, 0), (y, 3)), strict=True):
        result[...] = convolve(part, filters, window)


def conv2d_grad_input(grad: Float, weight: Float, window: Window, groups: int, grad_x: Float) -> None:
    """``grad_x`` (N, H, W, C) of a gradient (N, OH, OW, O) and filters (O, KH, KW, C / groups)."""
    for part, filters, result in zip(*_split(groups, (grad, 3), (weight, 0), (grad_x, 3)), strict=True):
        transposed(part, filters, window, result)


def transposed(grad: Float, weight: Float, window: Window, grad_x: Float) -> None:
    """The gradient of the images for one group: each tap sends it back to the pixels that it has read."""
    grad_x[...] = window.sum_over_taps(lambda r, s: grad @ weight[:, r, s], grad_x.shape)


def conv2d_grad_weight(
    x: Float, grad: Float, window: Window, groups: int, cuts: tuple[int, ...], grad_weight: Float
) -> None:
    """``grad_weight`` (O, KH, KW, C / groups) of images (N, H, W, C) and a gradient (N, OH, OW, O)."""
    padded = window.bordered(x)
    for part, of_output, result in zip(*_split(groups, (padded, 3), (grad, 3), (grad_weight, 0)), strict=True):
        correlate(part, of_output, window, cuts, result)


def correlate(padded: Float, grad: Float, window: Window, cuts: tuple[int, ...], grad_weight: Float) -> None:
    """The gradient of the filters of one group, from images with their border: the sum over micro-batches."""

    def sum_of(first: int, end: int) -> Float:
        patches = window.patches(padded[first:end])
        return np.tensordot(grad[first:end], patches, axes=([0, 1, 2], [0, 1, 2]))  # (O, C, KH, KW)

    grad_weight[...] = add_parts(cuts, sum_of).transpose(0, 2, 3, 1)


def _split(groups: int, *arrays: tuple[Float, int]) -> Iterator[list[Float]]:
    """Views of the groups of each array along its axis."""
    return (np.split(array, groups, axis) for array, axis in arrays)


class Conv2d:
    """A convolution with filters of its own."""

    def __init__(self, weight: Float, window: Window) -> None:
        self._weight, self._window = weight.copy(), window

    def __call__(self, x: Float, y: Float) -> None:
        """``y`` (N, OH, OW, O) of images (N, H, W, C)."""
        conv2d(x, self._weight, self._window, 1, y)


def sign_grad_weight(
    bits: Halves,
    grad: Float,
    x_shape: tuple[int, ...],
    window: Window,
    pad_value: int,
    cuts: tuple[int, ...],
    out: Float,
) -> None:
    """``out`` (O, KH, KW, C): the gradient of the weights, sums over pixels of gradient times sign."""
    correlate(signs_of_map(bits, x_shape, window, pad_value), grad, window, cuts, out)


def sign_grad_input(grad: Float, weight_signs: Words, alpha: Float, window: Window, out: Float) -> None:
    """``out`` (N, H, W, C): the gradient of the input, through W̃ = α sign(W)."""
    weight_hat = np.empty((*weight_signs.shape[:3], out.shape[3]), np.float32)
    unpack_signs(weight_signs, weight_hat)
    weight_hat *= alpha[:, None, None, None]
    transposed(grad, weight_hat, window, out)
