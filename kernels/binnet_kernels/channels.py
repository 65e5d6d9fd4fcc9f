"""Maps with numbers a channel: RPReLU, its gradient, and sums of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import checks
from .backend import ELEMENTWISE, Late, front_door, in_numpy
from .checks import Doubles, Float

if TYPE_CHECKING:
    from .compiled.forward import channels as compiled
    from .reference import maps as reference
else:
    reference = Late("binnet_kernels.reference.maps")
    compiled = Late("binnet_kernels.compiled.forward.channels")


@front_door(ELEMENTWISE)
def rprelu(x: Any, before: Any, slope: Any, after: Any, out: Any = None) -> Float:
    """ReActNet's activation (RPReLU, arXiv:2003.03488): ``prelu(x + before) + after``.

    prelu(v) is v where v >= 0, else slope · v.

    Parameters
    ----------
    x : array of real numbers (..., C)
    before, slope, after : (C,)
        A shift, a slope and another shift for each channel.
    out : float32, C-contiguous, optional
        Where to write; it may be ``x`` itself.

    Returns
    -------
    float32, the shape of ``x``
        NaN stays NaN.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    x = _map(x, "x")
    c = x.shape[-1:]
    before, slope, after = (
        checks.floats(value, name, shape=c) for value, name in ((before, "before"), (slope, "slope"), (after, "after"))
    )
    result = checks.output(out, x.shape)
    (reference.rprelu if in_numpy() else compiled.rprelu)(x, before, slope, after, result)
    return result


@front_door(ELEMENTWISE)
def rprelu_grad(grad: Any, x: Any, before: Any, slope: Any, out: Any = None) -> tuple[Float, Doubles, Doubles, Doubles]:
    """Gradients of :func:`rprelu`. The derivative of the activation where ``x + before`` is 0 is 1.

    Parameters
    ----------
    grad, x : arrays of real numbers (..., C)
        Gradient of the result, and the input.
    before, slope : (C,)
    out : float32, C-contiguous, optional
        Where to write the gradient of ``x``; it may be ``grad`` itself.

    Returns
    -------
    grad_x : float32, the shape of ``x``
    grad_before, grad_slope, grad_after : float64 (C,)
        Sums over all axes but the last.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    x = _map(x, "x")
    grad, c = checks.floats(grad, "grad", shape=x.shape), x.shape[-1:]
    before, slope = checks.floats(before, "before", shape=c), checks.floats(slope, "slope", shape=c)
    grad_x = checks.output(out, x.shape)
    sums = (reference.rprelu_grad if in_numpy() else compiled.rprelu_grad)(grad, x, before, slope, grad_x)
    return grad_x, *sums


@front_door(ELEMENTWISE)
def channel_sums(x: Any) -> Doubles:
    """Sums over all axes but the last, in float64.

    Parameters
    ----------
    x : array of real numbers (..., C)

    Returns
    -------
    float64 (C,)

    Raises
    ------
    TypeError, ValueError
        When ``x`` has the wrong type or no channels.
    """
    return (reference.channel_sums if in_numpy() else compiled.channel_sums)(_map(x, "x"))


def _map(value: Any, name: str) -> Float:
    """An array (..., C) of at least one channel."""
    array = checks.floats(value, name)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one channel along its last axis, got shape {array.shape}")
    return array
