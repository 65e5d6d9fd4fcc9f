"""ReLU, its gradient, the polynomial gradient of the sign, and sums of maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import checks
from .backend import ELEMENTWISE, Late, front_door, in_numpy
from .checks import Float

if TYPE_CHECKING:
    from .compiled.forward import elementwise as compiled
    from .reference import maps as reference
else:
    reference = Late("binnet_kernels.reference.maps")
    compiled = Late("binnet_kernels.compiled.forward.elementwise")


@front_door(ELEMENTWISE)
def relu(x: Any, out: Any = None) -> Float:
    """``max(x, 0)``.

    Parameters
    ----------
    x : array of real numbers, any shape
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
    x = checks.floats(x, "x")
    result = checks.output(out, x.shape)
    (reference.relu if in_numpy() else compiled.relu)(x, result)
    return result


@front_door(ELEMENTWISE)
def relu_grad(grad: Any, y: Any, out: Any = None) -> Float:
    """Gradient of :func:`relu`: ``grad`` where ``y > 0``, else 0.

    Parameters
    ----------
    grad, y : arrays of real numbers of one shape
        Gradient of the result, and the result.
    out : float32, C-contiguous, optional
        Where to write; it may be ``grad`` itself.

    Returns
    -------
    float32, the shape of ``y``

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    y = checks.floats(y, "y")
    grad, result = checks.floats(grad, "grad", shape=y.shape), checks.output(out, y.shape)
    (reference.relu_grad if in_numpy() else compiled.relu_grad)(grad, y, result)
    return result


@front_door(ELEMENTWISE)
def polynomial_grad(grad: Any, x: Any, out: Any = None) -> Float:
    """Gradient of the sign of ``x`` by Bi-Real Net's polynomial (arXiv:1808.00278): ``grad * max(2 - 2|x|, 0)``.

    Parameters
    ----------
    grad, x : arrays of real numbers of one shape
        Gradient with respect to sign(x), and x.
    out : float32, C-contiguous, optional
        Where to write; it may be ``grad`` or ``x``.

    Returns
    -------
    float32, the shape of ``x``
        NaN where ``x`` is NaN.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    x = checks.floats(x, "x")
    grad, result = checks.floats(grad, "grad", shape=x.shape), checks.output(out, x.shape)
    (reference.polynomial_grad if in_numpy() else compiled.polynomial_grad)(grad, x, result)
    return result


@front_door(ELEMENTWISE)
def add(x: Any, y: Any, out: Any = None) -> Float:
    """``x + y``, without broadcasting.

    Parameters
    ----------
    x, y : arrays of real numbers of one shape
    out : float32, C-contiguous, optional
        Where to write; it may be ``x`` or ``y``.

    Returns
    -------
    float32, the shape of ``x``

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """
    x = checks.floats(x, "x")
    y, result = checks.floats(y, "y", shape=x.shape), checks.output(out, x.shape)
    (reference.add if in_numpy() else compiled.add)(x, y, result)
    return result
