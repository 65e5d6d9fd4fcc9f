"""The steps of one binary layer on one image as arrays (arXiv:1603.05279, sections 3.1 and 3.2).

The values come from the kernels that networks use; :mod:`binnet.lab.trace.checks` compares them with independent ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float, Ints, Window, Words, floats

from .layer import Layer


@dataclass(frozen=True, eq=False)
class Trace:
    """The steps from the input of a binary layer to its output, and the convolution that they approximate.

    Arrays have no batch axis. H, W and C are rows, columns and channels of the input, OH and OW of the output, O is
    the number of filters, KH x KW the window. A tap is one place of the window; its C signs fill ``words`` words.

    Attributes
    ----------
    layer : Layer
        The traced layer.
    x : float32 (H, W, C)
        I, the real input.
    mean_abs_x : float32 (H, W)
        A, the mean of |I| over channels.
    K : float32 (OH, OW)
        A * k, the mean of |I| under the window, a zero border included (Eq. 11).
    sign_x : float32 (H, W, C)
        sign(I), +1 or -1; sign(0) = +1.
    x_words, weight_words : uint64 (H, W, words), (O, KH, KW, words)
        The signs as bits, 1 for -1, lowest bit first; the tail bits of the last word of a tap are 0.
    differing : int32 (OH, OW, O)
        popcount of window XOR filter. Taps on a border of value 0 count as +1 here.
    border : int32 (OH, OW, O)
        Correction for those taps, the sum of sign(W) over them; 0 elsewhere.
    dots : int32 (OH, OW, O)
        n - 2 differing - border, the convolution of signs with signs.
    y : float32 (OH, OW, O)
        dots times K alpha, the right side of Eq. 11.
    conv : float32 (OH, OW, O)
        I * W in floats, the left side of Eq. 11; I * (alpha B) where the real W is not known.
    """

    layer: Layer
    x: Float
    mean_abs_x: Float
    K: Float
    sign_x: Float
    x_words: Words
    weight_words: Words
    differing: Ints
    border: Ints
    dots: Ints
    y: Float
    conv: Float

    @property
    def n(self) -> int:
        """Number of signs in a dot product: taps times channels."""
        return int(self.layer.weight_sign[0].size)

    @property
    def words(self) -> int:
        """Number of words per tap."""
        return int(self.x_words.shape[-1])

    @property
    def y_without_k(self) -> Float:
        """dots times alpha, float32 (OH, OW, O): the output of networks that leave K out."""
        y: Float = self.dots.astype(np.float32) * self.layer.alpha
        return y

    @property
    def weight_hat(self) -> Float:
        """alpha sign(W), float32 (O, KH, KW, C) (Eq. 1)."""
        return bk.weight_hat(self.layer.weight_sign, self.layer.alpha)


def trace_layer(x: Any, layer: Layer) -> Trace:
    """Compute all steps of a layer on one input.

    Parameters
    ----------
    x : array (H, W, C) of real numbers
        The input I of the layer.
    layer : Layer
        The layer, whose weights have C channels.

    Raises
    ------
    TypeError, ValueError
        When ``x`` is not such an array, does not have the channels of the weights, or is smaller than the window.
    """
    x = floats(x, "x", 3)
    window, one = layer.window, np.ones((1, 1, 1, 1), np.float32)
    K = bk.scale_map(x[None], window.size, window.stride, window.padding)[0, :, :, 0]
    mean_abs_x = bk.scale_map(x[None], one.shape[1:3])[0, :, :, 0]  # with a window of one pixel, K equals A
    x_words, weight_words = bk.pack_signs(x), bk.pack_signs(layer.weight_sign)
    differing = count_differing(windows_of(x_words, layer), weight_words)
    border = border_sums(x.shape[:2], layer)
    # Of n products, `differing` are -1 and the others +1: n - 2 differing. The border was counted as +1.
    dots = np.int32(layer.weight_sign[0].size) - 2 * differing - border
    y = dots.astype(np.float32) * layer.alpha * K[:, :, None]
    weight = layer.weight if layer.weight is not None else bk.weight_hat(layer.weight_sign, layer.alpha)
    conv = bk.conv2d(x[None], weight, window.stride, window.padding)[0]
    return Trace(layer, x, mean_abs_x, K, bk.sign(x), x_words, weight_words, differing, border, dots, y, conv)


def windows_of(x_words: Words, layer: Layer) -> Words:
    """The words under the window of each output pixel, uint64 (OH, OW, KH, KW, words); a border of 0 packs as +1."""
    (ph, pw), c = layer.window.padding, layer.weight_sign.shape[3]
    h, w, words = x_words.shape
    padded = np.empty((h + 2 * ph, w + 2 * pw, words), np.uint64)
    padded[...] = bk.pack_signs(np.full(c, layer.pad_value, np.float32))
    padded[ph : ph + h, pw : pw + w] = x_words
    return np.ascontiguousarray(_slide(padded, layer.window))


def count_differing(windows: Words, weight_words: Words) -> Ints:
    """popcount(window XOR filter) for each output pixel and filter, int32 (OH, OW, O)."""
    rows, filters = windows.reshape(-1, windows[0, 0].size), weight_words.reshape(len(weight_words), -1)
    # Tail bits are 0 in both operands and never differ, so n can include them: differing = (n - dot) / 2.
    bits = 64 * rows.shape[1]
    dots = bk.xnor_gemm(rows, filters, bits).reshape(*windows.shape[:2], len(filters))
    differing: Ints = (bits - dots) // 2
    return differing


def border_sums(size: tuple[int, ...], layer: Layer) -> Ints:
    """Sum of sign(W) over the taps on a border of value 0, int32 (OH, OW, O), for an image of size (H, W)."""
    (ph, pw), (h, w), window = layer.window.padding, size, layer.window
    outside = np.full((1, h + 2 * ph, w + 2 * pw, 1), layer.pad_value == 0, np.float32)
    outside[:, ph : ph + h, pw : pw + w] = 0
    # A convolution of the border's mask with the sums of sign(W) over channels adds them up for each window.
    tap_sums = layer.weight_sign.sum(axis=3, keepdims=True)
    sums: Ints = bk.conv2d(outside, tap_sums, window.stride)[0].astype(np.int32)
    return sums


def _slide(padded: Words, window: Window) -> Words:
    view = np.lib.stride_tricks.sliding_window_view(padded, window.size, axis=(0, 1))
    every: Words = view[:: window.stride[0], :: window.stride[1]].transpose(0, 1, 3, 4, 2)
    return every
