"""Sums and means. They add in float64, so that the result does not depend on how many elements there are."""

from __future__ import annotations

import math

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Function, Grads, Tensor
from ..context import Context

Axes = int | tuple[int, ...] | None


def sum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Sum over ``axis``, all axes when None; they are dropped from the shape unless ``keepdims``."""
    return _Sum.apply(x, axis=axis, keepdims=keepdims, average=False)


def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Mean over ``axis``, as :func:`sum`; ValueError when there is nothing to average."""
    return _Sum.apply(x, axis=axis, keepdims=keepdims, average=True)


def global_average(x: Tensor) -> Tensor:
    """Mean over rows and columns: (N, H, W, C) to (N, C); ValueError for another number of axes."""
    if x.ndim != 4:
        raise ValueError(f"global_average needs images (N, H, W, C), got shape {x.shape}")
    return mean(x, axis=(1, 2))


class _Sum(Function):
    sums_over_images = True

    @staticmethod
    def forward(ctx: Context, x: Float, *, axis: Axes, keepdims: bool, average: bool) -> Float:
        axes = np.lib.array_utils.normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
        lengths = list(x.shape)
        if ctx.batch is not None and 0 in axes:
            ctx.gives_images = False
            lengths[0] = ctx.batch.images * ctx.batch.per_image(x)  # of all workers
        count = math.prod(lengths[i] for i in axes) if average else 1
        if count == 0:
            raise ValueError(f"the mean of no elements: shape {x.shape}, axis {axis}")
        kept = tuple(1 if i in axes else length for i, length in enumerate(x.shape))
        ctx.save(x.shape, kept, np.float32(1 / count))
        # Summed and divided in float64, rounded once.
        if 0 in axes:
            total = ctx.sum_images(x, lambda part: x[part].sum(axis=axes, keepdims=keepdims, dtype=np.float64))
        else:
            total = x.sum(axis=axes, keepdims=keepdims, dtype=np.float64)
        return np.asarray(total / count, np.float32)

    @staticmethod
    def backward(ctx: Context, grad: Float) -> Grads:
        shape, kept, share = ctx.saved
        # A view that repeats the values: the sweep copies it only if something has to be written to it.
        return np.broadcast_to(grad.reshape(kept) * share, shape)
