"""Mean and standard deviation from counts of grey levels: exact, whatever the order of the images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def count_levels(pixels: NDArray[np.uint8]) -> Counts:
    """Count each grey level of each channel: uint8 (..., C) -> int64 (C, 256)."""
    return np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(pixels.shape[-1])])


def mean_std(counts: Counts) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of pixels scaled to [0, 1], computed in float64.

    Parameters
    ----------
    counts : int64 (C, 256), at least one pixel in each channel

    Returns
    -------
    mean, std : float32 (C,); a channel without any variation gets ``std`` 1, so that dividing by it is always possible
    """
    total = counts.sum(axis=1)
    levels = np.arange(256, dtype=np.float64) / 255.0
    mean = counts @ levels / total
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total
    std = np.where((counts > 0).sum(axis=1) > 1, np.sqrt(variance), 1.0)
    return mean.astype(np.float32), std.astype(np.float32)
