"""Passes over whole maps between fused convolutions: pooling, element by element, packing; on floats and on bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import checks
from ..backend import Late, front_door, in_numpy
from ..checks import NO_BORDER, Float, Window
from .bit_map import BitMap, check_bits
from .epilogue import Epilogue, Run, check_arrays, check_map, check_vector

if TYPE_CHECKING:
    from ..compiled.fused import maps as compiled
    from ..reference import fused as reference
else:
    reference = Late("binnet_kernels.reference.fused")
    compiled = Late("binnet_kernels.compiled.fused.maps")

ONE = Window((1, 1), (1, 1), NO_BORDER)  # to pool nothing


@front_door()
def bind_map(
    x: Float, epilogue: Epilogue, *, window: Window = ONE, residual: Any = None, out: Any = None, bits: Any = None
) -> Run:
    """A function without arguments that takes the largest value of each window through an :class:`Epilogue`.

    With the window of one pixel it is what stands alone: a normalisation, a residual sum, the packing of a map.

    Parameters
    ----------
    x : float32 (N, H, W, C)
    window
        As in :func:`max_pool2d`: the border never wins, NaN always does.
    residual, out, bits
        As in :meth:`FusedXnorConv2d.bind`.

    Raises
    ------
    ValueError
        When an array does not fit.
    """
    n, h, w, c = check_map(x).shape
    if h == 0 or w == 0:  # a window over padding alone has no largest value
        raise ValueError(f"x must have images of at least one pixel, got shape {x.shape}")
    arrays = check_arrays(epilogue, (n, *window.output_size(h, w), c), out, bits, residual)
    return (reference.bind_map if in_numpy() else compiled.bind_map)(x, epilogue, window, arrays)


@front_door()
def bind_average(x: Float, out: Float, window: Window) -> Run:
    """A function without arguments that writes the mean of each window, the border counted as zeros.

    Parameters
    ----------
    x : float32 (N, H, W, C)
    out : float32 (N, OH, OW, C)
        Written; see :func:`avg_pool2d`.
    window
        The mean is divided by its whole size.

    Raises
    ------
    ValueError
        When an array does not fit.
    """
    n, h, w, c = check_map(x).shape
    checks.output(out, (n, *window.output_size(h, w), c))
    return (reference.bind_average if in_numpy() else compiled.bind_average)(x, out, window)


@front_door()
def bind_pool_bits(x: BitMap, flips: Any, out: BitMap, window: Window) -> Run:
    """A function without arguments that joins the bits of each window by AND, and negates them where ``flips``.

    Max-pooling of values that were compared with a threshold before: all are at most t exactly where the largest is.

    Parameters
    ----------
    x : BitMap of images (N, H, W, C), without a border
    flips : bool (C,)
    out : BitMap of the images after pooling
    window
        The border is passed over.

    Raises
    ------
    ValueError
        When an array does not fit.
    """
    n, h, w, c = check_bits(x, "x", (None,) * 4, NO_BORDER).shape
    check_bits(out, "out", (n, *window.output_size(h, w), c))
    form = reference.bind_pool_bits if in_numpy() else compiled.bind_pool_bits
    return form(x, check_vector(flips, "flips", c, "b"), out, window)


@front_door()
def bind_pack_with_k(x: Float, bits: BitMap, K: Float, window: Window) -> Run:
    """A function without arguments that packs the signs of a map and computes K of a window over it (Eq. 11).

    Parameters
    ----------
    x : float32 (N, H, W, C)
    bits : BitMap of these images with the border of ``window``
    K : float32 (N, OH, OW, 1)
        Written; see :func:`scale_map`.

    Raises
    ------
    ValueError
        When an array does not fit.
    """
    n, h, w, _ = check_map(x).shape
    checks.output(K, (n, *window.output_size(h, w), 1))
    check_bits(bits, "bits", x.shape, window.border)
    return (reference.bind_pack_with_k if in_numpy() else compiled.bind_pack_with_k)(x, bits, K, window)
