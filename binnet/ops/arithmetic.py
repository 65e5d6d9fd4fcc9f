"""Arithmetic of tensors: sum, difference, product, quotient, the product of matrices, and dropout."""

from __future__ import annotations

import numpy as np

import binnet_kernels as bk
from binnet_kernels.checks import Float

from ..autograd import Function, Grads, Operand, Tensor
from ..context import Context, state
from ..parallel.weight_sum import Later
from ..watch import Memory
from .grad_weight import real_weight_gradient


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
    kept = _uniform(x, rng) >= p
    mask = Tensor(kept * np.float32(1 / (1 - p)))
    mask.memory = Memory(exposed=False)  # nobody else has the mask, so it need not be watched for changes
    return _Mul.apply(x, mask)


def _uniform(x: Tensor, rng: np.random.Generator) -> Float:
    """Numbers in [0, 1) of the shape of ``x``: each image gets those that it has in a batch that is not divided."""
    batch = state.batch
    if batch is None or not x.of_images:
        return rng.random(x.shape, dtype=np.float32)
    row = x.array.size // batch.rows
    before, after = batch.first * row, (batch.images - batch.own.stop) * row
    rng.random(before, dtype=np.float32)
    numbers = rng.random(x.shape, dtype=np.float32)
    rng.random(after, dtype=np.float32)  # so that all workers go on with the same numbers
    return numbers


def unbroadcast(ctx: Context, number: int, grad: Float, shape: tuple[int, ...]) -> Float:
    """Sum ``grad`` over the axes along which input ``number``, an array of ``shape``, was repeated."""
    if ctx.gives_images and not ctx.of_images[number]:
        return _sum_to_shape(ctx, grad, shape)
    if grad.shape == shape:
        return grad
    if shape == grad.shape[-1:] and grad.size:
        return bk.channel_sums(grad).astype(np.float32)
    extra = tuple(range(grad.ndim - len(shape)))
    repeated = tuple(i + len(extra) for i, length in enumerate(shape) if length == 1)
    # In float64: a bias may be repeated over millions of pixels.
    total: Float = grad.sum(axis=extra + repeated, keepdims=True, dtype=np.float64).astype(np.float32)
    return total.reshape(shape)


def _sum_to_shape(ctx: Context, grad: Float, shape: tuple[int, ...]) -> Float:
    """Sum ``grad`` over the images and the other axes along which an array without images was repeated."""
    full = (1,) * (grad.ndim - len(shape)) + shape
    if full[0] != 1:
        raise ValueError(f"an operand that learns is the same for all images, so {shape} cannot have a row for each")
    if shape == grad.shape[-1:] and grad.size:
        return ctx.sum_images(grad, lambda part: bk.channel_sums(grad[part])).astype(np.float32)
    axes = tuple(i for i, length in enumerate(full) if length == 1)
    total = ctx.sum_images(grad, lambda part: grad[part].sum(axis=axes, keepdims=True, dtype=np.float64))
    return total.astype(np.float32).reshape(shape)


class _Add(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        ctx.save(x.shape, y.shape)
        # The kernel runs on all cores, but only on arrays of one shape; broadcasting is NumPy's.
        return bk.add(x, y) if x.shape == y.shape else np.add(x, y)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        return tuple(
            unbroadcast(ctx, i, grad, shape) if needed else None
            for i, (shape, needed) in enumerate(zip(ctx.saved, ctx.needs_grad, strict=True))
        )


class _Mul(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        ctx.save(x, y)
        return np.multiply(x, y)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, y = ctx.saved
        grad_x = unbroadcast(ctx, 0, grad * y, x.shape) if ctx.needs_grad[0] else None
        grad_y = unbroadcast(ctx, 1, grad * x, y.shape) if ctx.needs_grad[1] else None
        return grad_x, grad_y


class _Subtract(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        ctx.save(x.shape, y.shape)
        return np.subtract(x, y)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x_shape, y_shape = ctx.saved
        grad_x = unbroadcast(ctx, 0, grad, x_shape) if ctx.needs_grad[0] else None
        grad_y = unbroadcast(ctx, 1, -grad, y_shape) if ctx.needs_grad[1] else None
        return grad_x, grad_y


class _Divide(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        ctx.save(x, y)
        return np.divide(x, y)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        x, y = ctx.saved
        grad_x = unbroadcast(ctx, 0, grad / y, x.shape) if ctx.needs_grad[0] else None
        grad_y = unbroadcast(ctx, 1, -grad * x / (y * y), y.shape) if ctx.needs_grad[1] else None
        return grad_x, grad_y


class _Matmul(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, x: Float, y: Float) -> Float:
        if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[0]:
            raise ValueError(f"matmul takes matrices (N, I) and (I, O), got shapes {x.shape} and {y.shape}")
        if ctx.of_images[1] and ctx.batch is not None:
            raise ValueError("the second matrix of matmul must be the same for all images; transpose the product")
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
            total = real_weight_gradient(ctx, pixels, grad, filters.shape)
            # The transpose has other rows than the sum, so it cannot wait until the rows are updated.
            total = total.now() if isinstance(total, Later) else total
            grad_y = None if total is None else total[:, 0, 0].T
        return grad_x, grad_y
