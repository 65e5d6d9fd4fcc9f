"""Groups of channels: what both forms of the grouped convolution ask of shapes, and one convolution a group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .checks import Float, Pair

Conv = Callable[..., Float]


def check_groups(groups: Any, x_shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> None:
    """ValueError unless filters (O, KH, KW, C / groups) fit images (N, H, W, C) of so many groups of channels."""
    if not isinstance(groups, (int, np.integer)) or isinstance(groups, bool) or groups < 1:
        raise ValueError(f"groups must be a whole number, at least 1, got {groups!r}")
    if len(x_shape) != 4 or len(weight_shape) != 4:
        shapes = f"x {tuple(x_shape)} and weight {tuple(weight_shape)}"
        raise ValueError(f"{shapes} must be (N, H, W, C) and (O, KH, KW, C / groups)")
    if weight_shape[0] % groups:
        raise ValueError(f"{weight_shape[0]} filters cannot be divided into {groups} groups")
    if x_shape[3] != groups * weight_shape[3]:
        expected = f"{groups} groups of {weight_shape[3]}"
        raise ValueError(f"x has {x_shape[3]} channels (shape {tuple(x_shape)}), the weights expect {expected}")


def conv2d_each(conv2d: Conv, x: Float, weight: Float, groups: int, stride: Pair, padding: Pair, y: Float) -> None:
    """Write to ``y`` the convolution of each group of channels with its filters."""
    for c, o in _groups(x.shape[3], len(weight), groups):
        y[..., o] = conv2d(x[..., c], weight[o], stride, padding)


def grad_input_each(
    conv2d_grad_input: Conv, grad: Float, weight: Float, groups: int, stride: Pair, padding: Pair, grad_x: Float
) -> None:
    """Write to ``grad_x`` the gradient of the input of each group."""
    for c, o in _groups(grad_x.shape[3], len(weight), groups):
        shape = (*grad_x.shape[:3], weight.shape[3])
        grad_x[..., c] = conv2d_grad_input(grad[..., o], weight[o], shape, stride, padding)


def grad_weight_each(
    conv2d_grad_weight: Conv, x: Float, grad: Float, groups: int, stride: Pair, padding: Pair, grad_weight: Float
) -> None:
    """Write to ``grad_weight`` the gradient of the filters of each group."""
    for c, o in _groups(x.shape[3], len(grad_weight), groups):
        shape = grad_weight[o].shape
        grad_weight[o] = conv2d_grad_weight(x[..., c], grad[..., o], shape, stride, padding)


def _groups(channels: int, filters: int, groups: int) -> Iterator[tuple[slice, slice]]:
    """The channels and the filters of each group."""
    c, o = channels // groups, filters // groups
    return ((slice(i * c, (i + 1) * c), slice(i * o, (i + 1) * o)) for i in range(groups))
