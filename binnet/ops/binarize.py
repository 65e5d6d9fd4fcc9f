"""How weights are binarised, and the gradients of arXiv:1603.05279, section 3.1: pure functions on arrays.

``W`` is the real ("latent") weight that the optimiser updates, ``s = sign W``, ``α`` one scale a filter and
``W̃ = α s`` (weight_hat) what the network computes with. Nothing here writes to ``W``. The convolutions that use these
functions are in :mod:`binnet.ops.bwn_conv` and :mod:`binnet.ops.xnor_conv`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Context
from ..backend import kernels

WEIGHT_GRADIENTS = ("exact", "paper", "plain")
SCALES = ("mean", "learned", "none")


def weight_alpha(weight: Float) -> Float:
    """α = ‖W‖₁ / n for each filter (Eq. 6): (O, ...) to (O,)."""
    alpha: Float = kernels().weight_alpha(weight)
    return alpha


def centred(weight: Float) -> Float:
    """Weights (O, ..., C) minus their mean over input channels; from the authors' code, not in the paper."""
    mean: Float = weight.mean(axis=-1, keepdims=True, dtype=np.float32)
    return weight - mean


def binary_weight(weight: Float, alpha: Float | None, scale: str, center: bool) -> tuple[Float, Float]:
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

    Returns
    -------
    latent : (O, ..., C), the array whose signs are taken (``weight`` itself unless centred)
    alpha : (O,)
    """
    latent = centred(weight) if center else weight
    if scale == "mean":
        return latent, weight_alpha(latent)
    if scale == "none":
        return latent, np.ones(len(latent), np.float32)
    if scale != "learned":
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SCALES)}")
    if alpha is None:
        raise ValueError("scale='learned' needs alpha_param, one scale for each filter")
    return latent, alpha


def grad_weight(grad_hat: Float, weight: Float, alpha: Float, rule: str, mean_alpha: bool = True) -> Float:
    """From g = ∂C/∂W̃ to ∂C/∂W, by one of the three rules people use.

    With m = 1[|W| <= 1] and n weights in a filter:

    ========= ========================== ==========================================================
    ``exact`` (s/n) Σⱼ gⱼ sⱼ + α m g     chain rule through α (Eq. 6), straight-through sign
    ``paper`` g (1/n + α m)              as printed in section 3.1
    ``plain`` g                          Algorithm 1 as printed
    ========= ========================== ==========================================================

    Parameters
    ----------
    grad_hat, weight : (O, ...)
    alpha : (O,)
    mean_alpha
        False when α is a constant or a parameter of its own: the terms with 1/n, which are α's, are left out.

    Raises
    ------
    ValueError
        For any other rule.
    """
    if rule not in WEIGHT_GRADIENTS:
        raise ValueError(f"unknown weight_gradient {rule!r}; there are: {', '.join(WEIGHT_GRADIENTS)}")
    if rule == "plain":
        return grad_hat
    inverse_n, factor, through_alpha = np.float32(len(weight) / weight.size), 0.0, np.zeros_like(alpha)
    if mean_alpha and rule == "paper":
        factor = float(inverse_n)
    elif mean_alpha:
        through_alpha = grad_alpha(grad_hat, weight) * inverse_n
    grad: Float = kernels().straight_through(grad_hat, weight, alpha, through_alpha, factor)
    return grad


def grad_alpha(grad_hat: Float, weight: Float) -> Float:
    """∂C/∂α = Σⱼ gⱼ sⱼ for each filter: (O, ...) to (O,)."""
    total: Float = kernels().grad_alpha(grad_hat, weight)
    return total


@dataclass(frozen=True)
class Rule:
    """How a weight is binarised and differentiated: the options that all binary convolutions share.

    Raises
    ------
    ValueError
        On construction, for words that there are not.
    """

    scale: str = "mean"
    weight_gradient: str = "exact"
    center: bool = False

    def __post_init__(self) -> None:
        for value, words, name in (
            (self.scale, SCALES, "scale"),
            (self.weight_gradient, WEIGHT_GRADIENTS, "weight_gradient"),
        ):
            if value not in words:
                raise ValueError(f"unknown {name} {value!r}; there are: {', '.join(words)}")

    def binary_weight(self, weight: Float, alpha: Float | None) -> tuple[Float, Float]:
        """See :func:`binary_weight`."""
        return binary_weight(weight, alpha, self.scale, self.center)

    def gradients(
        self, ctx: Context, grad_hat: Float, latent: Float, alpha: Float
    ) -> tuple[Float | None, Float | None]:
        """Gradients of the stored weight, through the centring, and of the learned scales, the last two inputs."""
        grad = scales = None
        if ctx.needs_grad[-1] and self.scale == "learned":
            scales = grad_alpha(grad_hat, latent)
        if ctx.needs_grad[-2]:
            grad = grad_weight(grad_hat, latent, alpha, self.weight_gradient, self.scale == "mean")
            grad = self.through_centring(grad)
        return grad, scales

    def through_centring(self, grad: Float) -> Float:
        """From the gradient of the latent weight to that of the stored one."""
        return centred(grad) if self.center else grad  # a symmetric projection: its transpose is itself
