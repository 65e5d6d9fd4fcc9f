"""Forms that return their result: for the themes without front doors, and gone with the last of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..checks import Float, Pair, Window, Words
from . import xnor


def pack_signs(x: Any) -> Words:
    x = checks.floats(np.atleast_1d(x), "x")
    words = np.empty((*x.shape[:-1], -(-x.shape[-1] // 64)), np.uint64)
    xnor.pack_signs(x, words)
    return words


def unpack_signs(words: Any, n: int) -> Float:
    words = checks.packed(words, n)
    x = np.empty((*words.shape[:-1], n), np.float32)
    xnor.unpack_signs(words, x)
    return x


def weight_alpha(weight: Any) -> Float:
    weight = checks.filters(weight)
    alpha = np.empty(len(weight), np.float32)
    xnor.weight_alpha(weight, alpha)
    return alpha


def scale_map(x: Float, size: Pair, stride: Pair, border: Pair) -> Float:
    window = Window.with_border(size, stride, border)
    K = np.empty((len(x), *window.output_size(*x.shape[1:3]), 1), np.float32)
    xnor.scale_map(x, window, K)
    return K
