"""Maps of levels, as planes of bits: of a map, of a normalised map, and the gradient of weights from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..backend import FLOAT_GRADIENTS, PACKING, Late, front_door, in_numpy
from ..checks import Float, Halves, Pair, Window
from ..norm.forward import normalisation

if TYPE_CHECKING:
    from ..compiled.lowbit import level_planes as compiled
    from ..reference.lowbit import planes as reference
else:
    reference = Late("binnet_kernels.reference.lowbit.planes")
    compiled = Late("binnet_kernels.compiled.lowbit.level_planes")


@front_door(PACKING)
def level_planes(x: Any, bits: int, padding: Pair = 0, pad_value: int = 0) -> tuple[Halves, Halves]:
    """:func:`signs` with levels in the place of signs.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    bits : int
        m, from 1 to 8: the levels are q_m(x), see :func:`quantise_input`.
    padding, pad_value
        As in :func:`signs`.

    Returns
    -------
    planes : uint32 (m, N, H + 2 ph, W + 2 pw, ceil(C / 32))
        The planes of the levels, as :func:`pack_planes` packs them; unused bits are 0.
    within : uint32 (N, H, W, ceil(C / 32))
        As from :func:`signs`.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    x = checks.floats(x, "x", 4)
    border, pad_value, planes, within = _room(x, bits, padding, pad_value)
    (reference.level_planes if in_numpy() else compiled.level_planes)(x, border, pad_value, planes, within)
    return planes, within


@front_door(PACKING)
def norm_level_planes(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    eps: float,
    bits: int,
    padding: Pair = 0,
    pad_value: int = 0,
) -> tuple[Halves, Halves]:
    """:func:`level_planes` of :func:`batch_norm_inference`, with the same roundings, in one pass over ``x``.

    Parameters
    ----------
    x : array (N, H, W, C) of real numbers
    gamma, beta, mean, var, eps
        As in :func:`norm_signs`.
    bits, padding, pad_value
        As in :func:`level_planes`.

    Returns
    -------
    planes, within
        As from :func:`level_planes`.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range.
    """
    x, affine = normalisation(checks.floats(x, "x", 4), gamma, beta, mean, var, eps)
    border, pad_value, planes, within = _room(x, bits, padding, pad_value)
    form = reference.norm_level_planes if in_numpy() else compiled.norm_level_planes
    form(x, affine, border, pad_value, planes, within)
    return planes, within


@front_door(FLOAT_GRADIENTS, lambda grad_weight, planes, grad, *_, **__: grad.size * grad_weight[:1].size)
def level_grad_weight(
    planes: Any,
    grad: Any,
    weight_shape: tuple[int, ...],
    x_shape: tuple[int, ...],
    stride: Pair = 1,
    padding: Pair = 0,
    pad_value: int = 0,
    out: Any = None,
    cuts: Sequence[int] | None = None,
) -> Float:
    """:func:`sign_grad_weight` with levels in the place of signs.

    Parameters
    ----------
    planes : uint32 (m, N, H + 2 ph, W + 2 pw, ceil(C / 32))
        The planes of q_m(x) with its border, from :func:`level_planes`.
    grad, weight_shape, x_shape, stride, padding, pad_value, out, cuts
        As in :func:`sign_grad_weight`.

    Returns
    -------
    float32 (O, KH, KW, C)

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, or a shape that does not fit the others, or ``cuts`` fall or lie outside of
        0 ... N.
    """
    window, pad_value = Window.of(weight_shape[1:3], stride, padding), checks.pad_value(pad_value)
    planes = checks.map_of_bits(planes, x_shape, window.border, len(planes))
    grad = checks.conv_grad(grad, x_shape, weight_shape, window)
    result = checks.output(out, tuple(weight_shape))
    form = reference.level_grad_weight if in_numpy() else compiled.level_grad_weight
    form(planes, grad, tuple(x_shape), window, pad_value, checks.cuts(cuts, len(grad)), result)
    return result


def _room(x: Float, bits: int, padding: Pair, pad_value: int) -> tuple[tuple[int, int], int, Halves, Halves]:
    """The border of a map of levels, its value, and room for planes and for a bit of each value."""
    bits = checks.whole_bits(bits, "bits")
    border, pad_value = checks.pair(padding, "padding", 0), checks.pad_value(pad_value)
    plane, within = checks.sign_maps(x.shape, border)
    return border, pad_value, np.empty((bits, *plane.shape), np.uint32), within
