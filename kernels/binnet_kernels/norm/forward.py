"""Batch normalisation over the last axis, and what follows it in one pass: ReLU or signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..backend import PACKING, Late, front_door, in_numpy
from ..checks import Affine, Doubles, Float, Halves, Pair

if TYPE_CHECKING:
    from ..compiled import sign_maps
    from ..compiled.forward import norm as compiled
    from ..reference import maps as reference
else:
    reference = Late("binnet_kernels.reference.maps")
    compiled = Late("binnet_kernels.compiled.forward.norm")
    sign_maps = Late("binnet_kernels.compiled.sign_maps")


@front_door(PACKING)
def batch_statistics(x: Any) -> tuple[Float, Float]:
    """Mean and variance of each channel, in one pass.

    Parameters
    ----------
    x : array (..., C) of real numbers, at least one row

    Returns
    -------
    mean, var : float32 (C,)
        The variance is the biased one. Sums are in float64, of differences from the first row: exact enough for
        large means and many rows.

    Raises
    ------
    TypeError, ValueError
        When ``x`` has the wrong type or shape, or is empty.
    """
    (x,) = channels(x)
    check_not_empty(x)
    mean, var = (np.empty(x.shape[-1], np.float32) for _ in range(2))
    (reference.batch_statistics if in_numpy() else compiled.batch_statistics)(x, mean, var)
    return mean, var


@front_door(PACKING)
def batch_moments(x: Any) -> tuple[Doubles, Doubles]:
    """Mean of each channel and sum of squared distances from it, in one pass: what combines over parts of a batch.

    The mean and the sum of two parts follow from theirs (Chan, Golub & LeVeque 1979), without a second pass.

    Parameters
    ----------
    x : array (..., C) of real numbers

    Returns
    -------
    mean, square : float64 (C,)
        ``square / rows`` is the biased variance. Both are 0 when ``x`` has no rows.

    Raises
    ------
    TypeError, ValueError
        When ``x`` has the wrong type or shape.
    """
    (x,) = channels(x)
    mean, square = (np.zeros(x.shape[-1]) for _ in range(2))
    if x.size:
        (reference.batch_moments if in_numpy() else compiled.batch_moments)(x, mean, square)
    return mean, square


@front_door(PACKING)
def batch_norm(x: Any, gamma: Any, beta: Any, eps: float = 1e-5, out: Any = None) -> tuple[Float, Float, Float]:
    """Normalise each channel by the mean and variance of this batch.

    Parameters
    ----------
    x : array (..., C) of real numbers, at least one row
    gamma, beta : array (C,)
        Scale and shift after normalisation.
    eps : float
        Added to the variance.
    out : float32 (..., C), C-contiguous, optional
        Where to write ``y``; it may be ``x`` itself.

    Returns
    -------
    y : float32 (..., C)
        ``(x - mean) * (gamma / sqrt(var + eps)) + beta``
    mean, var : float32 (C,)
        Of this batch; the variance is the biased one.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or ``x`` is empty.
    """
    x, gamma, beta = channels(x, gamma=gamma, beta=beta)
    mean, var = batch_statistics(x)
    return batch_norm_inference(x, gamma, beta, mean, var, eps, out), mean, var


@front_door(PACKING)
def batch_norm_inference(
    x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float = 1e-5, out: Any = None
) -> Float:
    """Normalise each channel by a given mean and variance: float32 (..., C), see :func:`batch_norm`."""
    x, affine = normalisation(x, gamma, beta, mean, var, eps)
    y = checks.output(out, x.shape)
    (reference.normalise if in_numpy() else compiled.normalise)(x, affine, y)
    return y


@front_door(PACKING)
def norm_relu(
    x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float = 1e-5, out: Any = None
) -> tuple[Float, Halves]:
    """Normalisation and ReLU in one pass; also returns a bit per value: 1 where the gradient passes.

    :func:`norm_signs_grad` is the gradient of this too.

    Parameters
    ----------
    x : array (..., C) of real numbers
    gamma, beta, mean, var, eps, out
        As in :func:`batch_norm_inference`.

    Returns
    -------
    y : float32 (..., C)
    passed : uint32 (..., ceil(C / 32))
        1 where y > 0, the least significant bit first; unused bits are 0.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    x, affine = normalisation(x, gamma, beta, mean, var, eps)
    y, passed = checks.output(out, x.shape), np.empty(checks.halves_shape(x.shape), np.uint32)
    (reference.norm_relu if in_numpy() else compiled.norm_relu)(x, affine, y, passed)
    return y, passed


@front_door(PACKING)
def norm_signs(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    eps: float = 1e-5,
    padding: Pair = 0,
    pad_value: int = 0,
) -> tuple[Halves, Halves]:
    """:func:`signs` of :func:`batch_norm_inference`, with the same roundings, in one pass over ``x``.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    gamma, beta, mean, var : array (C,)
        As in :func:`batch_norm_inference`; in training ``mean`` and ``var`` are the :func:`batch_statistics` of ``x``.
    eps : float
    padding, pad_value
        As in :func:`signs`.

    Returns
    -------
    bits, within
        As from :func:`signs`.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    x, affine = normalisation(checks.floats(x, "x", 4), gamma, beta, mean, var, eps)
    border, pad_value = checks.pair(padding, "padding", 0), checks.pad_value(pad_value)
    bits, within = checks.sign_maps(x.shape, border)
    (reference.norm_signs if in_numpy() else sign_maps.norm_signs)(x, affine, border, pad_value, bits, within)
    return bits, within


def channels(x: Any, **vectors: Any) -> tuple[Float, ...]:
    """``x`` (..., C) and vectors (C,) that belong to its last axis."""
    x = checks.floats(x, "x")
    if x.ndim < 2:
        raise ValueError(f"x must be (..., C) with at least 2 dimensions, got shape {x.shape}")
    return x, *(checks.floats(v, name, shape=(x.shape[-1],)) for name, v in vectors.items())


def normalisation(x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float) -> tuple[Float, Affine]:
    """Checked ``x`` (..., C), and the triple (mean, factor, shift) of its channels."""
    x, gamma, beta, mean, var = channels(x, gamma=gamma, beta=beta, mean=mean, var=var)
    return x, (mean, gamma / np.sqrt(var + np.float32(eps)), beta)


def check_not_empty(x: Float) -> None:
    """Means are taken over at least one row and channel."""
    if x.size == 0:
        raise ValueError(f"x must hold at least one row and one channel, got shape {x.shape}")
