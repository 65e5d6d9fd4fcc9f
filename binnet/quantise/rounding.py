"""Whole numbers for real ones, with the least squared error: the range of an input, and the scale of each filter."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph import QuantiseLinear
from ..graph.graph import Float
from ..graph.int8 import MOST, MOST_WEIGHT

Float64 = npt.NDArray[np.float64]
# Shares of the largest magnitude that are tried as the end of a range: values beyond it are clipped, all others are
# rounded more finely. Maps have long tails, the weights of a filter do not.
INPUT_SHARES = np.linspace(0.2, 1, 41)
WEIGHT_SHARES = np.linspace(0.6, 1, 17)
LEAST_STEP, MOST_STEP = 2.0**-100, 2.0**100  # both have reciprocals in float32


def input_range(sample: Float) -> tuple[float, int, float]:
    """Step and zero of whole numbers 0..255 for values like those of a sample.

    The zero is 0 where no value is negative, so that the whole range is used.

    Parameters
    ----------
    sample : float32 (n,)
        Values that are not finite are left out.

    Returns
    -------
    step, zero
        As in :class:`binnet.graph.QuantiseLinear`.
    error : float
        Relative error, the root of Σ (x - x̂)² / Σ x².
    """
    x = sample[np.isfinite(sample)]
    low, high = min(0.0, float(x.min(initial=0))), max(0.0, float(x.max(initial=0)))
    if low == high:
        return 1.0, 0, 0.0
    found = (_range(x, share * low, share * high) for share in INPUT_SHARES)
    step, zero, square = min(found, key=lambda each: each[2])
    return step, zero, _relative(square, x)


def _range(x: Float, low: float, high: float) -> tuple[float, int, float]:
    """Step and zero of a range, and the sum of squared errors with them."""
    step = float(np.float32(np.clip((high - low) / MOST, LEAST_STEP, MOST_STEP)))
    zero = min(round(-low / step), MOST)
    q = QuantiseLinear("q", ("x",), step, zero).compute(x)
    errors = x - (q.astype(np.float64) - zero) * step
    return step, zero, float(errors @ errors)


def whole_weights(weight: Float64) -> tuple[npt.NDArray[np.int8], Float64, float]:
    """Weights (O, ...) as whole numbers from -127 to 127, with a scale for each filter.

    For whole numbers q the scale with the least squared error is ``Σ w q / Σ q²``.

    Returns
    -------
    q : int8 (O, ...)
    scale : float64 (O,)
        Above 0.
    error : float
        Relative error, the root of Σ (w - q scale)² / Σ w².
    """
    rows = weight.reshape(len(weight), -1)
    q, scale, square = np.zeros(rows.shape, np.int8), np.ones(len(rows)), 0.0
    for o, row in enumerate(rows):
        most = np.abs(row).max(initial=0)
        if most == 0:
            continue
        steps = WEIGHT_SHARES * (most / MOST_WEIGHT)
        tried = np.clip(np.rint(row / steps[:, None]), -MOST_WEIGHT, MOST_WEIGHT)  # one line for each step
        fitted = (tried @ row) / (tried * tried).sum(axis=1)  # never 0: the largest weight is at least 76
        errors = ((row - tried * fitted[:, None]) ** 2).sum(axis=1)
        best = int(errors.argmin())
        q[o], scale[o], square = tried[best], fitted[best], square + float(errors[best])
    return q.reshape(weight.shape), scale, _relative(square, rows)


def _relative(square: float, x: Any) -> float:
    values = np.asarray(x, np.float64).ravel()
    norm = float(values @ values)
    return (square / norm) ** 0.5 if norm else 0.0
