"""Gradients of weights in few bits a weight, with error feedback, in plain NumPy."""

from __future__ import annotations

import numpy as np

from ...checks import Float, Words
from ...lowbit.rounding import Rounding, magnitudes_of
from ..xnor import pack_signs, unpack_signs


def compress_gradient(grad: Float, rounding: Rounding, share: np.float32, error: Float, packed: Words) -> Float:
    """The units (O,); planes go to ``packed`` (O, 1 + planes, words), what is left to ``error`` (O, n).

    The highest level is ``share`` of the largest magnitude of a filter.
    """
    error += grad
    unit, factor = rounding.scales(np.abs(error).max(axis=1, initial=0) * share)
    levels = magnitudes_of(error, factor[:, None], np.float32(0.5), np.float32(rounding.top))
    pack_signs(error, packed[:, 0])
    for plane in range(rounding.planes):
        pack_signs(-(levels >> plane & 1).astype(np.float32), packed[:, 1 + plane])
    rounded = np.empty_like(error)
    expand_gradient(packed, unit, rounded)
    error -= rounded
    return unit


def expand_gradient(packed: Words, unit: Float, grad: Float) -> None:
    """``grad`` (O, n) of planes (O, 1 + planes, words)."""
    signs, bit, level = np.empty_like(grad), np.empty_like(grad), np.zeros_like(grad)
    unpack_signs(packed[:, 0], signs)
    for plane in range(1, packed.shape[1]):
        unpack_signs(packed[:, plane], bit)
        level += (bit < 0) * np.float32(1 << (plane - 1))
    grad[...] = signs * (level * unit[:, None])
