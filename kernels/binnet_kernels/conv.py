"""float32 convolution, whole or in groups of channels, and its two gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks
from .backend import REAL, Late, front_door, in_numpy
from .checks import Float, Pair, Window

if TYPE_CHECKING:
    from .compiled import conv as compiled
    from .reference import conv as reference
else:
    reference = Late("binnet_kernels.reference.conv")
    compiled = Late("binnet_kernels.compiled.conv")


@front_door(REAL, lambda y, x, weight, *_, **__: y.size * weight[:1].size)
def conv2d(x: Any, weight: Any, stride: Pair = 1, padding: Pair = 0, groups: int = 1, out: Any = None) -> Float:
    """float32 convolution (cross-correlation) with a zero border.

    With several groups, the filters of group i are i O / groups to (i + 1) O / groups - 1, and they see the channels
    i C / groups to (i + 1) C / groups - 1 alone. As many groups as channels make a depthwise convolution.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    weight : array (O, KH, KW, C / groups) of real numbers
    stride, padding : int or pair of ints
        Vertical and horizontal; stride at least 1, padding at least 0.
    groups : int
        At least 1; it divides C and O.
    out : float32 (N, OH, OW, O), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (N, OH, OW, O)
        The same bits for any number of threads and whatever the other images are.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or the padded image is smaller than the filter.
    """
    x, weight = checks.floats(x, "x", 4), checks.floats(weight, "weight", 4)
    window = Window.of(weight.shape[1:3], stride, padding)
    groups = _same_groups(x.shape, weight.shape, groups)
    y = checks.output(out, (len(x), *window.output_size(*x.shape[1:3]), len(weight)))
    (reference.conv2d if in_numpy() else compiled.conv2d)(x, weight, window, groups, y)
    return y


@front_door(REAL, lambda grad_x, grad, weight, *_, **__: grad.size * weight[:1].size)
def conv2d_grad_input(
    grad: Any,
    weight: Any,
    x_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    groups: int = 1,
    out: Any = None,
) -> Float:
    """Gradient of :func:`conv2d` with respect to its input.

    Parameters
    ----------
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight : array (O, KH, KW, C / groups) of real numbers
    x_shape : (N, H, W, C)
    stride, padding, groups
        Those of the convolution.
    out : float32 (N, H, W, C), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (N, H, W, C)
        The same bits for any number of threads.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others.
    """
    weight = checks.floats(weight, "weight", 4)
    window = Window.of(weight.shape[1:3], stride, padding)
    grad = _grad_of_output(grad, x_shape, weight.shape, window, groups)
    grad_x = checks.output(out, tuple(x_shape))
    (reference.conv2d_grad_input if in_numpy() else compiled.conv2d_grad_input)(
        grad, weight, window, int(groups), grad_x
    )
    return grad_x


@front_door(REAL, lambda grad_weight, x, grad, *_, **__: grad.size * grad_weight[:1].size)
def conv2d_grad_weight(
    x: Any,
    grad: Any,
    weight_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    groups: int = 1,
    out: Any = None,
    cuts: Sequence[int] | None = None,
) -> Float:
    """Gradient of :func:`conv2d` with respect to its weights, summed over micro-batches.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight_shape : (O, KH, KW, C / groups)
    stride, padding, groups
        Those of the convolution.
    out : float32 (O, KH, KW, C / groups), C-contiguous, optional
        Where to write.
    cuts : sequence of k + 1 ints, optional
        Micro-batch i is the images from ``cuts[i]`` to ``cuts[i + 1] - 1``, none when the two are equal. Images before
        the first and after the last do not count. By default all images are a single one.

    Returns
    -------
    float32 (O, KH, KW, C / groups)
        Each micro-batch is summed as if it came alone, in an order that depends on the shapes alone, and these sums are
        added in the order of :mod:`binnet_kernels.tree`: the same bits for any number of threads. If ``grad`` is not
        finite at a place, the gradient of its filter is not finite or unreliable; whether taps on a border of 0 are
        affected too is unspecified.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others, or ``cuts`` fall or lie outside of
        0 ... N.
    """
    x = checks.floats(x, "x", 4)
    window = Window.of(weight_shape[1:3], stride, padding)
    grad = _grad_of_output(grad, x.shape, weight_shape, window, groups)
    grad_weight = checks.output(out, tuple(weight_shape))
    form = reference.conv2d_grad_weight if in_numpy() else compiled.conv2d_grad_weight
    form(x, grad, window, int(groups), checks.cuts(cuts, len(x)), grad_weight)
    return grad_weight


@front_door()
class Conv2d:
    """A float32 convolution prepared for one set of weights, to call many times.

    Parameters
    ----------
    weight : array (O, KH, KW, C) of real numbers
    stride, padding : int or pair of ints
        Vertical and horizontal; the border is zero.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(self, weight: Any, stride: Pair = 1, padding: Pair = 0) -> None:
        weight = checks.floats(weight, "weight", 4)
        self.shape, self.window = weight.shape, Window.of(weight.shape[1:3], stride, padding)
        self._form = (reference.Conv2d if in_numpy() else compiled.Conv2d)(weight, self.window)

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Images (N, H, W, C) of real numbers to float32 (N, OH, OW, O), written to ``out`` when given."""
        x = checks.floats(x, "x", 4)
        checks.same_channels(x.shape, self.shape)
        y = checks.output(out, (len(x), *self.window.output_size(*x.shape[1:3]), self.shape[0]))
        self._form(x, y)
        return y


def _same_groups(x_shape: tuple[int, ...], weight_shape: tuple[int, ...], groups: Any) -> int:
    """``groups`` as an int; ValueError unless filters (O, KH, KW, C / groups) and images (N, H, W, C) have so many."""
    # bool is a kind of int in Python: without its own check, True would pass for one group.
    if not isinstance(groups, (int, np.integer)) or isinstance(groups, bool) or groups < 1:
        raise ValueError(f"groups must be a whole number, at least 1, got {groups!r}")
    number = int(groups)  # a NumPy integer of 8 bits would overflow in the product below
    if weight_shape[0] % number:
        raise ValueError(f"{weight_shape[0]} filters cannot be divided into {number} groups")
    if x_shape[3] != number * weight_shape[3]:
        expected = weight_shape[3] if number == 1 else f"{number} groups of {weight_shape[3]}"
        raise ValueError(f"x has {x_shape[3]} channels (shape {tuple(x_shape)}), the weights expect {expected}")
    return number


def _grad_of_output(
    grad: Any, x_shape: tuple[int, ...], weight_shape: tuple[int, ...], window: Window, groups: Any
) -> Float:
    """The gradient of a convolution's output: (N, OH, OW, O)."""
    if len(x_shape) != 4 or len(weight_shape) != 4:
        shapes = f"x {tuple(x_shape)} and weight {tuple(weight_shape)}"
        raise ValueError(f"{shapes} must be (N, H, W, C) and (O, KH, KW, C / groups)")
    groups = _same_groups(x_shape, weight_shape, groups)
    return checks.floats(grad, "grad", shape=(x_shape[0], *window.output_size(*x_shape[1:3]), weight_shape[0]))
