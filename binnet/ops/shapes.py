"""Operations that move elements and compute nothing: other shapes, tensors side by side, a border around images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Function, Grads, Operand, Tensor
from ..context import Context
from .arithmetic import operand

Border = int | Sequence[int]


def reshape(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same elements in another shape; one length may be -1."""
    return _Reshape.apply(x, shape=shape)


def flatten(x: Tensor) -> Tensor:
    """(N, ...) to (N, product of the rest), in memory order: row, column, channel for images."""
    return reshape(x, (len(x), int(np.prod(x.shape[1:]))))


def concatenate(tensors: Iterable[Operand], axis: int = -1) -> Tensor:
    """Join tensors along one axis, by default the channels of (N, H, W, C).

    Parameters
    ----------
    tensors
        At least one, and arrays among them as constants; all lengths but that of ``axis`` are the same.
    axis
        Any but the first, which is the batch; counted from the end when negative.

    Returns
    -------
    Tensor
        As long along ``axis`` as all of them together. Each gets its slice of the gradient.

    Raises
    ------
    ValueError
        When there is nothing to join, the axis does not exist or is the batch, or shapes do not fit together.
    """
    joined = [operand(t) for t in tensors]
    if not joined:
        raise ValueError("concatenate needs at least one tensor")
    return _Concatenate.apply(*joined, axis=_checked_axis([t.shape for t in joined], axis))


def pad(x: Tensor, padding: Border, value: float = 0.0) -> Tensor:
    """Put a border around images (N, H, W, C); the gradient is that of the pixels within.

    Parameters
    ----------
    padding
        (top, bottom, left, right), a pair (vertical, horizontal), or one int for all sides, each at least 0.
    value
        Of the border.

    Returns
    -------
    Tensor
        (N, top + H + bottom, left + W + right, C)

    Raises
    ------
    ValueError
        For another padding, and for what is no batch of images.
    """
    if x.ndim != 4:
        raise ValueError(f"pad works on images (N, H, W, C), got shape {x.shape}")
    return _Pad.apply(x, padding=border(padding), value=float(value))


def border(padding: Border) -> tuple[int, int, int, int]:
    """``padding`` as (top, bottom, left, right); see :func:`pad`."""
    sides = tuple(padding) if isinstance(padding, Sequence | np.ndarray) else (padding,)
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 0 for n in sides)
    if not whole or len(sides) not in (1, 2, 4):
        forms = "an int, a pair of ints or four (top, bottom, left, right), each at least 0"
        raise ValueError(f"padding must be {forms}, got {padding!r}")
    # One number is for all sides, two are (vertical, horizontal).
    numbers = [int(n) for n in sides]
    if len(numbers) < 4:
        numbers = [numbers[0]] * 2 + [numbers[-1]] * 2
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _checked_axis(shapes: list[tuple[int, ...]], axis: int) -> int:
    """The axis counted from the front."""
    first = shapes[0]
    front = axis + len(first) if axis < 0 else axis
    if not 1 <= front < len(first):
        raise ValueError(f"concatenate joins along an axis behind the batch: shape {first} has none with number {axis}")
    if {(*s[:front], *s[front + 1 :]) for s in shapes} != {(*first[:front], *first[front + 1 :])}:
        listed = ", ".join(map(str, shapes))
        raise ValueError(f"concatenate joins along axis {front}, so all other lengths must agree, got {listed}")
    return front


class _Reshape(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, *, shape: tuple[int, ...]) -> Float:
        ctx.save(x.shape)
        return x.reshape(shape)  # a view: `apply` sees that it lies in the memory of x

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        shape: tuple[int, ...] = ctx.saved[0]
        return grad.reshape(shape)


class _Concatenate(Function):
    @staticmethod
    def forward(ctx: Context, *arrays: Float, axis: int) -> Float:
        # Where each but the first begins along the axis, as np.split takes it.
        ctx.save(np.cumsum([a.shape[axis] for a in arrays])[:-1], axis)
        return np.concatenate(arrays, axis=axis)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        ends, axis = ctx.saved
        return tuple(np.split(grad, ends, axis=axis))


class _Pad(Function):
    @staticmethod
    def forward(ctx: Context, x: Float, *, padding: tuple[int, int, int, int], value: float) -> Float:
        (n, h, w, c), (top, bottom, left, right) = x.shape, padding
        inside = np.s_[:, top : top + h, left : left + w]
        ctx.save(inside)
        y = np.full((n, top + h + bottom, left + w + right, c), value, np.float32)
        y[inside] = x
        return y

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        (inside,) = ctx.saved
        # The border is a constant, so its part of the gradient goes nowhere.
        grad_x: Float = grad[inside]
        return grad_x
