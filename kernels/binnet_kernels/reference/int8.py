"""Layers in eight bits in plain NumPy: whole numbers from 0 to 255 by weights from -127 to 127."""

from __future__ import annotations

import numpy as np

from ..checks import Float, Window
from ..fused.byte_map import MOST, ByteMap
from ..fused.epilogue import Arrays, Epilogue, Run
from ..fused.int8_filters import Affine, Whole
from .fused import run_epilogue


def bind_quantise(x: Float, factor: np.float32, zero: np.float32, out: ByteMap, stride: tuple[int, int]) -> Run:
    """Write ``clip(round(x * factor) + zero, 0, 255)`` of every stride-th pixel, 0 for NaN."""

    def run() -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            y = np.rint(x[:, :: stride[0], :: stride[1]] * factor) + zero
        y = np.where(y > 0, y, np.float32(0))  # also for NaN
        out.inside[...] = np.where(y < MOST, y, np.float32(MOST))

    return run


class FusedInt8Conv2d:
    """A convolution of whole numbers with whole weights (O, KH, KW, C)."""

    def __init__(self, weight: Whole, window: Window, affine: Affine) -> None:
        self._weight, self._window, self._affine = weight.copy(), window, affine

    def stored(self) -> Whole:
        """The weights."""
        return self._weight

    def bind(self, x: ByteMap, epilogue: Epilogue, pool: Window | None, arrays: Arrays) -> Run:
        """Convolve ``x``: ``sum * scale + offset``, the largest of each window of ``pool``, then the epilogue."""
        scale, window = self._affine.scale, self._window
        inside = window.patches(window.bordered(np.ones((1, *x.shape[1:3], 1), bool)))[0, :, :, 0]
        offsets = self._affine.offsets(inside)

        def run() -> None:
            # Sums in float64 are exact, and in any order, as they stay below 2^31.
            patches = window.patches(window.bordered(x.inside.astype(np.float64)))
            sums = np.tensordot(patches, self._weight.astype(np.float64), axes=([4, 5, 3], [1, 2, 3]))
            y = sums.astype(np.float32) * scale + offsets
            if pool is not None:
                y = pool.patches(pool.bordered(y, -np.inf)).max(axis=(4, 5))
            run_epilogue(y, epilogue, arrays)

        return run
