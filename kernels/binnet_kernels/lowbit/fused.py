"""Convolutions of levels fused with what follows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..backend import Late, front_door, in_numpy
from ..checks import Float, Pair, Window, Words
from ..fused.epilogue import Epilogue, Run, check_arrays, check_map

if TYPE_CHECKING:
    from ..compiled.lowbit import fused as compiled
    from ..reference.lowbit import fused as reference
else:
    reference = Late("binnet_kernels.reference.lowbit.fused")
    compiled = Late("binnet_kernels.compiled.lowbit.fused")


@front_door()
class FusedKbitConv2d:
    """A convolution of levels with levels whose output goes through an :class:`Epilogue`.

    Parameters
    ----------
    planes : uint64 (k, ceil(n / 64)) or (k, O, KH, KW, ceil(C / 64))
        Those of the n weights in OHWI order, as :func:`pack_planes` packs them, or as :func:`weight_planes` does.
    shape : (O, KH, KW, C)
    act_bits : int
        m, from 1 to 8.
    stride, pad_value, use_k
        As in :class:`XnorConv2d`.
    padding : int, pair of ints, or four ints (top, bottom, left, right)
    alpha : array (O,), optional
        Scales, 1 when not given.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape, or a sum would not fit 32 bits.
    """

    def __init__(
        self,
        planes: Any,
        shape: tuple[int, ...],
        act_bits: int,
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        alpha: Any = None,
        use_k: bool = False,
    ) -> None:
        tap_by_tap = np.ndim(planes) == 5
        planes = checks.packed(planes, shape[3] if tap_by_tap else math.prod(shape), "planes", 5 if tap_by_tap else 2)
        check_sums(act_bits, len(planes), math.prod(shape[1:]))
        self.shape, self.window = shape, Window.with_border(shape[1:3], stride, padding)
        alpha = np.ones(shape[0], np.float32) if alpha is None else checks.floats(alpha, "alpha", shape=shape[:1])
        form = reference.FusedKbitConv2d if in_numpy() else compiled.FusedKbitConv2d
        options = checks.pad_value(pad_value), int(act_bits), alpha, bool(use_k)
        self._form = form(planes, shape, self.window, *options)

    def stored(self) -> Words:
        """The planes as they were given, converted back from the order of the kernel."""
        return self._form.stored()

    def bind(self, x: Float, epilogue: Epilogue, *, residual: Any = None, out: Any = None, bits: Any = None) -> Run:
        """A function without arguments that quantises, packs and convolves.

        Parameters
        ----------
        x : float32 (N, H, W, C)
        residual, out, bits
            As in :meth:`FusedXnorConv2d.bind`.

        Raises
        ------
        ValueError
            When an array does not fit.
        """
        n, h, w, _ = check_map(x).shape
        checks.same_channels(x.shape, self.shape)
        arrays = check_arrays(epilogue, (n, *self.window.output_size(h, w), self.shape[0]), out, bits, residual)
        return self._form.bind(x, epilogue, arrays)


def check_sums(act_bits: Any, weight_bits: Any, n: int) -> None:
    """ValueError when a sum of ``n`` products of levels might not fit 32 bits, or a number of bits is out of range."""
    largest = checks.levels(act_bits, "act_bits") * checks.levels(weight_bits, "weight_bits")
    # Sums of levels are counted as whole numbers L q in int32 lanes.
    if n * largest >= 1 << 31:
        most = ((1 << 31) - 1) // largest
        raise ValueError(f"{weight_bits}-bit weights and {act_bits}-bit inputs allow {most} taps a filter, got {n}")
