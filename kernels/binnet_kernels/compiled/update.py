"""The rules of optimisers, each in one pass over weights, gradients and moments (Algorithm 1, its last step)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import checks
from ..checks import Float, Words
from ..simd.jit import Kernel, helper, kernel
from ..simd.lanes import WIDTH, all_lanes, clamped, first_lanes, load_lanes, square_root, store_lanes
from .forward.bits import pack_values
from .forward.scale import filter_alpha
from .weights import by_rule, filter_rule, rule_numbers

_RUN = 1 << 14  # weights that go to one thread at a time
_WORTH_SHARING = 1 << 16  # weights, some 30 µs of work


def adam_update(
    weight: Float,
    grad: Any,
    mean: Float,
    square: Float,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    decay: float = 0.0,
    clip: float = np.inf,
) -> None:
    """One step of Adam (arXiv:1412.6980) with bias correction, in place: ``w ← w − lr m̂ / (√v̂ + ε)``.

    Parameters
    ----------
    weight, mean, square : float32 (...), C-contiguous and writeable
        The real weights, and the moments m and v, all changed in place.
    grad : array of the same shape, real numbers
    step : int
        Number of this step, from 1 on.
    lr : float
    betas : pair of floats
        Of the two moments, in [0, 1).
    eps : float
    decay : float
        ``decay · w`` is added to the gradient.
    clip : float
        The new weights are clamped to ±clip.

    Raises
    ------
    TypeError, ValueError
        When an array has the wrong type or shape, or ``step`` is below 1.
    """
    _update(_adam, weight, grad, _adam_numbers(step, lr, betas, eps, decay, clip), mean=mean, square=square)


def sgd_update(
    weight: Float,
    grad: Any,
    velocity: Float,
    lr: float,
    momentum: float = 0.9,
    nesterov: bool = False,
    decay: float = 0.0,
    clip: float = np.inf,
) -> None:
    """One step of gradient descent, in place: ``v ← μ v + g``, ``w ← w − lr v``; Nesterov's along ``g + μ v``.

    Parameters
    ----------
    weight, velocity : float32 (...), C-contiguous and writeable
        Both changed in place.
    grad : array of the same shape, real numbers
    lr, momentum : float
    nesterov : bool
    decay, clip : float
        As in :func:`adam_update`.

    Raises
    ------
    TypeError, ValueError
        When an array has the wrong type or shape.
    """
    _update(_sgd, weight, grad, _sgd_numbers(lr, momentum, nesterov, decay, clip), velocity=velocity)


def adam_update_filters(
    weight: Float,
    grad_hat: Any,
    alpha: Any,
    mean: Float,
    square: Float,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    decay: float = 0.0,
    clip: float = np.inf,
    rule: str = "exact",
    mean_alpha: bool = True,
    keep: bool = False,
    bits: int = 1,
) -> tuple[Float, Words]:
    """:func:`adam_update` of binary filters from the gradient of α·sign(W), and what the next forward pass needs.

    :func:`weight_gradient`, the update, :func:`weight_alpha` and :func:`pack_signs` in one pass: filter by filter, so
    that weights, gradient and moments are read from memory once and what changes is written once.

    Parameters
    ----------
    weight : float32 (O, ..., C), C-contiguous and writeable
        The real weights, changed in place.
    grad_hat : array of the same shape, real numbers
        ∂C/∂W̃.
    alpha : array (O,)
        The scales that W̃ was made with.
    mean, square, step, lr, betas, eps, decay, clip
        As in :func:`adam_update`.
    rule, mean_alpha
        As in :func:`weight_gradient`; "plain" when ``grad_hat`` is the gradient of the real weights already.
    keep : bool
        Whether to write the gradient of the real weights over ``grad_hat``, which is changed in place then.
    bits : int
        As in :func:`weight_gradient`.

    Returns
    -------
    alpha : float32 (O,)
        The scales of the new weights (Eq. 6).
    signs : uint64 (O, ..., ceil(C / 64))
        Their signs, as :func:`pack_signs` packs them.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    numbers = _adam_numbers(step, lr, betas, eps, decay, clip)
    how = (rule, mean_alpha, keep, bits, numbers)
    return _update_filters(_adam_filters, weight, grad_hat, alpha, *how, mean=mean, square=square)


