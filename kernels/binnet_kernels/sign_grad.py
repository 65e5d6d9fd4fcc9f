"""Gradients of a convolution of signs with signs, in float32: the signs are read as the bits they are kept in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from . import checks
from .backend import FLOAT_GRADIENTS, Late, front_door, in_numpy
from .checks import Float, Pair, Window
from .reference import sign_grad as reference

if TYPE_CHECKING:
    from .compiled.backward import sign_grad as compiled
else:
    compiled = Late("binnet_kernels.compiled.backward.sign_grad")


@front_door(FLOAT_GRADIENTS, lambda grad_weight, bits, grad, *_, **__: grad.size * grad_weight[:1].size)
def sign_grad_weight(
    bits: Any,
    grad: Any,
    weight_shape: tuple[int, ...],
    x_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
    out: Any = None,
) -> Float:
    """Gradient of a convolution of sign(x) with respect to its weights W̃ (arXiv:1603.05279, section 3.1).

    Parameters
    ----------
    bits : uint32 (N, H + 2 ph, W + 2 pw, ceil(C / 32))
        sign(x) with its border, from :func:`signs`.
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight_shape : (O, KH, KW, C)
    x_shape : (N, H, W, C)
    stride, padding : int or pair of ints
        Those of the convolution.
    pad_value : 0, +1 or -1
        What the border counts as. With 0 its bits are not read.
    out : float32 (O, KH, KW, C), C-contiguous, optional
        Where to write.

    Returns
    -------
    float32 (O, KH, KW, C)
        Summed in an order that depends on the shapes alone: the same bits for any number of threads. A gradient that
        is not finite spreads through its filter; places on a border of 0 are left out there, or not.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others.
    """
    window, pad_value = Window.of(weight_shape[1:3], stride, padding), checks.pad_value(pad_value)
    bits = checks.map_of_bits(bits, x_shape, window.border)
    grad = checks.conv_grad(grad, x_shape, weight_shape, window)
    result = checks.output(out, tuple(weight_shape))
    form = reference.sign_grad_weight if in_numpy() else compiled.sign_grad_weight
    form(bits, grad, tuple(x_shape), window, pad_value, result)
    return result


@front_door(
    FLOAT_GRADIENTS,
    lambda grad_x, grad, signs, *_, **__: grad.size * math.prod(signs.shape[1:3]) * grad_x.shape[3],
)
def sign_grad_input(
    grad: Any,
    weight_signs: Any,
    alpha: Any,
    x_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    out: Any = None,
) -> Float:
    """Gradient of a convolution with alpha sign(W) with respect to its input sign(x).

    Parameters
    ----------
    grad : array (N, OH, OW, O) of real numbers
        Gradient of the output.
    weight_signs : uint64 (O, KH, KW, ceil(C / 64))
        sign(W) from :func:`pack_signs`.
    alpha : array (O,) of real numbers
        Scales of the filters.
    x_shape : (N, H, W, C)
    stride, padding : int or pair of ints
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
    signs = checks.words(weight_signs, "weight_signs", 4)
    window = Window.of(signs.shape[1:3], stride, padding)
    signs = checks.packed(signs, checks.image_shape(x_shape)[3], "weight_signs")
    grad = checks.conv_grad(grad, x_shape, (*signs.shape[:3], x_shape[3]), window)
    alpha = checks.floats(alpha, "alpha", shape=signs.shape[:1])
    result = checks.output(out, tuple(x_shape))
    (reference.sign_grad_input if in_numpy() else compiled.sign_grad_input)(grad, signs, alpha, window, result)
    return result
