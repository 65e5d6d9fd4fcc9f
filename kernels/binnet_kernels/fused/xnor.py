"""Binary convolutions fused with what follows: normalisation, ReLU, residual sum, and the signs for the next layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checks
from ..backend import Late, front_door, in_numpy
from ..checks import Pair, Window, Words
from .bit_map import BitMap, check_bits
from .epilogue import Epilogue, Run, check_arrays, check_vector

if TYPE_CHECKING:
    from ..compiled.fused import xnor as compiled
    from ..reference import fused as reference
else:
    reference = Late("binnet_kernels.reference.fused")
    compiled = Late("binnet_kernels.compiled.fused.xnor")


@front_door()
class FusedXnorConv2d:
    """A convolution of bits with bits whose output goes through an :class:`Epilogue` (arXiv:1603.05279, Eq. 11).

    :meth:`bind` checks the arrays once and returns a function that convolves them, without checks or allocation.

    Parameters
    ----------
    signs : uint64 (ceil(n / 64),)
        Signs of the n weights in OHWI order, as :func:`pack_signs` packs them.
    shape : (O, KH, KW, C)
    stride, pad_value
        As in :class:`XnorConv2d`.
    padding : int, pair of ints, or four ints (top, bottom, left, right)
        The border of the maps of bits that it reads.
    alpha : array (O,), optional
        Scales, 1 when not given.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type or shape.
    """

    def __init__(
        self,
        signs: Any,
        shape: tuple[int, ...],
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        alpha: Any = None,
    ) -> None:
        signs = checks.packed(signs, int(np.prod(shape)), "signs", 1)
        self.shape, self.window = shape, Window.with_border(shape[1:3], stride, padding)
        self.pad_value = checks.pad_value(pad_value)
        self.alpha = np.ones(shape[0], np.float32) if alpha is None else checks.floats(alpha, "alpha", shape=shape[:1])
        form = reference.FusedXnorConv2d if in_numpy() else compiled.FusedXnorConv2d
        self._form = form(signs, shape, self.window, self.pad_value, self.alpha)

    def stored(self) -> Words:
        """The signs as they were given, converted back from the order of the kernel."""
        return self._form.stored()

    def bind(
        self,
        x: BitMap,
        epilogue: Epilogue,
        *,
        K: Any = None,
        residual: Any = None,
        out: Any = None,
        bits: Any = None,
    ) -> Run:
        """A function without arguments that convolves.

        Parameters
        ----------
        x : BitMap of images (N, H, W, C), with the border of this layer
        K : float32 (N, OH, OW, 1), optional
            The map K; 1 when not given.
        residual : float32 (N, OH, OW, O)
            Required exactly if ``epilogue`` has an "add" step. It may be ``out``: then sums are written over it.
        out : float32 (N, OH, OW, O), optional
        bits : BitMap of images (N, OH, OW, O)
            Where ``epilogue`` has limits; its border is left as it is.

        Raises
        ------
        ValueError
            When an array does not fit.
        """
        arrays = check_arrays(epilogue, self._output_shape(x), out, bits, residual)
        # A float32 K is kept without a copy, so the caller can refill it between calls.
        K = None if K is None else checks.floats(K, "K", shape=(*arrays.shape[:3], 1))
        return self._form.bind(x, epilogue, K, arrays)

    def bind_bits(self, x: BitMap, most: Any, flips: Any, bits: BitMap) -> Run:
        """A function without arguments that writes ``dot product <= most[c]``, negated where ``flips[c]``.

        Parameters
        ----------
        x
            As in :meth:`bind`.
        most : integers (O,),  flips : bool (O,)
        bits : BitMap of images (N, OH, OW, O)

        Raises
        ------
        ValueError
            When an array does not fit.
        """
        check_bits(bits, "bits", self._output_shape(x))
        o = self.shape[0]
        most, flips = check_vector(most, "most", o, "iu"), check_vector(flips, "flips", o, "b")
        return self._form.bind_bits(x, most.astype(np.int64), flips, bits)

    def _output_shape(self, x: BitMap) -> tuple[int, ...]:
        n, h, w, _ = check_bits(x, "x", (None, None, None, self.shape[3]), self.window.border).shape
        return (n, *self.window.output_size(h, w), self.shape[0])
