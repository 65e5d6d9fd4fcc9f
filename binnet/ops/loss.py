"""Loss functions: (N, C) scores and (N,) class numbers to one number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk
from binnet_kernels import checks
from binnet_kernels.checks import Float
from binnet_kernels.loss import class_numbers

from ..autograd import Function, Grads, Tensor
from ..context import Context

Double = npt.NDArray[np.float64]
# Limits of a distillation's temperature T. With a much smaller one the gradient, a multiple of T, vanishes; with a much
# larger one T² times a rounding error is the loss.
COOLEST, HOTTEST = 0.1, 1000


def cross_entropy(logits: Tensor, labels: Any, label_smoothing: float = 0.0, class_weights: Any = None) -> Tensor:
    """Mean over the batch of the cross-entropy between softmax(logits) and the labels.

    Parameters
    ----------
    logits : (N, C)
        −inf is a class of probability 0: the loss is finite unless it is the label's, or labels are smoothed. A row of
        −inf alone, and one with +inf or NaN, gives NaN.
    labels : (N,) integers in 0…C − 1
    label_smoothing
        The share of the target, in [0, 1), that is spread evenly over all C classes.
    class_weights : (C,), optional
        Above 0. The mean is then ``Σ w_i l_i / Σ w_i``, where w_i is the weight of the i-th label.

    Returns
    -------
    Tensor
        One number, shape ().

    Raises
    ------
    ValueError, TypeError
        When shapes, labels or the smoothing do not fit, or the batch is empty.
    """
    _check_batch(logits)
    weights = None if class_weights is None else _class_weights(class_weights, logits.shape[1])
    return _CrossEntropy.apply(logits, labels, label_smoothing=label_smoothing, class_weights=weights)


def squared_hinge(logits: Tensor, labels: Any) -> Tensor:
    """Mean over the batch of ``Σ_c max(0, 1 − t_c y_c)²`` with t = +1 for the label's class and −1 for the others.

    The loss of BinaryConnect (arXiv:1511.00363). Arguments and errors are those of :func:`cross_entropy`.
    """
    _check_batch(logits)
    return _SquaredHinge.apply(logits, labels)


def distillation(logits: Tensor, scores: Any, temperature: float = 1.0) -> Tensor:
    """Mean over the batch of ``T² KL(softmax(scores / T) ‖ softmax(logits / T))`` (arXiv:1503.02531, section 2).

    With the factor T² the gradient ``T (softmax(logits / T) − softmax(scores / T)) / N`` keeps its size when T changes.

    Parameters
    ----------
    logits : (N, C)
        What learns. −inf is a class of probability 0: the loss is finite unless the teacher gives that class a
        probability above 0, and infinite then. A row of −inf alone, and one with +inf or NaN, gives NaN.
    scores : (N, C) array of real numbers
        The teacher's logits, which get no gradient. −inf is a class of probability 0, which adds nothing to the loss.
        A row of −inf alone, and one with +inf or NaN, gives NaN.
    temperature
        T, from 0.1 to 1000.

    Returns
    -------
    Tensor
        One number, shape ().

    Raises
    ------
    ValueError, TypeError
        When the shapes or the temperature do not fit, or the batch is empty.
    """
    _check_batch(logits)
    scores = checks.floats(scores, "scores", shape=logits.shape)
    if not COOLEST <= temperature <= HOTTEST:
        raise ValueError(f"temperature must be from {COOLEST} to {HOTTEST}, got {temperature!r}")
    return _Distillation.apply(logits, scores, temperature=float(temperature))


def _class_weights(values: Any, classes: int) -> Float:
    weights = checks.floats(values, "class_weights", shape=(classes,))
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError(f"class_weights must be finite numbers above 0, got {weights.tolist()}")
    return weights


def _check_batch(logits: Tensor) -> None:
    if logits.ndim != 2 or len(logits) == 0:
        raise ValueError(f"logits must be (N, C) with at least one row, got shape {logits.shape}")


def _of_batch(ctx: Context, values: Any) -> Any:
    """``values`` (N,) of all images of the batch; what is computed of them has no images any more."""
    ctx.gives_images = False
    return ctx.all_images(values)


class _CrossEntropy(Function):
    @staticmethod
    def forward(
        ctx: Context, logits: Float, labels: Any, *, label_smoothing: float, class_weights: Float | None
    ) -> Float:
        # The probabilities are computed on the way, and the gradient is a difference of them.
        losses, probabilities = bk.softmax_cross_entropy(logits, labels, label_smoothing)
        if class_weights is None:
            ctx.save(probabilities, labels, label_smoothing, None)
            return np.asarray(_of_batch(ctx, losses).mean(dtype=np.float64), np.float32)
        weights = class_weights[labels]
        shares = weights / _of_batch(ctx, weights).sum(dtype=np.float64)
        ctx.save(probabilities, labels, label_smoothing, shares)
        return np.asarray(_of_batch(ctx, losses * shares).sum(dtype=np.float64), np.float32)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        probabilities, labels, label_smoothing, shares = ctx.saved
        grad_logits = bk.softmax_cross_entropy_grad(probabilities, labels, label_smoothing)
        if shares is not None:
            # The mean over the batch becomes a weighted one: each row has its own share in place of 1 / N.
            return grad_logits * (grad * shares[:, None]).astype(np.float32), None
        return grad_logits * (grad / np.float32(ctx.images(probabilities))), None


class _SquaredHinge(Function):
    @staticmethod
    def forward(ctx: Context, logits: Float, labels: Any) -> Float:
        target = np.full(logits.shape, -1, np.float32)
        target[np.arange(len(logits)), class_numbers(labels, *logits.shape)] = 1
        # How much of the margin of 1 is missing; where none is, neither loss nor gradient.
        missing = np.maximum(1 - target * logits, 0, dtype=np.float32)
        ctx.save(missing, target)
        ctx.gives_images = False
        total = ctx.sum_images(missing, lambda part: np.square(missing[part]).sum(dtype=np.float64))
        return np.asarray(total / ctx.images(logits), np.float32)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        missing, target = ctx.saved
        return missing * target * (np.float32(-2 / ctx.images(target)) * grad), None


class _Distillation(Function):
    @staticmethod
    def forward(ctx: Context, logits: Float, scores: Float, *, temperature: float) -> Float:
        with np.errstate(invalid="ignore", divide="ignore"):  # −inf and NaN are allowed, see the docstring
            (p, log_p), (q, log_q) = _softmax(scores, temperature), _softmax(logits, temperature)
            # 0 log 0 = 0: a class that the teacher excludes adds nothing, whatever the student says.
            rows = np.where(p == 0, 0, p * (log_p - log_q)).sum(axis=1)
        ctx.save(p, q, temperature)
        losses = (temperature**2 * rows).astype(np.float32)
        return np.asarray(_of_batch(ctx, losses).mean(dtype=np.float64), np.float32)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        p, q, temperature = ctx.saved
        return ((q - p) * (temperature / ctx.images(q)) * np.float64(grad)).astype(np.float32), None


def _softmax(values: Float, temperature: float) -> tuple[Double, Double]:
    """softmax(values / T) of each row and its logarithm, in float64."""
    # The largest is subtracted first, so that no exponential overflows.
    shifted = (values.astype(np.float64) - values.max(axis=1, keepdims=True)) / temperature
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.exp(logs), logs