def sgd_update_filters(
    weight: Float,
    grad_hat: Any,
    alpha: Any,
    velocity: Float,
    lr: float,
    momentum: float = 0.9,
    nesterov: bool = False,
    decay: float = 0.0,
    clip: float = np.inf,
    rule: str = "exact",
    mean_alpha: bool = True,
    keep: bool = False,
    bits: int = 1,
) -> tuple[Float, Words]:
    """:func:`sgd_update` in the place of :func:`adam_update` in :func:`adam_update_filters`; all else is as there."""
    numbers = _sgd_numbers(lr, momentum, nesterov, decay, clip)
    how = (rule, mean_alpha, keep, bits, numbers)
    return _update_filters(_sgd_filters, weight, grad_hat, alpha, *how, velocity=velocity)


def _adam_numbers(step: int, lr: float, betas: tuple[float, float], eps: float, decay: float, clip: float) -> Float:
    if step < 1:
        raise ValueError(f"step must be at least 1, got {step!r}")
    corrections = lr / (1 - betas[0] ** step), 1 / (1 - betas[1] ** step)
    return np.array((betas[0], 1 - betas[0], betas[1], 1 - betas[1], *corrections, eps, decay, clip), np.float32)


def _sgd_numbers(lr: float, momentum: float, nesterov: bool, decay: float, clip: float) -> Float:
    return np.array((lr, momentum, bool(nesterov), decay, clip), np.float32)


