"""What turns real into binary (arXiv:1603.05279, section 3.1): the sign, α, and the gradients that pass them.

``W`` is the real ("latent") weight that the optimiser updates, ``s = sign W``, ``α`` one scale a filter and
``W̃ = α s`` (weight_hat) what the network computes with. Nothing here writes to ``W``. The convolutions that use these
functions are in :mod:`binnet.ops.bwn_conv` and :mod:`binnet.ops.xnor_conv`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float
from binnet_kernels.weights import WEIGHT_GRADIENTS as WEIGHT_GRADIENTS

from ..autograd import Function, Grads, Tensor
from ..context import Context, Grad
from ..parallel.weight_sum import GradWeight

SCALES = ("mean", "learned", "none")
STE = ("clip", "polynomial")


class NotFiniteError(ValueError):
    """NaN or infinities where a sign is taken, which would hide them: sign(NaN) = +1."""


def sign(x: Tensor, ste: str = "clip") -> Tensor:
    """+1 where x >= 0 (also for −0.0 and NaN), else −1, with a straight-through gradient.

    Parameters
    ----------
    x : (...)
    ste
        What stands for the derivative. ``"clip"``: 1 where |x| <= 1, else 0 (arXiv:1603.05279, section 3.1; the stray
        factor r printed there is left out). ``"polynomial"``: 2 + 2x on [−1, 0), 2 − 2x on [0, 1), else 0 (Bi-Real
        Net, arXiv:1808.00278); not in the paper.

    Raises
    ------
    ValueError
        For any other word.
    """
    return _Sign.apply(x, ste=check_ste(ste))


def check_ste(ste: str) -> str:
    """``ste`` itself; ValueError listing the words when it is none of them."""
    if ste not in STE:
        raise ValueError(f"unknown ste {ste!r}; there are: {', '.join(STE)}")
    return ste


def check_finite(x: Float) -> None:
    """NotFiniteError when ``x``, whose sign is to be taken, has NaN or infinities; one pass, as fast as memory."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = x.sum()  # not finite when a value is not; only a sum of huge values needs the second look
    if not np.isfinite(total) and not np.isfinite(x).all():
        raise NotFiniteError("the input has values that are not finite, which taking its sign would hide")


def weight_alpha(weight: Float) -> Float:
    """α = ‖W‖₁ / n for each filter (Eq. 6): (O, ...) to (O,)."""
    return bk.weight_alpha(weight)


def centred(weight: Float) -> Float:
    """Weights (O, ..., C) minus their mean over input channels; from the authors' code, not in the paper."""
    mean: Float = weight.mean(axis=-1, keepdims=True, dtype=np.float32)
    return weight - mean


