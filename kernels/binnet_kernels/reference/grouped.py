"""The grouped convolution in plain NumPy: one convolution a group."""

from __future__ import annotations

from typing import Any

from .. import checks
from ..checks import Float, Pair, Window
from ..groups import check_groups, conv2d_each, grad_input_each, grad_weight_each
from .conv import conv2d, conv2d_grad_input, conv2d_grad_weight


def grouped_conv2d(x: Any, weight: Any, groups: int, stride: Pair = 1, padding: Pair = 0, out: Any = None) -> Float:
    """See :func:`binnet_kernels.grouped_conv2d`."""
    x, weight = checks.floats(x, "x", 4), checks.floats(weight, "weight", 4)
    check_groups(groups, x.shape, weight.shape)
    window = Window.of(weight.shape[1:3], stride, padding)
    y = checks.output(out, (len(x), *window.output_size(*x.shape[1:3]), len(weight)))
    conv2d_each(conv2d, x, weight, groups, stride, padding, y)
    return y


def grouped_conv2d_grad_input(
    grad: Any,
    weight: Any,
    x_shape: tuple[int, ...],
    groups: int,
    stride: Pair = 1,
    padding: Pair = 0,
    out: Any = None,
) -> Float:
    """See :func:`binnet_kernels.grouped_conv2d_grad_input`."""
    weight = checks.floats(weight, "weight", 4)
    check_groups(groups, x_shape, weight.shape)
    window = Window.of(weight.shape[1:3], stride, padding)
    grad = checks.conv_grad(grad, (*x_shape[:3], weight.shape[3]), weight.shape, window)
    grad_x = checks.output(out, tuple(x_shape))
    grad_input_each(conv2d_grad_input, grad, weight, groups, stride, padding, grad_x)
    return grad_x


def grouped_conv2d_grad_weight(
    x: Any,
    grad: Any,
    weight_shape: tuple[int, ...],
    groups: int,
    stride: Pair = 1,
    padding: Pair = 0,
    out: Any = None,
) -> Float:
    """See :func:`binnet_kernels.grouped_conv2d_grad_weight`."""
    x = checks.floats(x, "x", 4)
    check_groups(groups, x.shape, weight_shape)
    window = Window.of(weight_shape[1:3], stride, padding)
    grad = checks.conv_grad(grad, (*x.shape[:3], weight_shape[3]), weight_shape, window)
    grad_weight = checks.output(out, tuple(weight_shape))
    grad_weight_each(conv2d_grad_weight, x, grad, groups, stride, padding, grad_weight)
    return grad_weight
