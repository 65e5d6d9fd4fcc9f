"""Maps of levels as planes of bits, in plain NumPy."""

from __future__ import annotations

import numpy as np

from ...checks import Affine, Float, Halves, Window
from ..conv import correlate
from ..maps import normalise
from ..xnor import half_words, signs
from .levels import level_codes
from .maps import whole_of_map


def level_planes(x: Float, padding: tuple[int, int], pad_value: int, planes: Halves, within: Halves) -> None:
    """``planes`` (m, ...) of the levels q_m(x) with their border; ``within`` as :func:`xnor.signs` writes it."""
    codes = level_codes(x, len(planes))
    for i, plane in enumerate(planes):
        # The sign of -1 is a bit of 1; what is within 1 is that of x, and written last.
        signs(np.where(codes >> i & 1, np.float32(-1), np.float32(1)), padding, pad_value, plane, within)
    within[...] = half_words(np.abs(x) <= 1)


def norm_level_planes(
    x: Float, affine: Affine, padding: tuple[int, int], pad_value: int, planes: Halves, within: Halves
) -> None:
    """The same of a normalised ``x``."""
    y = np.empty_like(x)
    normalise(x, affine, y)
    level_planes(y, padding, pad_value, planes, within)


def level_grad_weight(
    planes: Halves,
    grad: Float,
    x_shape: tuple[int, ...],
    window: Window,
    pad_value: int,
    cuts: tuple[int, ...],
    out: Float,
) -> None:
    """``out`` (O, KH, KW, C): sums over pixels of gradient times level."""
    levels = whole_of_map(planes, x_shape, window, pad_value) / (2 ** len(planes) - 1)
    correlate(levels.astype(np.float32), grad, window, cuts, out)
