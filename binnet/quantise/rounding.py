"""Whole numbers for real ones, with the least squared error: the range of an input, and the weights of a layer."""

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
TRIED = 1 << 17  # values that ranges are tried on
LEAST_STEP, MOST_STEP = 2.0**-100, 2.0**100  # both have reciprocals in float32
DAMPING = 0.01  # of the mean square of an input, added to that of each: correlations of few windows are uncertain
MOST_TAPS = 1024  # weights of a filter whose errors are fed back: a matrix of their square is inverted


def input_range(sample: Float) -> tuple[float, int, float]:
    """Step and zero of whole numbers 0..255 for values like those of a sample.

    The zero is 0 where no value is negative, so that the whole range is used.

    Parameters
    ----------
    sample : float32, any shape
        Values that are not finite are left out.

    Returns
    -------
    step, zero
        As in :class:`binnet.graph.QuantiseLinear`.
    error : float
        Relative error, the root of Σ (x - x̂)² / Σ x².
    """
    x = sample.ravel()
    x = x[np.isfinite(x)]
    low, high = min(0.0, float(x.min(initial=0))), max(0.0, float(x.max(initial=0)))
    if low == high:
        return 1.0, 0, 0.0
    x = np.random.default_rng(0).choice(x, TRIED) if x.size > TRIED else x
    found = (_range(x, share * low, share * high) for share in INPUT_SHARES)
    step, zero, square = min(found, key=lambda each: each[2])
    return step, zero, float(_ratio(square, np.square(x, dtype=np.float64).sum()) ** 0.5)


def _range(x: Float, low: float, high: float) -> tuple[float, int, float]:
    """Step and zero of a range, and the sum of squared errors with them."""
    step = float(np.float32(np.clip((high - low) / MOST, LEAST_STEP, MOST_STEP)))
    zero = min(round(-low / step), MOST)
    q = QuantiseLinear("q", ("x",), step, zero).compute(x)
    errors = x - (q.astype(np.float64) - zero) * step
    return step, zero, float(errors @ errors)


def whole_weights(weight: Float64, windows: Float64) -> tuple[npt.NDArray[np.int8], Float64, float]:
    """Weights (O, ...) as whole numbers from -127 to 127, with a scale for each filter.

    First the step of each filter has the least squared error of its weights. Then the weights are rounded one after the
    other, and the error of each is made up for by those that follow, as far as their inputs are correlated
    (arXiv:2210.17323). Last the scale is fitted, so that it has the least squared error of the filter's sums.

    Parameters
    ----------
    weight : float64 (O, ...)
    windows : float64 (n, ...)
        Samples of what the filters read.

    Returns
    -------
    q : int8 (O, ...)
    scale : float64 (O,)
        Above 0.
    error : float
        Relative error of the sums over these windows, the root of Σ (y - ŷ)² / Σ y².
    """
    rows = weight.reshape(len(weight), -1)
    x = windows[np.isfinite(windows).all(axis=1)]
    steps = np.array([_step(row) for row in rows])
    q = _fed_back(rows / steps[:, None], x) if rows.shape[1] <= MOST_TAPS else _whole(rows / steps[:, None])
    sums, whole = x @ rows.T, x @ q.T
    fitted = _ratio((sums * whole).sum(axis=0), (whole * whole).sum(axis=0))
    scale = np.where(fitted > 0, fitted, steps)  # a filter of zeros has no other
    error = _ratio(np.square(sums - whole * scale).sum(), np.square(sums).sum()) ** 0.5
    return q.astype(np.int8).reshape(weight.shape), scale, float(error)


def _step(row: Float64) -> float:
    """The distance of whole numbers with the least squared error for one filter (n,); 1 for a filter of zeros."""
    most = np.abs(row).max()
    if most == 0:
        return 1.0
    steps = WEIGHT_SHARES * (most / MOST_WEIGHT)
    errors = [float(np.square(row - _whole(row / step) * step).sum()) for step in steps]
    return float(steps[np.argmin(errors)])


def _fed_back(rows: Float64, x: Float64) -> Float64:
    """Rows (O, n) as whole numbers, where later columns make up for the errors of earlier ones on windows (m, n)."""
    moment = x.T @ x
    added = DAMPING * np.trace(moment) / len(moment)
    if not added > 0:  # nothing but zeros, or no window
        return _whole(rows)
    moment[np.diag_indices_from(moment)] += added
    # Row i of this factor of the inverse has what an error in column i asks of the columns from i on.
    upper = np.linalg.cholesky(np.linalg.inv(moment)).T
    left, q = rows.copy(), np.empty_like(rows)
    for i in range(rows.shape[1]):
        q[:, i] = _whole(left[:, i])
        left[:, i:] -= ((left[:, i] - q[:, i]) / upper[i, i])[:, None] * upper[i, i:]
    return q


def _whole(x: Float64) -> Float64:
    return np.clip(np.rint(x), -MOST_WEIGHT, MOST_WEIGHT)


def _ratio(a: Any, b: Any) -> Any:
    """``a / b``, or 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(np.asarray(b, np.float64)), where=np.asarray(b) != 0)[()]
