"""Operations on single elements, and changes of shape."""

from __future__ import annotations

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Context, Function, Grads
from ..backend import kernels
from ..tensor import Tensor

STE = ("clip", "polynomial")


def add(x: Tensor, y: Tensor) -> Tensor:
    """``x + y``, with NumPy's broadcasting."""
    return _Add.apply(x, y)


def mul(x: Tensor, y: Tensor) -> Tensor:
    """``x · y`` element by element, with NumPy's broadcasting."""
    return _Mul.apply(x, y)


def relu(x: Tensor) -> Tensor:
    """``max(x, 0)``; the derivative at 0 is 0."""
    return _Relu.apply(x)


def reshape(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same elements in another shape; one length may be -1."""
    return _Reshape.apply(x, shape=shape)


def flatten(x: Tensor) -> Tensor:
    """(N, ...) to (N, product of the rest), in memory order: row, column, channel for images."""
    return reshape(x, (len(x), int(np.prod(x.shape[1:]))))


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
    return _Mul.apply(x, kept * np.float32(1 / (1 - p)))


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


def sign_of(x: Float) -> Float:
    """The signs of an array as float32 ±1, with sign(±0) = +1 (Eq. 4)."""
    signs: Float = kernels().sign(x)
    return signs


def ste_gradient(grad: Float, x: Float, ste: str) -> Float:
    """``grad`` times what stands for the derivative of the sign at ``x``; a new array."""
    if ste == "clip":
        return np.multiply(grad, np.abs(x) <= 1, dtype=np.float32)
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


class _Relu(Function):
    @staticmethod
    def forward(ctx: Context, x: Float) -> Float:
        y: Float = kernels().relu(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        grad_x: Float = kernels().relu_grad(grad, *ctx.saved, out=ctx.room(grad))
        return grad_x


class _Reshape(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, *, shape: tuple[int, ...]) -> Float:
        ctx.save(x.shape)
        return x.reshape(shape)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        shape: tuple[int, ...] = ctx.saved[0]
        return grad.reshape(shape)


class _Sign(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, *, ste: str) -> Float:
        ctx.save(x, check_ste(ste))
        return sign_of(x)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, ste = ctx.saved
        return ste_gradient(grad, x, ste)
