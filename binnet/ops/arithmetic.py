"""Arithmetic of tensors: sum, difference, product, quotient, the product of matrices, and dropout."""

from __future__ import annotations

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float

from ..autograd import Context, Function, Grads, Operand, Tensor
from ..watch import Memory


def add(x: Operand, y: Operand) -> Tensor:
    """``x + y``, with NumPy's broadcasting; a number or an array is a constant. TypeError for anything else."""
    return _Add.apply(operand(x), operand(y))


def mul(x: Operand, y: Operand) -> Tensor:
    """``x · y`` element by element, as :func:`add`."""
    return _Mul.apply(operand(x), operand(y))


def subtract(x: Operand, y: Operand) -> Tensor:
    """``x − y`` element by element, as :func:`add`."""
    return _Subtract.apply(operand(x), operand(y))


def divide(x: Operand, y: Operand) -> Tensor:
    """``x / y`` element by element, as :func:`add`; division by zero gives what NumPy gives, and its warning."""
    return _Divide.apply(operand(x), operand(y))


def neg(x: Operand) -> Tensor:
    """``−x``, which is the product with −1."""
    return mul(x, -1.0)


def matmul(x: Operand, y: Operand) -> Tensor:
    """The product of two matrices, (N, I) and (I, O) to (N, O), by the kernels of :func:`linear`.

    So a row of the result has the same bits whatever the other rows are. ValueError for other shapes.
    """
    return _Matmul.apply(operand(x), operand(y))


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
    mask.memory = Memory(exposed=False)  # nobody else has the mask, so it need not be watched for changes
    return _Mul.apply(x, mask)


def unbroadcast(grad: Float, shape: tuple[int, ...]) -> Float:
    """Sum ``grad`` over the axes along which an array of ``shape`` was repeated."""
    if grad.shape == shape:
        return grad
    extra = tuple(range(grad.ndim - len(shape)))
    repeated = tuple(i + len(extra) for i, length in enumerate(shape) if length == 1)
    # In float64: a bias may be repeated over millions of pixels.
    total: Float = grad.sum(axis=extra + repeated, keepdims=True, dtype=np.float64).astype(np.float32)
    return total.reshape(shape)


class _Add(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        ctx.save(x.shape, y.shape)
        # The kernel runs on all cores, but only on arrays of one shape; broadcasting is NumPy's.
        return bk.add(x, y) if x.shape == y.shape else np.add(x, y)

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


class _Subtract(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        ctx.save(x.shape, y.shape)
        return np.subtract(x, y)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x_shape, y_shape = ctx.saved
        grad_x = unbroadcast(grad, x_shape) if ctx.needs_grad[0] else None
        grad_y = unbroadcast(-grad, y_shape) if ctx.needs_grad[1] else None
        return grad_x, grad_y


class _Divide(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        ctx.save(x, y)
        return np.divide(x, y)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, y = ctx.saved
        grad_x = unbroadcast(grad / y, x.shape) if ctx.needs_grad[0] else None
        grad_y = unbroadcast(-grad * x / (y * y), y.shape) if ctx.needs_grad[1] else None
        return grad_x, grad_y


class _Matmul(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[0]:
            raise ValueError(f"matmul takes matrices (N, I) and (I, O), got shapes {x.shape} and {y.shape}")
        pixels, filters = x[:, None, None], y.T[:, None, None]  # a product of matrices is a 1×1 convolution
        ctx.save(pixels, filters)
        product = bk.conv2d(pixels, filters)
        return product[:, 0, 0]

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        (pixels, filters), grad = ctx.saved, grad[:, None, None]
        grad_x = grad_y = None
        if ctx.needs_grad[0]:
            grad_x = bk.conv2d_grad_input(grad, filters, pixels.shape)[:, 0, 0]
        if ctx.needs_grad[1]:
            grad_y = bk.conv2d_grad_weight(pixels, grad, filters.shape)[:, 0, 0].T
        return grad_x, grad_y
