"""Operations on single elements: sums, products, dropout, and the sign with its straight-through gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Context, Function, Grads, Operand, Tensor
from ..backend import kernels
from ..watch import Memory

STE = ("clip", "polynomial")


def add(x: Operand, y: Operand) -> Tensor:
    """``x + y``, with NumPy's broadcasting; a number or an array is a constant. TypeError for anything else."""
    return _Add.apply(operand(x), operand(y))


def mul(x: Operand, y: Operand) -> Tensor:
    """``x · y`` element by element, as :func:`add`."""
    return _Mul.apply(operand(x), operand(y))


def operand(value: Operand) -> Tensor:
    """A tensor as it is, a number or an array as a constant."""
    return value if isinstance(value, Tensor) else Tensor(value)


def dropout(x: Tensor, p: float, rng: np.random.Generator) -> Tensor:
    """Set each element to 0 with probability ``p`` and divide the others by ``1 − p``.

    Parameters
    ----------
    p
        In [0, 1); ValueError otherwise.
    rng
        Draws one number an element; nothing is drawn for ``p = 0``.
    """
    if not 0 <= p < 1:
        raise ValueError(f"the probability of dropout must lie in [0, 1), got {p!r}")
    if p == 0:
        return x
    kept = rng.random(x.shape, dtype=np.float32) >= p
    mask = Tensor(kept * np.float32(1 / (1 - p)))
    mask.memory = Memory(exposed=False)
    return _Mul.apply(x, mask)


def sign(x: Tensor, ste: str = "clip") -> Tensor:
    """+1 where x >= 0 (also for −0.0 and NaN), else −1, with a straight-through gradient.

    Parameters
    ----------
    ste
        What stands for the derivative. ``"clip"``: 1 where |x| <= 1, else 0 (arXiv:1603.05279, section 3.1; the stray
        factor r printed there is left out). ``"polynomial"``: 2 + 2x on [−1, 0), 2 − 2x on [0, 1), else 0 (Bi-Real
        Net, arXiv:1808.00278); not in the paper.

    Raises
    ------
    ValueError
        For any other word.
    """
    return _Sign.apply(x, ste=ste)


def truth(words: Any, c: int) -> Any:
    """Half words (..., ceil(c / 32)) as booleans (..., c)."""
    return np.unpackbits(words.astype("<u4", copy=False).view(np.uint8), axis=-1, count=c, bitorder="little") == 1


def through_polynomial(grad: Float, x: Float) -> Float:
    """``grad`` times the slope of the polynomial that stands for the sign; a new array."""
    slope = np.abs(x, out=np.empty_like(x))  # 2 − 2|x| within (−1, 1), 0 outside
    np.subtract(1, slope, out=slope)
    np.maximum(slope, 0, out=slope)
    slope *= 2
    slope *= grad
    return slope


def check_ste(ste: str) -> str:
    """``ste`` itself; ValueError listing the words when it is none of them."""
    if ste not in STE:
        raise ValueError(f"unknown ste {ste!r}; there are: {', '.join(STE)}")
    return ste


def unbroadcast(grad: Float, shape: tuple[int, ...]) -> Float:
    """Sum ``grad`` over the axes along which an array of ``shape`` was repeated."""
    if grad.shape == shape:
        return grad
    extra = tuple(range(grad.ndim - len(shape)))
    repeated = tuple(i + len(extra) for i, length in enumerate(shape) if length == 1)
    total: Float = grad.sum(axis=extra + repeated, keepdims=True, dtype=np.float64).astype(np.float32)
    return total.reshape(shape)


class _Add(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        ctx.save(x.shape, y.shape)
        total: Float = kernels().add(x, y) if x.shape == y.shape else np.add(x, y)
        return total

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        return tuple(
            unbroadcast(grad, shape) if needed else None
            for shape, needed in zip(ctx.saved, ctx.needs_grad, strict=True)
        )


class _Mul(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        ctx.save(x, y)
        return np.multiply(x, y)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, y = ctx.saved
        grad_x = unbroadcast(grad * y, x.shape) if ctx.needs_grad[0] else None
        grad_y = unbroadcast(grad * x, y.shape) if ctx.needs_grad[1] else None
        return grad_x, grad_y


class _Sign(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, *, ste: str) -> Float:
        if check_ste(ste) == "clip" and ctx.needs_grad[0]:
            rows = (*x.shape[:1], 1, 1, math.prod(x.shape[1:])) if x.ndim else (1, 1, 1, 1)
            ctx.save(None, kernels().signs(x.reshape(rows))[1])
        else:
            ctx.save(x, None)
        y: Float = kernels().sign(x)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, within = ctx.saved
        if x is not None:
            return through_polynomial(grad, x)
        passed = truth(within, grad.size // max(len(within), 1)).reshape(grad.shape)
        grad_x: Float = np.multiply(grad, passed, out=ctx.reusable(grad), dtype=np.float32)
        return grad_x
