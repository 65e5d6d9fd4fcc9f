"""Layers in eight bits: maps rounded to bytes, and convolutions of bytes with weights of a byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..backend import Late, front_door, in_numpy
from ..checks import Float, Pair, Window
from .byte_map import MOST, ByteMap, check_bytes
from .epilogue import Epilogue, Run, check_arrays, check_map
from .int8_filters import Affine, Whole, check_sums

if TYPE_CHECKING:
    from ..compiled.fused import int8 as compiled
    from ..compiled.fused import quantise
    from ..reference import int8 as reference
else:
    reference = Late("binnet_kernels.reference.int8")
    compiled = Late("binnet_kernels.compiled.fused.int8")
    quantise = Late("binnet_kernels.compiled.fused.quantise")


@front_door()
def bind_quantise(x: Float, step: float, zero: int, out: ByteMap, stride: Pair = (1, 1)) -> Run:
    """A function without arguments that rounds a map to whole numbers: ``clip(round(x / step) + zero, 0, 255)``.

    ``x`` is multiplied by 1 / step, rounded to float32, and the product is rounded to nearest, ties to even. NaN
    becomes 0. Equal bits on all machines.

    Parameters
    ----------
    x : float32 (N, H, W, C)
    step : float
        Positive, with a reciprocal that float32 can hold.
    zero : int
        The number that stands for 0, from 0 to 255.
    out : ByteMap (N, ceil(H / sh), ceil(W / sw), C)
        Its inside is written.
    stride : int or pair of ints
        Every sh-th row and every sw-th column is rounded, from the first on.

    Raises
    ------
    ValueError
        When an argument does not fit.
    """
    n, h, w, c = check_map(x).shape
    down, right = checks.pair(stride, "stride", 1)
    check_bytes(out, "out", (n, -(-h // down), -(-w // right), c))
    with np.errstate(all="ignore"):
        factor = np.float32(1 / np.float64(step))
    if not 0 < factor < np.inf:  # False for NaN
        raise ValueError(f"step must be positive, with a reciprocal that float32 can hold, got {step!r}")
    if checks.count(zero, "zero") > MOST:
        raise ValueError(f"zero must be a whole number from 0 to {MOST}, got {zero!r}")
    form = reference.bind_quantise if in_numpy() else quantise.bind_quantise
    return form(x, factor, np.float32(zero), out, (down, right))


@front_door()
class FusedInt8Conv2d:
    """A convolution ``Σ (q - zero) weight · scale + bias`` of whole numbers q; then an :class:`Epilogue`.

    ``Σ q weight`` is exact. It is rounded to float32 and multiplied by the scale, and one number is added, which holds
    the bias and the zeros under the window: equal bits on all machines. The border counts 0.

    Parameters
    ----------
    weight : int8 (O, KH, KW, C), or uint64 (ceil(n / 64),)
        Whole weights, or the signs of n weights as in :class:`FusedXnorConv2d`.
    shape : (O, KH, KW, C)
    stride : int or pair of ints
    padding : int, pair of ints, or four ints (top, bottom, left, right)
    scale : array (O,)
    zero : array (C,), or (1,) for all channels
        The number that stands for 0, from 0 to 255, a multiple of 2^-16.
    bias : array (O,), optional
        0 when not given.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or a sum could leave 32 bits.
    """

    def __init__(
        self,
        weight: Any,
        shape: tuple[int, ...],
        stride: Pair = 1,
        padding: Pair = 0,
        *,
        scale: Any,
        zero: Any,
        bias: Any = None,
    ) -> None:
        o, c = shape[0], shape[3]
        self.shape, self.window = tuple(shape), Window.with_border(shape[1:3], stride, padding)
        scale = checks.floats(scale, "scale", shape=(o,)).copy()
        zero = checks.floats(zero, "zero", shape=(1,) if np.shape(zero) == (1,) else (c,))
        bias = checks.floats(np.zeros(o) if bias is None else bias, "bias", shape=(o,)).copy()
        whole, self._one_bit = _whole(weight, self.shape), np.asarray(weight).dtype == np.uint64
        check_sums(whole)
        form = reference.FusedInt8Conv2d if in_numpy() else compiled.FusedInt8Conv2d
        self._form = form(whole, self.window, Affine.of(whole, zero, scale, bias))

    def stored(self) -> npt.NDArray[Any]:
        """The weights as they were given, converted back from the order of the kernel."""
        whole = self._form.stored()
        if not self._one_bit:
            return whole
        bits = np.pad(whole.ravel() < 0, (0, -whole.size % 64))
        return np.packbits(bits, bitorder="little").view(np.uint64)

    def bind(
        self,
        x: ByteMap,
        epilogue: Epilogue,
        *,
        pool: Window | None = None,
        residual: Any = None,
        out: Any = None,
        bits: Any = None,
    ) -> Run:
        """A function without arguments that convolves.

        Parameters
        ----------
        x : ByteMap of images (N, H, W, C) with the border of this layer
        pool
            The largest value of each of these windows goes through the epilogue, as in :func:`max_pool2d`: the border
            never wins. The map of the values in between is never written as a whole.
        residual, out, bits
            As in :meth:`FusedXnorConv2d.bind`, of the size after pooling.

        Raises
        ------
        ValueError
            When an array does not fit.
        """
        n, h, w, _ = check_bytes(x, "x", (None, None, None, self.shape[3]), self.window.border).shape
        size = self.window.output_size(h, w)
        pooled = size if pool is None else pool.output_size(*size)
        arrays = check_arrays(epilogue, (n, *pooled, self.shape[0]), out, bits, residual)
        return self._form.bind(x, epilogue, pool, arrays)


def _whole(weight: Any, shape: tuple[int, ...]) -> Whole:
    """The weights as int8 of ``shape``: as given, or -1 where a bit is 1."""
    array = np.asarray(weight)
    if array.dtype == np.uint64:
        words, n = checks.packed(array, int(np.prod(shape)), "weight", 1), int(np.prod(shape))
        bits = np.unpackbits(words.view(np.uint8), count=n, bitorder="little")
        return (1 - 2 * bits.astype(np.int8)).reshape(shape)
    if array.dtype != np.int8:
        raise TypeError(f"weight must be an array of int8, or of uint64 words of signs, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"weight must have shape {shape}, got {array.shape}")
    return array
