"""A border around images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Context, Function, Grads
from ..tensor import Tensor

Border = int | Sequence[int]


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
    numbers = [int(n) for n in sides]
    if len(numbers) < 4:
        numbers = [numbers[0]] * 2 + [numbers[-1]] * 2
    return numbers[0], numbers[1], numbers[2], numbers[3]


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
        grad_x: Float = grad[inside]
        return grad_x
