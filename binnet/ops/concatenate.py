"""Tensors side by side."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Context, Function, Grads
from ..tensor import Operand, Tensor
from .elementwise import operand


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


class _Concatenate(Function):
    @staticmethod
    def forward(ctx: Context, *arrays: Float, axis: int) -> Float:
        ctx.save(np.cumsum([a.shape[axis] for a in arrays])[:-1], axis)
        return np.concatenate(arrays, axis=axis)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        ends, axis = ctx.saved
        return tuple(np.split(grad, ends, axis=axis))
