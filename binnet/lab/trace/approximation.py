"""Quality of the approximation of one array of maps by another: relative error and correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fit:
    """Quality of the approximation of maps (OH, OW, O), over all filters together and for each.

    Attributes
    ----------
    error : float
        Norm of the difference over the norm of the exact maps, at least 0; 1 is the error of maps of zeros.
    correlation : float
        Pearson's correlation in [-1, 1]; NaN where one of the maps is constant.
    errors, correlations : float64 (O,)
        The same for each filter.
    """

    error: float
    correlation: float
    errors: Doubles
    correlations: Doubles


def fit(approximation: Float, exact: Float) -> Fit:
    """Compare two arrays of maps, float32 (OH, OW, O) each; the sums are in float64."""
    a, b = (np.asarray(m, np.float64).reshape(-1, m.shape[-1]) for m in (approximation, exact))
    whole = (a.reshape(-1, 1), b.reshape(-1, 1))
    return Fit(float(_errors(*whole)[0]), float(_correlations(*whole)[0]), _errors(a, b), _correlations(a, b))


def _errors(a: Doubles, b: Doubles) -> Doubles:
    return _ratio(np.sqrt(((a - b) ** 2).sum(axis=0)), np.sqrt((b**2).sum(axis=0)))


def _correlations(a: Doubles, b: Doubles) -> Doubles:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return _ratio((a * b).sum(axis=0), np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0)))


def _ratio(above: Doubles, below: Doubles) -> Doubles:
    # NaN instead of a division by 0: a constant map has no correlation, and maps of zeros no relative error.
    nothing = np.full_like(above, np.nan)
    return np.divide(above, below, out=nothing, where=below > 0)
