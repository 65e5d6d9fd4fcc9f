"""Binary weights and real inputs: convolutions and dense layers of additions and subtractions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import checks
from .backend import REAL, WEIGHTS, Late, Work, front_door, in_numpy
from .binarize import weight_alpha
from .checks import Float, Pair, Window
from .xnor import multiply_adds, rows_as_pixels

if TYPE_CHECKING:
    from .compiled.forward import bwn as compiled
    from .reference import xnor as reference
else:
    reference = Late("binnet_kernels.reference.xnor")
    compiled = Late("binnet_kernels.compiled.forward.bwn")


@front_door(WEIGHTS, __call__=Work(REAL, multiply_adds))
class BwnConv2d:
    """A convolution with binary weights, prepared for one set of weights (arXiv:1603.05279, Eq. 1).

    ``y = (x * sign(W)) . alpha`` with additions and subtractions only.

    Parameters
    ----------
    weight : array (O, KH, KW, C) of real numbers
    stride, padding : int or pair of ints
        Vertical and horizontal; the border is zero.
    alpha : bool or array (O,)
        True: mean of |W| for each filter (Eq. 6). False: 1 (BinaryConnect). An array: these scales.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(self, weight: Any, stride: Pair = 1, padding: Pair = 0, alpha: Any = True) -> None:
        weight = checks.filters(weight, 4)
        self.window = Window.of(weight.shape[1:3], stride, padding)
        self.alpha, self.shape = checks.alpha(alpha, weight, weight_alpha), weight.shape
        self._form = (reference.BwnConv2d if in_numpy() else compiled.BwnConv2d)(weight, self.window, self.alpha)

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Images (N, H, W, C) of real numbers to float32 (N, OH, OW, O), written to ``out`` when given."""
        x = checks.floats(x, "x", 4)
        checks.same_channels(x.shape, self.shape)
        y = checks.output(out, (len(x), *self.window.output_size(*x.shape[1:3]), self.shape[0]))
        self._form(x, y)
        return y


@front_door(WEIGHTS)
class BwnLinear:
    """A dense layer with binary weights: ``y = (x · sign(W)) . alpha``.

    Parameters
    ----------
    weight : array (O, I) of real numbers
    alpha : bool or array (O,)
        As in :class:`BwnConv2d`.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(self, weight: Any, alpha: Any = True) -> None:
        weight = checks.filters(weight, 2)
        conv = BwnConv2d(weight[:, None, None], alpha=alpha)
        self.shape, self.alpha, self._form = weight.shape, conv.alpha, conv._form

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Rows (N, I) of real numbers to float32 (N, O), written to ``out`` when given."""
        return rows_as_pixels(self._form, x, self.shape, out)
