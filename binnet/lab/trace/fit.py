"""How well one map approximates another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fit:
    """The approximation of maps (OH, OW, O) by others, over all of them and for each filter.

    Attributes
    ----------
    error : float
        Norm of the difference over the norm of what is approximated; 0 is perfect, 1 as bad as a map of zeros.
    correlation : float
        Pearson's, -1 to 1; NaN where one of the maps is constant.
    errors, correlations : float64 (O,)
        The same for each filter.
    """

    error: float
    correlation: float
    errors: Doubles
    correlations: Doubles


def fit(approximation: Float, exact: Float) -> Fit:
    """Compare maps (OH, OW, O), in float64."""
    a, b = (np.asarray(m, np.float64).reshape(-1, m.shape[-1]) for m in (approximation, exact))
    whole = (a.reshape(-1, 1), b.reshape(-1, 1))
    return Fit(float(_errors(*whole)[0]), float(_correlations(*whole)[0]), _errors(a, b), _correlations(a, b))


def _errors(a: Doubles, b: Doubles) -> Doubles:
    return _ratio(np.sqrt(((a - b) ** 2).sum(axis=0)), np.sqrt((b**2).sum(axis=0)))


def _correlations(a: Doubles, b: Doubles) -> Doubles:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return _ratio((a * b).sum(axis=0), np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0)))


def _ratio(above: Doubles, below: Doubles) -> Doubles:
    nothing = np.full_like(above, np.nan)
    return np.divide(above, below, out=nothing, where=below > 0)
