"""Gradients of batch normalisation, in one call or in two passes: sums over parts of a batch, then the gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..backend import PACKING, Late, front_door, in_numpy
from ..checks import Doubles, Float, Halves
from .forward import channels, check_not_empty

if TYPE_CHECKING:
    from ..compiled.forward import norm as compiled
    from ..reference import maps as reference
else:
    reference = Late("binnet_kernels.reference.maps")
    compiled = Late("binnet_kernels.compiled.forward.norm")


@front_door(PACKING)
def batch_norm_grad(
    grad: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float = 1e-5, out: Any = None
) -> tuple[Float, Float, Float]:
    """Gradients of :func:`batch_norm`, through the batch's mean and variance too.

    Parameters
    ----------
    grad, x : array (..., C) of real numbers
        Gradient of the output, and the input.
    gamma, mean, var : array (C,)
        As given to and returned by :func:`batch_norm`.
    eps : float
        As given there.
    out : float32 (..., C), C-contiguous, optional
        Where to write ``grad_x``; it may be ``grad`` itself.

    Returns
    -------
    grad_x : float32 (..., C)
    grad_gamma, grad_beta : float32 (C,)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or ``x`` is empty.
    """
    return _gradients(grad, None, x, gamma, mean, var, eps, out)


@front_door(PACKING)
def norm_signs_grad(
    grad: Any, within: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float = 1e-5, out: Any = None
) -> tuple[Float, Float, Float]:
    """Gradients of "normalise, take the sign" with the straight-through estimator (arXiv:1603.05279, section 3.1).

    Same as :func:`batch_norm_grad` with ``grad`` set to 0 where the bit of ``within`` is 0, but no masked array is
    made. Given the bits of :func:`norm_relu`, it is the gradient of :func:`norm_relu`.

    Parameters
    ----------
    grad : array (..., C) of real numbers
        Gradient of the signs.
    within : uint32 (..., ceil(C / 32))
        From :func:`norm_signs` or :func:`norm_relu`.
    x, gamma, mean, var, eps
        As given there.
    out : float32 (..., C), C-contiguous, optional
        Where to write; it may be ``grad`` itself.

    Returns
    -------
    grad_x : float32 (..., C)
    grad_gamma, grad_beta : float32 (C,)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or ``x`` is empty.
    """
    (x,) = channels(x)
    within = checks.half_words(within, "within", checks.halves_shape(x.shape))
    return _gradients(grad, within, x, gamma, mean, var, eps, out)


@front_door(PACKING)
def batch_norm_grad_sums(grad: Any, within: Any, x: Any, mean: Any) -> tuple[Doubles, Doubles]:
    """The two sums over rows that the gradients of a batch normalisation need; those of parts of a batch add up.

    Parameters
    ----------
    grad, x : array (..., C) of real numbers
        Gradient of the output, and the input.
    within : uint32 (..., ceil(C / 32)) or None
        ``grad`` counts where the bit is 1, as in :func:`norm_signs_grad`; None: everywhere.
    mean : array (C,)
        Of the whole batch.

    Returns
    -------
    total, product : float64 (C,)
        Sums of ``g`` and ``g (x - mean)``; 0 when ``x`` has no rows.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    x, mean = channels(x, mean=mean)
    grad, within = _passing(grad, within, x)
    if not x.size:
        return np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    return (reference.batch_norm_grad_sums if in_numpy() else compiled.batch_norm_grad_sums)(grad, within, x, mean)


@front_door(PACKING)
def batch_norm_grad_apply(
    grad: Any,
    within: Any,
    x: Any,
    gamma: Any,
    mean: Any,
    var: Any,
    sums: Any,
    rows: int,
    eps: float = 1e-5,
    out: Any = None,
) -> tuple[Float, Float, Float]:
    """Gradients of a batch normalisation for a part of a batch, given :func:`batch_norm_grad_sums` of the whole batch.

    With the sums and the number of rows of ``x`` itself this is :func:`batch_norm_grad` or :func:`norm_signs_grad`,
    bit for bit. No row of ``grad_x`` depends on the other rows of this call.

    Parameters
    ----------
    grad, within, x
        As in :func:`batch_norm_grad_sums`.
    gamma, mean, var, eps
        As in :func:`batch_norm_grad`, of the whole batch.
    sums : pair of float64 (C,)
    rows : int, at least 1
        Rows of the whole batch.
    out : float32 (..., C), C-contiguous, optional
        Where to write ``grad_x``; it may be ``grad`` itself.

    Returns
    -------
    grad_x : float32 (..., C)
    grad_gamma, grad_beta : float32 (C,)
        Of the whole batch.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    x, gamma, mean, var = channels(x, gamma=gamma, mean=mean, var=var)
    grad, within = _passing(grad, within, x)
    rows, both = checks.count(rows, "rows", 1), _pair_of_sums(sums, len(mean))
    return _apply((grad, within, x), (gamma, mean, var, eps), both, rows, out)


def _gradients(
    grad: Any, within: Halves | None, x: Any, gamma: Any, mean: Any, var: Any, eps: float, out: Any
) -> tuple[Float, Float, Float]:
    """Both passes over the whole batch, with arguments that are checked once."""
    x, gamma, mean, var = channels(x, gamma=gamma, mean=mean, var=var)
    check_not_empty(x)
    grad = checks.floats(grad, "grad", shape=x.shape)
    form = reference.batch_norm_grad_sums if in_numpy() else compiled.batch_norm_grad_sums
    sums = form(grad, within, x, mean)
    return _apply((grad, within, x), (gamma, mean, var, eps), sums, x.size // x.shape[-1], out)


def _apply(
    maps: tuple[Float, Halves | None, Float],
    norm: tuple[Float, Float, Float, float],
    sums: tuple[Doubles, Doubles],
    rows: int,
    out: Any,
) -> tuple[Float, Float, Float]:
    """The second pass: ``maps`` are grad, within and x, ``norm`` gamma, mean, var and eps."""
    gamma, mean, var, eps = norm
    inverse = 1 / np.sqrt(var + np.float32(eps))
    grads = checks.output(out, maps[0].shape), np.empty(len(gamma), np.float32), np.empty(len(gamma), np.float32)
    form = reference.batch_norm_grad_apply if in_numpy() else compiled.batch_norm_grad_apply
    form(*maps, (gamma, mean, inverse), sums, rows, grads)
    return grads


def _passing(grad: Any, within: Any, x: Float) -> tuple[Float, Halves | None]:
    """The gradient of each value of ``x``, and the bits that say where it counts."""
    bits = None if within is None else checks.half_words(within, "within", checks.halves_shape(x.shape))
    return checks.floats(grad, "grad", shape=x.shape), bits


def _pair_of_sums(sums: Any, c: int) -> tuple[Doubles, Doubles]:
    """Two float64 vectors (C,)."""
    arrays = tuple(np.asarray(each) for each in sums)
    if len(arrays) != 2 or any(each.shape != (c,) or each.dtype != np.float64 for each in arrays):
        raise ValueError(f"sums must be two float64 arrays ({c},), got {', '.join(map(checks.kind, arrays))}")
    return arrays[0], arrays[1]
