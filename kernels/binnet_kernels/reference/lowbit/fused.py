"""Convolutions of levels in plain NumPy: convolutions of whole numbers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...checks import Float, Halves, Window, Words
from ...fused.epilogue import Arrays, Epilogue, Run
from ..fused import run_epilogue, signs_of
from ..xnor import pack_signs, scale_map
from .levels import nearest_levels
from .maps import whole_of_map


class FusedKbitConv2d:
    """A convolution of levels with levels, planes of weights (k, ceil(n / 64)) or (k, O, KH, KW, ceil(C / 64))."""

    def __init__(
        self,
        planes: Words,
        shape: tuple[int, ...],
        window: Window,
        pad_value: int,
        act_bits: int,
        alpha: Float,
        use_k: bool,
    ) -> None:
        if planes.ndim == 5:
            signs = signs_of(planes.view(np.uint32), shape[3])
            planes = np.empty((len(signs), -(-math.prod(shape) // 64)), np.uint64)
            pack_signs(signs.reshape(len(signs), -1), planes)
        self._planes, self._window, self._pad_value = planes.copy(), window, pad_value
        self._act_bits, self._use_k = act_bits, use_k
        self._steps = (1 << act_bits) - 1
        self._scale = alpha / np.float32(self._steps * ((1 << len(planes)) - 1))
        signs = np.stack([signs_of(plane.view(np.uint32), math.prod(shape)) for plane in planes])
        self._weight = (2.0 ** np.arange(len(planes)) @ signs).reshape(shape)  # L_k q, whole numbers

    def stored(self) -> Words:
        """The planes of the weights, each in a row."""
        return self._planes

    def bind(self, x: Float, epilogue: Epilogue, arrays: Arrays) -> Run:
        """Quantise ``x``, convolve, multiply by K if wanted, then run the epilogue."""
        window = self._window

        def run() -> None:
            whole = np.rint(nearest_levels(x, self._act_bits).astype(np.float64) * self._steps)
            y = self._convolve(window.bordered(whole, self._pad_value * self._steps))
            if self._use_k:
                K = np.empty((*y.shape[:3], 1), np.float32)
                scale_map(x, window, K)
                y *= K
            run_epilogue(y, epilogue, arrays)

        return run

    def bind_planes(self, planes: Halves, x_shape: tuple[int, ...], epilogue: Epilogue, arrays: Arrays) -> Run:
        """Convolve planes of levels, which have their border, then run the epilogue."""
        whole = whole_of_map(planes, x_shape, self._window, self._pad_value)
        return lambda: run_epilogue(self._convolve(whole), epilogue, arrays)

    def _convolve(self, whole: npt.NDArray[np.float64]) -> Float:
        """For L q of the input, whole numbers with their border."""
        sums = np.tensordot(self._window.patches(whole), self._weight, axes=([4, 5, 3], [1, 2, 3]))  # exact in float64
        y: Float = sums.astype(np.float32) * self._scale
        return y