def check_bool(name: str, value: object) -> None:
    """TypeError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def _check_word(name: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ValueError(f"unknown {name} {value!r}; there are: {', '.join(words)}")


def grad_weight(
    grad_hat: Float, weight: Float, alpha: Float, rule: str, mean_alpha: bool = True, out: Float | None = None
) -> Float:
    """From g = ∂C/∂W̃ to ∂C/∂W, by one of the three rules people use.

    See :func:`binnet_kernels.weight_gradient`, which says what they are.

    Parameters
    ----------
    grad_hat, weight : (O, ...)
    alpha : (O,)
    rule
        ``"exact"``, ``"paper"`` or ``"plain"``.
    mean_alpha
        False when α does not depend on W: then the terms with 1/n, which come from ∂α/∂W, are left out.
    out : (O, ...), optional
        Where to write; it may be ``grad_hat``.

    Raises
    ------
    ValueError
        For any other rule.
    """
    _check_word("weight_gradient", rule, WEIGHT_GRADIENTS)
    return bk.weight_gradient(grad_hat, weight, alpha, rule, mean_alpha, out=out)


def grad_alpha(grad_hat: Float, weight: Float) -> Float:
    """∂C/∂α = Σⱼ gⱼ sⱼ for each filter: (O, ...) to (O,)."""
    return bk.grad_alpha(grad_hat, weight)


@dataclass(frozen=True)
class WeightBinariser:
    """How real weights become ``α sign(W)``, and their gradient; by default as in arXiv:1603.05279.

    A subclass with another α overrides :meth:`scales`. The gradient of the weights then treats α as a constant; a
    subclass with another gradient overrides :meth:`grad_weight`. Both work filter by filter: where several workers
    train, each calls them with the filters that it updates.

    Attributes
    ----------
    scale
        α: ``"mean"`` of |W| (Eq. 6), ``"learned"``, or ``"none"``, which is 1 (BinaryConnect, BNN).
    weight_gradient
        ``"exact"`` (chain rule), ``"paper"`` (as printed in section 3.1) or ``"plain"`` (as in Algorithm 1); see
        :func:`grad_weight`.
    center
        Whether to subtract the mean over input channels first (authors' code; not in the paper).
    clip
        Whether the optimiser keeps the real weights within ±1 (authors' code; not in the paper).

    Raises
    ------
    TypeError, ValueError
        On construction, for unknown words, and for a ``center`` or ``clip`` that is no bool.
    """

    scale: str = "mean"
    weight_gradient: str = "exact"
    center: bool = False
    clip: bool = True

    def __post_init__(self) -> None:
        _check_word("scale", self.scale, SCALES)
        _check_word("weight_gradient", self.weight_gradient, WEIGHT_GRADIENTS)
        check_bool("center", self.center)
        check_bool("clip", self.clip)

    def binarise(self, weight: Float, alpha: Float | None) -> tuple[Float, Float]:
        """What is binarised, and its scales; training, evaluation and packing all ask here.

        Parameters
        ----------
        weight : (O, ..., C)
        alpha : (O,) or None
            The learned scales; used with ``scale="learned"`` only.

        Returns
        -------
        latent : (O, ..., C), the array whose signs are taken (``weight`` itself unless centred)
        alpha : (O,)

        Raises
        ------
        NotFiniteError
            When a weight or a scale is NaN or infinite.
        """
        if self.scale == "learned" and alpha is None:
            raise ValueError("scale='learned' needs alpha_param, one scale for each filter")
        latent = centred(weight) if self.center else weight
        scales = self.scales(latent)
        # Computed for every `scale`: if the mean of |W| is finite, so are all weights. Another α may not show it.
        means = scales if self.scales_are_means else weight_alpha(latent)
        given = () if alpha is None else (alpha,)
        if not all(np.isfinite(each).all() for each in (scales, means, *given)):
            raise NotFiniteError("the weights of a binary layer are no longer finite")
        if self.scale == "mean":
            return latent, scales
        return latent, np.ones(len(latent), np.float32) if self.scale == "none" or alpha is None else alpha

    @property
    def by_signs(self) -> bool:
        """Whether :meth:`binarise` takes signs and the mean magnitude of each filter (Eq. 6) and nothing else."""
        # What a subclass takes is not known, and the mean over input channels is none of a filter.
        return type(self) is WeightBinariser and not self.center

    @property
    def precision(self) -> int:
        """Bits of a binarised weight."""
        return 1

    def require_signs(self) -> None:
        """ValueError unless weights become signs, as the kernels of the caller need."""
        if self.precision != 1:
            raise ValueError(f"this layer takes weights of 1 bit, got {type(self).__name__} of {self.precision}")

    def scales(self, latent: Float) -> Float:
        """The α of ``scale="mean"``, at which a learned one begins: float32 (O, ...) to (O,)."""
        return weight_alpha(latent)

    @property
    def scales_are_means(self) -> bool:
        """Whether :meth:`scales` gives the mean of |W| times a constant, so that the gradient has terms of ∂α/∂W."""
        return type(self).scales is WeightBinariser.scales

    def gradients(self, ctx: Context, grad_hat: GradWeight, latent: Float, alpha: Float) -> tuple[Grad, ...]:
        """Gradients of the stored weight and of the learned scales, the last two inputs of a function.

        Parameters
        ----------
        grad_hat
            Returns ∂C/∂W̃ (O, ...), summed over the images between cuts; see
            :meth:`binnet.context.Context.weight_gradients`.
        latent, alpha
            From :meth:`binarise`.
        """
        weight, scales = ctx.needs_grad[-2], ctx.needs_grad[-1] and self.scale == "learned"

        def of_filters(grad: Float, rows: slice) -> tuple[Float | None, Float | None]:
            own, grad = latent[rows], grad.reshape(-1, *latent.shape[1:])
            # The scales first: the gradient of the weight is written over that of W̃.
            grad_scales = self.grad_alpha(grad, own) if scales else None
            if not weight:
                return None, grad_scales
            grad = self.grad_weight(grad, own, alpha[rows])
            return centred(grad) if self.center else grad, grad_scales  # a symmetric projection is its own transpose

        shapes = latent.shape if weight else None, alpha.shape if scales else None
        return ctx.weight_gradients(grad_hat, of_filters, shapes)

    def grad_weight(self, grad_hat: Float, latent: Float, alpha: Float) -> Float:
        """:func:`grad_weight` by the rule, written to ``grad_hat``."""
        depends = self.scale == "mean" and self.scales_are_means
        return grad_weight(grad_hat, latent, alpha, self.weight_gradient, depends, out=grad_hat)

    def grad_alpha(self, grad_hat: Float, latent: Float) -> Float:
        """:func:`grad_alpha`."""
        return grad_alpha(grad_hat, latent)


PAPER = WeightBinariser()  # α of Eq. 6, the exact gradient


def unpack_bits(words: Any, c: int) -> Any:
    """Words of bits, uint32 (..., ceil(c / 32)), to booleans (..., c); bit 0 comes first."""
    return np.unpackbits(words.astype("<u4", copy=False).view(np.uint8), axis=-1, count=c, bitorder="little") == 1


class _Sign(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, *, ste: str) -> Float:
        if ste == "clip" and ctx.needs_grad[0]:
            # One bit a value is kept, |x| <= 1; the kernel that makes it wants maps, so a row becomes one pixel.
            rows = (*x.shape[:1], 1, 1, math.prod(x.shape[1:])) if x.ndim else (1, 1, 1, 1)
            ctx.save(None, bk.signs(x.reshape(rows))[1])
        else:
            ctx.save(x, None)
        return bk.sign(x)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, within = ctx.saved
        if x is not None:
            return bk.polynomial_grad(grad, x, out=ctx.reusable(grad))
        passed = unpack_bits(within, grad.size // max(len(within), 1)).reshape(grad.shape)
        grad_x: Float = np.multiply(grad, passed, out=ctx.reusable(grad), dtype=np.float32)
        return grad_x
