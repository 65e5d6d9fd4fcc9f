"""Algorithm 1 in plain NumPy: gradients of binary weights (section 3.1), the loss, and the rules of optimisers.

Arguments are already checked; the result is written to the last one (or ones).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..checks import Float
from . import xnor

Labels = npt.NDArray[np.int64]

# ---------------------------------------------------------------------------------------------- binary weights


def weight_hat(weight: Float, alpha: Float, hat: Float) -> None:
    """``hat`` (O, ...): W̃ = α sign(W) (Eq. 1)."""
    xnor.sign(weight, hat)
    hat *= per_filter(alpha, weight)


def grad_alpha(grad_hat: Float, weight: Float, grad: Float) -> None:
    """``grad`` (O,): ∂C/∂α = Σⱼ gⱼ sign(Wⱼ) of each filter."""
    signs = np.empty_like(weight)
    xnor.sign(weight, signs)
    grad[...] = products(grad_hat, signs)


def weight_gradient(grad_hat: Float, weight: Float, alpha: Float, factors: Float, grad: Float) -> None:
    """``grad`` (O, ...), the gradient of the real weights W from that of W̃ (g), by one of three rules (section 3.1).

    With m = 1[|W| <= 1], s = sign(W) and n weights in a filter:

    - exact: α m g + (s/n) Σⱼ gⱼ sⱼ, the chain rule through α; factors (1, 0, 1/n).
    - paper: α m g + g/n, as printed; factors (1, 1/n, 0).
    - plain: g, Algorithm 1 as printed; factors (0, 1, 0).

    All are a α m g + b g + c s Σⱼ gⱼ sⱼ with ``factors`` = (a, b, c). When α does not depend on W, 0 stands for 1/n.
    """
    total = np.empty(len(weight), np.float32)
    grad_alpha(grad_hat, weight, total)
    by_rule(grad_hat, weight, alpha, factors, total, grad)


def by_rule(grad_hat: Float, weight: Float, alpha: Float, factors: Float, total: Float, grad: Float) -> None:
    """The same with the sum over each filter given."""
    a, b, c = factors
    shared = per_filter(total * c if c else np.zeros_like(total), weight)  # the sum may be infinite, and not asked for
    within = np.where(np.abs(weight) <= 1, grad_hat * per_filter(alpha * a, weight), np.float32(0))
    grad[...] = within + grad_hat * b + np.where(weight < 0, -shared, shared)


def products(grad_hat: Float, levels: Float) -> Float:
    """Σⱼ gⱼ qⱼ of each filter, in float64."""
    terms = np.multiply(grad_hat, levels, dtype=np.float64).reshape(len(levels), levels[:1].size)
    sums: Float = terms.sum(axis=1).astype(np.float32)
    return sums


def per_filter(values: Float, weight: Float) -> Float:
    """Values (O,) in the shape that multiplies weights (O, ...)."""
    return values.reshape(-1, *(1,) * (weight.ndim - 1))


# ---------------------------------------------------------------------------------------------- the loss


def softmax_cross_entropy(
    logits: Float, labels: Labels, spread: np.float32, losses: Float, probabilities: Float
) -> None:
    """``losses`` (N,) and ``probabilities`` (N, C); ``spread`` is the share of the target that all classes share."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    losses[...] = -(1 - spread) * np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    if spread:  # 0 times the -inf of an impossible class would be NaN
        losses -= spread * log_p.mean(axis=1)
    probabilities[...] = np.exp(log_p)


def softmax_cross_entropy_grad(probabilities: Float, labels: Labels, spread: np.float32, grad: Float) -> None:
    """``grad`` (N, C): probabilities minus the smoothed target."""
    grad[...] = probabilities - spread / np.float32(max(probabilities.shape[1], 1))
    grad[np.arange(len(labels)), labels] -= 1 - spread


# ---------------------------------------------------------------------------------------------- optimisers


def adam_update(grad: Float, rule: Float, weight: Float, mean: Float, square: Float) -> None:
    """A step of Adam (arXiv:1412.6980); ``rule`` as in the compiled form."""
    beta_1, rest_1, beta_2, rest_2, rate, unbias, eps, decay, clip = rule
    grad = grad + weight * decay
    mean *= beta_1
    mean += grad * rest_1
    square *= beta_2
    square += grad * grad * rest_2
    weight -= mean / (np.sqrt(square * unbias) + eps) * rate
    np.clip(weight, -clip, clip, out=weight)


def sgd_update(grad: Float, rule: Float, weight: Float, velocity: Float) -> None:
    """A step of gradient descent with momentum; ``rule`` as in the compiled form."""
    rate, momentum, nesterov, decay, clip = rule
    grad = grad + weight * decay
    velocity *= momentum
    velocity += grad
    weight -= (velocity * momentum + grad if nesterov else velocity) * rate
    np.clip(weight, -clip, clip, out=weight)