def _update(work: Kernel, weight: Float, grad: Any, numbers: Float, **moments: Float) -> None:
    grad = checks.floats(grad, "grad", shape=np.shape(weight))
    arrays = [checks.in_place(a, name, grad.shape) for name, a in (("weight", weight), *moments.items())]
    flat = [a.ravel() for a in (arrays[0], grad, *arrays[1:])]
    (work if grad.size > _WORTH_SHARING else work.alone)(*flat, numbers, -(-grad.size // _RUN), grad.size)


def _update_filters(
    work: Kernel,
    weight: Float,
    grad_hat: Any,
    alpha: Any,
    rule: str,
    mean_alpha: bool,
    keep: bool,
    bits: int,
    numbers: Float,
    **moments: Float,
) -> tuple[Float, Words]:
    grad_hat = checks.in_place(grad_hat, "grad_hat", np.shape(weight)) if keep else grad_hat
    grad_hat = checks.floats(grad_hat, "grad_hat", shape=np.shape(weight))
    arrays = [checks.in_place(a, name, grad_hat.shape) for name, a in (("weight", weight), *moments.items())]
    o, c, n = len(checks.filters(weight)), weight.shape[-1], weight[:1].size
    old, new = checks.floats(alpha, "alpha", shape=(o,)), np.empty(o, np.float32)
    factors = rule_numbers(rule, mean_alpha, int(np.prod(weight.shape[1:])), bits)
    signs = np.empty((*weight.shape[:-1], -(-c // 64)), np.uint64)
    if n:
        flat = [a.ravel() for a in (arrays[0], grad_hat, *arrays[1:])]
        run = work if weight.size > _WORTH_SHARING else work.alone
        run(*flat, numbers, old, factors, bool(keep), new, signs.ravel().view(np.uint32), o, n, c)
    return new, signs


# ---------------------------------------------------------------------------------------------- kernels

_REAL = (np.float32(0), np.float32(1), np.float32(0))  # the rule of weights that are what they are: the gradient itself


@helper
def _adam_weights(weight, grad, mean, square, numbers, rule, start, end):
    """Adam over the weights ``start`` to ``end``, whose gradient follows from ``grad`` by the numbers of a rule."""
    b1, rest1, b2, rest2 = numbers[0], numbers[1], numbers[2], numbers[3]
    rate, unbias, eps = all_lanes(numbers[4]), all_lanes(numbers[5]), all_lanes(numbers[6])
    decay, clip = all_lanes(numbers[7]), all_lanes(numbers[8])
    for i in range(start, end, WIDTH):
        lanes = first_lanes(end - i)
        w = load_lanes(weight, i, lanes)
        # A late gradient is finished here, in registers, so that weights and gradient are read once (ADR 0020).
        g = by_rule(load_lanes(grad, i, lanes), w, rule) + w * decay
        m = load_lanes(mean, i, lanes) * all_lanes(b1) + g * all_lanes(rest1)
        v = load_lanes(square, i, lanes) * all_lanes(b2) + g * g * all_lanes(rest2)
        store_lanes(mean, i, m, lanes)
        store_lanes(square, i, v, lanes)
        store_lanes(weight, i, clamped(w - m / (square_root(v * unbias) + eps) * rate, clip), lanes)


@helper
def _sgd_weights(weight, grad, velocity, numbers, rule, start, end):
    """Descent over the weights ``start`` to ``end``, as :func:`_adam_weights`."""
    lr, momentum, nesterov = all_lanes(numbers[0]), all_lanes(numbers[1]), numbers[2] != 0
    decay, clip = all_lanes(numbers[3]), all_lanes(numbers[4])
    for i in range(start, end, WIDTH):
        lanes = first_lanes(end - i)
        w = load_lanes(weight, i, lanes)
        g = by_rule(load_lanes(grad, i, lanes), w, rule) + w * decay
        v = load_lanes(velocity, i, lanes) * momentum + g
        store_lanes(velocity, i, v, lanes)
        along = v
        if nesterov:
            along = v * momentum + g
        store_lanes(weight, i, clamped(w - along * lr, clip), lanes)


@helper
def _binarise(weight, start, n, c, halves):
    """Pack the signs of a filter, tap by tap, at ``halves[start // c * words * 2:]``; the mean of its magnitudes."""
    count = (c + 63) // 64 * 2
    for tap in range(start // c, (start + n) // c):
        halves[tap * count + count - 1] = np.uint32(0)  # the last half of a word may have no values
        pack_values(weight, tap * c, c, halves, tap * count)
    return filter_alpha(weight, start, n)


@kernel
def _adam(weight, grad, mean, square, numbers, runs, n):
    for run in prange(runs):
        _adam_weights(weight, grad, mean, square, numbers, _REAL, run * _RUN, min((run + 1) * _RUN, n))


@kernel
def _sgd(weight, grad, velocity, numbers, runs, n):
    for run in prange(runs):
        _sgd_weights(weight, grad, velocity, numbers, _REAL, run * _RUN, min((run + 1) * _RUN, n))


@helper
def _kept(grad, weight, rule, start, end):
    """Write the finished gradient to ``grad``; returns the rule under which it is then used as it is."""
    for i in range(start, end, WIDTH):
        lanes = first_lanes(end - i)
        store_lanes(grad, i, by_rule(load_lanes(grad, i, lanes), load_lanes(weight, i, lanes), rule), lanes)
    return _REAL


@kernel
def _adam_filters(weight, grad, mean, square, numbers, alpha, factors, keep, new_alpha, halves, filters, n, c):
    for o in prange(filters):
        # One filter a thread: α couples its weights, so its sum comes before the first of them is changed.
        rule = filter_rule(grad, weight, alpha[o], factors, o * n, n)
        if keep:
            rule = _kept(grad, weight, rule, o * n, (o + 1) * n)
        _adam_weights(weight, grad, mean, square, numbers, rule, o * n, (o + 1) * n)
        new_alpha[o] = _binarise(weight, o * n, n, c, halves)


@kernel
def _sgd_filters(weight, grad, velocity, numbers, alpha, factors, keep, new_alpha, halves, filters, n, c):
    for o in prange(filters):
        rule = filter_rule(grad, weight, alpha[o], factors, o * n, n)
        if keep:
            rule = _kept(grad, weight, rule, o * n, (o + 1) * n)
        _sgd_weights(weight, grad, velocity, numbers, rule, o * n, (o + 1) * n)
        new_alpha[o] = _binarise(weight, o * n, n, c, halves)
