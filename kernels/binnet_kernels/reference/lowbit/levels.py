"""Levels of several bits in plain NumPy (arXiv:1603.05279, end of section 3.2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...checks import Float, Words
from ...lowbit.weight_ranges import RANGES, stretch
from ..xnor import pack_signs, weight_alpha


def nearest_levels(x: Float, bits: int) -> Float:
    """q_k(x)."""
    levels = np.float32((1 << bits) - 1)
    within = np.where(np.isnan(x), np.float32(1), np.clip(x, np.float32(-1), np.float32(1)))
    between = np.floor(np.floor(within * levels) / 2)  # L x / 2 rounded down: half of L is added to round halves up
    return ((2 * between + 1) / levels).astype(np.float32)


def quantise_input(x: Float, bits: int, y: Float) -> None:
    """``y``: the level of each value."""
    y[...] = nearest_levels(x, bits)


def level_codes(x: Float, bits: int) -> npt.NDArray[np.int64]:
    """The code of the level of each value, counted from the top."""
    return np.rint((1 - nearest_levels(x, bits)) * ((1 << bits) - 1) / 2).astype(np.int64)


def pack_planes(x: Float, planes: Words) -> None:
    """``planes`` (k, ..., ceil(n / 64)) of the levels of an array (..., n)."""
    codes = level_codes(x, len(planes))
    for i, plane in enumerate(planes):
        pack_signs(np.where(codes >> i & 1, np.float32(-1), np.float32(1)), plane)


def filter_levels(weight: Float, bits: int) -> Float:
    """q_k(W / r) with the range of each filter."""
    ranges = np.empty(len(weight), np.float32)
    weight_alpha(weight, ranges)
    return levels_within(weight, ranges * np.float32(RANGES[bits - 1]), bits)


def levels_within(weight: Float, ranges: Float, bits: int) -> Float:
    """q_k(W / r) for a range r of each filter."""
    factor = stretch(ranges, bits).reshape(-1, *(1,) * (weight.ndim - 1))
    with np.errstate(invalid="ignore"):
        return nearest_levels(weight * factor, bits)


def weight_planes(weight: Float, planes: Words) -> None:
    """``planes`` (k, O, ..., ceil(C / 64)) of the levels of filters (O, ..., C)."""
    pack_planes(filter_levels(weight, len(planes)), planes)
