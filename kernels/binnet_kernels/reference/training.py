"""Normalisation, loss, binary weights and the rules of optimisers, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..checks import Float
from ..lowbit.weight_ranges import RANGES
from .lowbit.levels import filter_levels, levels_within

# ---------------------------------------------------------------------------------------------- normalisation, loss


def batch_statistics(x: Any) -> tuple[Float, Float]:
    """See :func:`binnet_kernels.batch_statistics`."""
    (x,) = checks.channels(x)
    checks.rows(x)
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes, dtype=np.float64).astype(np.float32)
    return mean, np.square(x - mean).mean(axis=axes, dtype=np.float64).astype(np.float32)


def batch_norm(x: Any, gamma: Any, beta: Any, eps: float = 1e-5, out: Any = None) -> tuple[Float, Float, Float]:
    """See :func:`binnet_kernels.batch_norm`."""
    x, gamma, beta = checks.channels(x, gamma=gamma, beta=beta)
    mean, var = batch_statistics(x)
    return batch_norm_inference(x, gamma, beta, mean, var, eps, out), mean, var


def batch_norm_inference(
    x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float = 1e-5, out: Any = None
) -> Float:
    """See :func:`binnet_kernels.batch_norm_inference`."""
    x, gamma, beta, mean, var = checks.channels(x, gamma=gamma, beta=beta, mean=mean, var=var)
    y = checks.output(out, x.shape)
    y[...] = (x - mean) * (gamma / np.sqrt(var + np.float32(eps))) + beta
    return y


def batch_norm_grad(
    grad: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float = 1e-5, out: Any = None
) -> tuple[Float, Float, Float]:
    """See :func:`binnet_kernels.batch_norm_grad`."""
    x, gamma, mean, var = checks.channels(x, gamma=gamma, mean=mean, var=var)
    grad = checks.floats(grad, "grad", shape=x.shape)
    grad_x, rows, axes = checks.output(out, x.shape), checks.rows(x)[0], tuple(range(x.ndim - 1))
    inverse = 1 / np.sqrt(var + np.float32(eps))
    x_hat = (x - mean) * inverse
    grad_beta = grad.sum(axis=axes, dtype=np.float64).astype(np.float32)
    grad_gamma = (grad * x_hat).sum(axis=axes, dtype=np.float64).astype(np.float32)
    means = grad_beta / np.float32(rows), grad_gamma / np.float32(rows)
    grad_x[...] = (gamma * inverse) * (grad - means[0] - x_hat * means[1])
    return grad_x, grad_gamma, grad_beta


def softmax_cross_entropy(logits: Any, labels: Any, label_smoothing: float = 0.0) -> tuple[Float, Float]:
    """See :func:`binnet_kernels.softmax_cross_entropy`."""
    logits, target = checks.floats(logits, "logits", 2), checks.smoothing(label_smoothing)
    labels = checks.labels(labels, *logits.shape)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    chosen = np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    losses = -(1 - target) * chosen
    if target:  # 0 times the -inf of an impossible class would be NaN
        losses -= target * log_p.mean(axis=1)
    return losses, np.exp(log_p)


def softmax_cross_entropy_grad(probabilities: Any, labels: Any, label_smoothing: float = 0.0) -> Float:
    """See :func:`binnet_kernels.softmax_cross_entropy_grad`."""
    probabilities, target = checks.floats(probabilities, "probabilities", 2), checks.smoothing(label_smoothing)
    labels = checks.labels(labels, *probabilities.shape)
    grad: Float = probabilities - target / np.float32(probabilities.shape[1])
    grad[np.arange(len(labels)), labels] -= 1 - target
    return grad


# ---------------------------------------------------------------------------------------------- binary weights


def weight_hat(weight: Any, alpha: Any, bits: int = 1) -> Float:
    """See :func:`binnet_kernels.weight_hat`."""
    weight = checks.filters(weight)
    alpha = _per_filter(checks.floats(alpha, "alpha", shape=(len(weight),)), weight)
    checks.levels(bits, "bits")
    hat: Float = filter_levels(weight, bits) * alpha
    return hat


def grad_alpha(grad_hat: Any, weight: Any, bits: int = 1) -> Float:
    """See :func:`binnet_kernels.grad_alpha`."""
    weight = checks.filters(weight)
    grad_hat = checks.floats(grad_hat, "grad_hat", shape=weight.shape)
    checks.levels(bits, "bits")
    return _along(grad_hat, filter_levels(weight, bits))


def _along(grad_hat: Float, levels: Float) -> Float:
    """Σⱼ gⱼ qⱼ of each filter."""
    products = np.multiply(grad_hat, levels, dtype=np.float64).reshape(len(levels), levels[:1].size)
    sums: Float = products.sum(axis=1).astype(np.float32)
    return sums


def weight_gradient(
    grad_hat: Any,
    weight: Any,
    alpha: Any,
    rule: str = "exact",
    mean_alpha: bool = True,
    out: Any = None,
    bits: int = 1,
) -> Float:
    """See :func:`binnet_kernels.weight_gradient`."""
    weight = checks.filters(weight)
    grad_hat = checks.floats(grad_hat, "grad_hat", shape=weight.shape)
    alpha = checks.floats(alpha, "alpha", shape=(len(weight),))
    checks.levels(bits, "bits")
    grad, share = checks.output(out, weight.shape), np.float32(RANGES[bits - 1] / np.prod(weight.shape[1:]))
    if checks.rule(rule) == "plain":
        grad[...] = grad_hat
        return grad
    through_alpha: Any = 0
    if mean_alpha and rule == "exact":
        shared = _per_filter(_along(grad_hat, levels_within(weight, alpha, bits)) * share, weight)
        through_alpha = np.where(weight < 0, -shared, shared)
    elif mean_alpha:
        through_alpha = grad_hat * share
    grad[...] = np.where(np.abs(weight) <= 1, grad_hat * _per_filter(alpha, weight), np.float32(0)) + through_alpha
    return grad


def _per_filter(values: Float, weight: Float) -> Float:
    return values.reshape(-1, *(1,) * (weight.ndim - 1))


# ---------------------------------------------------------------------------------------------- optimisers


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
    """See :func:`binnet_kernels.adam_update`."""
    if step < 1:
        raise ValueError(f"step must be at least 1, got {step!r}")
    grad = checks.floats(grad, "grad", shape=np.shape(weight))
    for array, name in ((weight, "weight"), (mean, "mean"), (square, "square")):
        checks.in_place(array, name, grad.shape)
    grad = grad + weight * np.float32(decay)
    for moment, power, beta in ((mean, grad, betas[0]), (square, grad * grad, betas[1])):
        moment *= np.float32(beta)
        moment += power * np.float32(1 - beta)
    root = np.sqrt(square * np.float32(1 / (1 - betas[1] ** step))) + np.float32(eps)
    weight -= mean / root * np.float32(lr / (1 - betas[0] ** step))
    np.clip(weight, np.float32(-clip), np.float32(clip), out=weight)


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
    """See :func:`binnet_kernels.sgd_update`."""
    grad = checks.floats(grad, "grad", shape=np.shape(weight))
    for array, name in ((weight, "weight"), (velocity, "velocity")):
        checks.in_place(array, name, grad.shape)
    grad = grad + weight * np.float32(decay)
    velocity *= np.float32(momentum)
    velocity += grad
    weight -= (velocity * np.float32(momentum) + grad if nesterov else velocity) * np.float32(lr)
    np.clip(weight, np.float32(-clip), np.float32(clip), out=weight)
