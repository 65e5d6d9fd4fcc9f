"""Workload of a layer benchmark: a layer with random inputs and weights, and the calls that are timed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import binnet_kernels as bk
from binnet_kernels.compiled import baseline
from binnet_kernels.compiled.forward.xnor import XnorConv2d as CompiledConv
from binnet_kernels.simd.geometry import sliding

from .shapes import Layer

PLAIN_MACS = 20_000_000  # plain loops run at 0.5 to 1 GMAC/s, so that a run of this size takes about 0.03 s


class Workload:
    """A layer prepared for each measured call.

    Parameters
    ----------
    layer
        Shape of the layer.
    batch
        Images per call.
    use_k
        Whether the binary layer multiplies by the scale map K.

    Attributes
    ----------
    calls : dict of functions without arguments
        ``whole``: the whole layer, from float32 images to float32 output. ``pack``: packing the signs of the images.
        ``pack and K`` (only with ``use_k``): the same with the map K. ``popcount``: XOR and popcount on packed words.
        ``float32``: binnet's float convolution. ``plain``: plain float loops, see :meth:`plain_factor`.
    plain_rows : int
        Number of output rows of one image that ``plain`` computes.
    """

    def __init__(self, layer: Layer, batch: int = 1, use_k: bool = False) -> None:
        self.layer, self.batch = layer, batch
        rng = np.random.default_rng(0)
        self._x = rng.standard_normal((batch, layer.size, layer.size, layer.channels), dtype=np.float32)
        shape = (layer.filters, layer.kernel_size, layer.kernel_size, layer.channels)
        self._weight = rng.standard_normal(shape, dtype=np.float32)
        self.plain_rows = int(np.clip(PLAIN_MACS * layer.output_size // layer.macs, 1, layer.output_size))
        # One output for all calls: allocating it is not part of any measurement.
        self._out = np.empty((batch, layer.output_size, layer.output_size, layer.filters), np.float32)
        self.calls: dict[str, Callable[[], object]] = {**self._binary(use_k), **self._real()}

    @property
    def plain_factor(self) -> float:
        """Ratio of the work of the whole layer to that of ``plain``, which may compute only some rows of one image."""
        return self.batch * self.layer.output_size / self.plain_rows

    def _binary(self, use_k: bool) -> dict[str, Callable[[], object]]:
        layer, x, side = self.layer, self._x, self.layer.output_size
        plan = bk.XnorConv2d(self._weight, layer.stride, layer.padding, use_k=use_k)
        # The two steps of a call, packing and counting, are those of the compiled form.
        prepared = plan.weight_signs, plan.shape, plan.window, 0, plan.alpha
        form, without_k = CompiledConv(*prepared, use_k, None), CompiledConv(*prepared, False, None)
        packed, _ = without_k.pack(x, side, side)
        pixels = self.batch * (layer.size + 2 * layer.padding) ** 2
        walk = sliding((*x.shape[:3], packed.size // pixels), plan.window)
        calls: dict[str, Callable[[], object]] = {
            "whole": lambda: plan(x, out=self._out),
            "pack": lambda: without_k.pack(x, side, side),
            "popcount": lambda: baseline.count_windows(packed, walk, form.weight_halves, layer.filters),
        }
        if use_k:
            calls["pack and K"] = lambda: form.pack(x, side, side)
        return calls

    def _real(self) -> dict[str, Callable[[], object]]:
        layer, x = self.layer, self._x
        convolve = bk.Conv2d(self._weight, layer.stride, layer.padding)
        return {
            "float32": lambda: convolve(x, out=self._out),
            "plain": lambda: baseline.plain_conv2d(
                x[:1], self._weight, layer.stride, layer.padding, rows=self.plain_rows
            ),
        }
