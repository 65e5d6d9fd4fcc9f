"""How weights are binarised, and the gradients of arXiv:1603.05279, section 3.1: pure functions on arrays.

``W`` is the real ("latent") weight that the optimiser updates, ``s = sign W``, ``α`` one scale a filter and
``W̃ = α s`` (weight_hat) what the network computes with. Nothing here writes to ``W``. The convolutions that use these
functions are in :mod:`binnet.ops.bwn_conv` and :mod:`binnet.ops.xnor_conv`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from binnet_kernels import checks
from binnet_kernels.checks import Float
from binnet_kernels.weights import WEIGHT_GRADIENTS as WEIGHT_GRADIENTS

from ..autograd import Context
from ..backend import kernels

SCALES = ("mean", "learned", "none")


class NotFiniteError(ValueError):
    """NaN or infinities where a sign is taken, which would hide them: sign(NaN) = +1."""


def check_finite(x: Float) -> None:
    """NotFiniteError when ``x``, whose sign is to be taken, has NaN or infinities; one pass, as fast as memory."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = x.sum()  # not finite when a value is not; only a sum of huge values needs the second look
    if not np.isfinite(total) and not np.isfinite(x).all():
        raise NotFiniteError("the input has values that are not finite, which taking its sign would hide")


def weight_alpha(weight: Float) -> Float:
    """α = ‖W‖₁ / n for each filter (Eq. 6): (O, ...) to (O,)."""
    alpha: Float = kernels().weight_alpha(weight)
    return alpha


def centred(weight: Float) -> Float:
    """Weights (O, ..., C) minus their mean over input channels; from the authors' code, not in the paper."""
    mean: Float = weight.mean(axis=-1, keepdims=True, dtype=np.float32)
    return weight - mean


def binary_weight(weight: Float, alpha: Float | None, scale: str, center: bool, bits: int = 1) -> tuple[Float, Float]:
    """What is binarised, and its scales; training, evaluation and packing all ask here.

    Parameters
    ----------
    weight : (O, ..., C)
    alpha : (O,) or None
        The learned scales; used with ``scale="learned"`` only.
    scale
        ``"mean"``: Eq. 6. ``"learned"``: ``alpha``. ``"none"``: 1 (BinaryConnect, BNN).
    center
        Whether to subtract the mean over input channels first.
    bits
        Of each weight. With several, α is that of Eq. 6 times a constant, see :func:`binnet_kernels.weight_range`.

    Returns
    -------
    latent : (O, ..., C), the array whose signs (levels) are taken (``weight`` itself unless centred)
    alpha : (O,)

    Raises
    ------
    NotFiniteError
        When a weight or a scale is NaN or infinite.
    """
    if scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SCALES)}")
    if scale == "learned" and alpha is None:
        raise ValueError("scale='learned' needs alpha_param, one scale for each filter")
    latent = centred(weight) if center else weight
    mean: Float = kernels().weight_range(latent, bits) if scale == "mean" else weight_alpha(latent)
    if not np.isfinite(mean).all() or (alpha is not None and not np.isfinite(alpha).all()):
        raise NotFiniteError("the weights of a binary layer are no longer finite")
    if scale == "mean":
        return latent, mean
    return latent, np.ones(len(latent), np.float32) if scale == "none" or alpha is None else alpha


def grad_weight(
    grad_hat: Float,
    weight: Float,
    alpha: Float,
    rule: str,
    mean_alpha: bool = True,
    out: Float | None = None,
    bits: int = 1,
) -> Float:
    """From g = ∂C/∂W̃ to ∂C/∂W, by one of the three rules people use.

    See :func:`binnet_kernels.weight_gradient`, which says what they are.

    Parameters
    ----------
    grad_hat, weight : (O, ...)
    alpha : (O,)
    mean_alpha
        False when α is a constant or a parameter of its own: the terms with 1/n, which are α's, are left out.
    out : (O, ...), optional
        Where to write; it may be ``grad_hat``.
    bits
        Of each weight.

    Raises
    ------
    ValueError
        For any other rule.
    """
    if rule not in WEIGHT_GRADIENTS:
        raise ValueError(f"unknown weight_gradient {rule!r}; there are: {', '.join(WEIGHT_GRADIENTS)}")
    grad: Float
    if bits == 1:
        grad = kernels().weight_gradient(grad_hat, weight, alpha, rule, mean_alpha, out)
    else:
        grad = kernels().level_weight_gradient(grad_hat, weight, alpha, rule, mean_alpha, bits, out)
    return grad


def grad_alpha(grad_hat: Float, weight: Float, bits: int = 1) -> Float:
    """∂C/∂α = Σⱼ gⱼ sⱼ for each filter: (O, ...) to (O,)."""
    k = kernels()
    total: Float = k.grad_alpha(grad_hat, weight) if bits == 1 else k.level_grad_alpha(grad_hat, weight, bits)
    return total


@dataclass(frozen=True)
class Rule:
    """How a weight is binarised and differentiated: the options that all binary convolutions share.

    With several ``bits`` it has levels in the place of signs.

    Raises
    ------
    ValueError
        On construction, for words that there are not and numbers out of range.
    """

    scale: str = "mean"
    weight_gradient: str = "exact"
    center: bool = False
    bits: int = 1

    def __post_init__(self) -> None:
        for value, words, name in (
            (self.scale, SCALES, "scale"),
            (self.weight_gradient, WEIGHT_GRADIENTS, "weight_gradient"),
        ):
            if value not in words:
                raise ValueError(f"unknown {name} {value!r}; there are: {', '.join(words)}")
        checks.levels(self.bits, "weight_bits")

    def binary_weight(self, weight: Float, alpha: Float | None) -> tuple[Float, Float]:
        """See :func:`binary_weight`."""
        return binary_weight(weight, alpha, self.scale, self.center, self.bits)

    def gradients(
        self, ctx: Context, grad_hat: Float, latent: Float, alpha: Float
    ) -> tuple[Float | None, Float | None]:
        """Gradients of the stored weight and of the learned scales, the last two inputs; takes ``grad_hat`` over."""
        grad = scales = None
        if ctx.needs_grad[-1] and self.scale == "learned":
            scales = grad_alpha(grad_hat, latent, self.bits)
        if ctx.needs_grad[-2]:
            rule = self.weight_gradient, self.scale == "mean"
            grad = grad_weight(grad_hat, latent, alpha, *rule, out=grad_hat, bits=self.bits)
            grad = centred(grad) if self.center else grad  # a symmetric projection: its transpose is itself
        return grad, scales
