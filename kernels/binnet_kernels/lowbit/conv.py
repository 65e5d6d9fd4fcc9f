"""Convolutions of k-bit weights with m-bit inputs, prepared for one set of weights."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..backend import POPCOUNT, WEIGHTS, Late, Work, front_door, in_numpy
from ..checks import Float, Pair, Window
from ..fused.epilogue import Arrays, Epilogue
from ..xnor import multiply_adds, rows_as_pixels
from .fused import check_sums
from .levels import weight_planes, weight_range

if TYPE_CHECKING:
    from ..compiled.lowbit import fused as compiled
    from ..reference.lowbit import fused as reference
else:
    reference = Late("binnet_kernels.reference.lowbit.fused")
    compiled = Late("binnet_kernels.compiled.lowbit.fused")


@front_door(WEIGHTS, __call__=Work(POPCOUNT, multiply_adds), convolve_bits=Work(POPCOUNT, multiply_adds))
class KbitConv2d:
    """A convolution of k-bit weights with m-bit inputs, ``y = (q_m(x) * q_k(W / alpha)) . K . alpha``, by popcount.

    With one bit each it is :class:`XnorConv2d`.

    Parameters
    ----------
    weight : array (O, KH, KW, C) of real numbers
    weight_bits, act_bits : int
        k and m, from 1 to 8.
    stride, padding : int or pair of ints
    pad_value : 0, +1 or -1
        What the border holds, exact also for 0, which is no level.
    alpha : bool or array (O,)
        The scale of the result. True: that of the weights, see :func:`weight_range`. False: 1. An array: these scales.
        The levels of the weights do not depend on it.
    use_k : bool
        Multiply by the map K of Eq. 11.
    bias : array (O,), optional
        Added at the end.

    Attributes
    ----------
    alpha : float32 (O,)
    weight_signs : uint64 (O, KH, KW, ceil(C / 64))
        The highest plane of the weights; sign(W) of one-bit weights, for the gradient.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range, or a sum would not fit 32 bits.
    """

    def __init__(
        self,
        weight: Any,
        weight_bits: int,
        act_bits: int,
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        alpha: Any = True,
        use_k: bool = False,
        bias: Any = None,
    ) -> None:
        weight = checks.filters(weight, 4)
        checks.levels(weight_bits, "weight_bits")
        check_sums(act_bits, weight_bits, math.prod(weight.shape[1:]))
        self.shape, self.window = weight.shape, Window.of(weight.shape[1:3], stride, padding)
        self.alpha = checks.alpha(alpha, weight, partial(weight_range, bits=weight_bits))
        planes, self.use_k, self._act_bits = weight_planes(weight, weight_bits), bool(use_k), int(act_bits)
        self.weight_signs = planes[-1]
        # Epilogues have no step for a bias: a normalisation with mean 0 and factor 1 adds it, with the same rounding.
        bias, none, one = checks.bias(bias, len(weight)), np.zeros_like(self.alpha), np.ones_like(self.alpha)
        self._steps: list[tuple[Any, ...]] = [] if bias is None else [("norm", none, one, bias)]
        form = reference.FusedKbitConv2d if in_numpy() else compiled.FusedKbitConv2d
        options = checks.pad_value(pad_value), self._act_bits, self.alpha, self.use_k
        self._form = form(planes, weight.shape, self.window, *options)

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Images (N, H, W, C) of real numbers to float32 (N, OH, OW, O); errors and ``out`` as :class:`XnorConv2d`.

        NaN in ``x`` counts as +1; with ``use_k`` it reaches K and so every output that sees it.
        """
        x = checks.floats(x, "x", 4)
        checks.same_channels(x.shape, self.shape)
        y = self._output(x.shape, out)
        self._form.bind(x, Epilogue(self._steps), Arrays(y.shape, y))()
        return y

    def convolve_bits(self, bits: Any, x_shape: tuple[int, ...], relu: bool = False, out: Any = None) -> Float:
        """Convolve the levels of images that are packed already: the same floats, bit for bit, as ``plan(x)``.

        Parameters
        ----------
        bits : uint32 (m, N, H + 2 ph, W + 2 pw, ceil(C / 32))
            Planes of levels with the border of this plan, from :func:`signs`.
        x_shape, relu, out
            As in :meth:`XnorConv2d.convolve_bits`.

        Returns
        -------
        float32 (N, OH, OW, O)

        Raises
        ------
        TypeError, ValueError
            When an argument has the wrong type or shape, or the plan multiplies by K.
        """
        # K is a mean of |x|, and the planes hold only rounded values.
        if self.use_k:
            raise ValueError("K cannot be computed from signs: with use_k=True call the layer on real images")
        bits = checks.map_of_bits(bits, x_shape, self.window.border, self._act_bits)
        checks.same_channels(x_shape, self.shape)
        y, steps = self._output(x_shape, out), [*self._steps, *[("relu",)] * bool(relu)]
        self._form.bind_planes(bits, x_shape, Epilogue(steps), Arrays(y.shape, y))()
        return y

    def _output(self, x_shape: tuple[int, ...], out: Any) -> Float:
        return checks.output(out, (x_shape[0], *self.window.output_size(*x_shape[1:3]), self.shape[0]))


@front_door(WEIGHTS)
class KbitLinear:
    """A dense layer of levels: :class:`KbitConv2d` on single pixels, weight (O, I), with beta in the place of K.

    Parameters
    ----------
    weight : array (O, I) of real numbers
    weight_bits, act_bits, alpha, use_k, bias
        As in :class:`KbitConv2d`.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, shape or range, or a sum would not fit 32 bits.
    """

    def __init__(
        self, weight: Any, weight_bits: int, act_bits: int, alpha: Any = True, use_k: bool = False, bias: Any = None
    ) -> None:
        weight = checks.filters(weight, 2)
        options = {"alpha": alpha, "use_k": use_k, "bias": bias}
        self._conv = KbitConv2d(weight[:, None, None], weight_bits, act_bits, **options)
        self.shape, self.alpha = weight.shape, self._conv.alpha

    def __call__(self, x: Any, out: Any = None) -> Float:
        """Rows (N, I) of real numbers to float32 (N, O); errors and ``out`` as in :class:`KbitConv2d`."""
        return rows_as_pixels(self._conv, x, self.shape, out)
