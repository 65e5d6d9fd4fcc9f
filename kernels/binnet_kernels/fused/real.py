"""Convolutions of real images, fused with what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..backend import Late, front_door, in_numpy
from ..checks import NO_BORDER, Float, Pair, Window
from .epilogue import Epilogue, Run, check_arrays, check_map

if TYPE_CHECKING:
    from ..compiled.fused import real as compiled
    from ..reference import fused as reference
else:
    reference = Late("binnet_kernels.reference.fused")
    compiled = Late("binnet_kernels.compiled.fused.real")


@front_door()
class FusedConv2d:
    """A convolution of real images with real or one-bit weights (Eq. 1); its output goes through an :class:`Epilogue`.

    Parameters
    ----------
    weight : float32 (O, KH, KW, C), or uint64 (ceil(n / 64),)
        Real weights, or the signs of n weights as in :class:`FusedXnorConv2d`.
    shape : (O, KH, KW, C)
    stride : int or pair of ints
    padding : int, pair of ints, or four ints (top, bottom, left, right)
    alpha, bias : array (O,), optional
        ``sum * alpha + bias``; 1 and 0 when not given.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(
        self,
        weight: Any,
        shape: tuple[int, ...],
        stride: Pair = 1,
        padding: Pair = 0,
        alpha: Any = None,
        bias: Any = None,
    ) -> None:
        # One-bit weights stay bits in memory, where float32 would be 32 times as large.
        o, one_bit = shape[0], np.asarray(weight).dtype == np.uint64
        self.shape, self.window = shape, Window.with_border(shape[1:3], stride, padding)
        alpha = checks.floats(np.ones(o) if alpha is None else alpha, "alpha", shape=(o,))
        bias = checks.floats(np.zeros(o) if bias is None else bias, "bias", shape=(o,))
        form: type[reference.FusedConv2d] | type[compiled.FusedConv2d]
        if one_bit:
            weight = checks.packed(weight, int(np.prod(shape)), "weight", 1)
            form = reference.FusedBwnConv2d if in_numpy() else compiled.FusedBwnConv2d
        else:
            weight = checks.floats(weight, "weight", shape=shape)
            form = reference.FusedConv2d if in_numpy() else compiled.FusedConv2d
        self._form = form(weight, shape, self.window, alpha, bias)

    def stored(self) -> npt.NDArray[Any]:
        """The weights as they were given, converted back from the order of the kernel."""
        return self._form.stored()

    def bind(self, x: Float, epilogue: Epilogue, *, residual: Any = None, out: Any = None, bits: Any = None) -> Run:
        """A function without arguments that convolves.

        Parameters
        ----------
        x : float32 (N, top + H + bottom, left + W + right, C)
            The images with their border of zeros.
        residual, out, bits
            As in :meth:`FusedXnorConv2d.bind`.

        Raises
        ------
        ValueError
            When an array does not fit.
        """
        checks.same_channels(check_map(x).shape, self.shape)
        # Real images come with their border, so that no kernel tests whether a tap lies on it.
        size = replace(self.window, border=NO_BORDER).output_size(*x.shape[1:3])
        arrays = check_arrays(epilogue, (len(x), *size, self.shape[0]), out, bits, residual)
        return self._form.bind(x, epilogue, arrays)
