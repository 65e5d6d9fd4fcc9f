"""One layer with random numbers in it, and the calls that are timed on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import binnet_kernels as bk
from binnet_kernels.compiled import baseline
from binnet_kernels.compiled.forward.xnor import XnorConv2d as CompiledConv
from binnet_kernels.simd.geometry import sliding

from .shapes import Layer

PLAIN_MACS = 20_000_000  # the plain loops manage some 0.5 to 1 GMAC/s: a run of them takes some 0.03 s


class Workload:
    """A layer made ready in every form.

    Parameters
    ----------
    layer
    batch
        Images at a time.
    use_k
        Whether the binary layer multiplies by the map K.

    Attributes
    ----------
    calls : dict of functions without arguments
        ``whole``: float32 images in, float32 map out, everything in between. ``pack``: signs of the images into words.
        ``pack and K`` (only with ``use_k``): the same with the map K. ``popcount``: XOR and counting alone, on words
        packed before. ``float32``: binnet's own float convolution. ``plain``: see :meth:`plain_factor`.
    plain_rows : int
        Rows of the output that ``plain`` computes, of one image.
    """

    def __init__(self, layer: Layer, batch: int = 1, use_k: bool = False) -> None:
        self.layer, self.batch = layer, batch
        rng = np.random.default_rng(0)
        self._x = rng.standard_normal((batch, layer.size, layer.size, layer.channels), dtype=np.float32)
        shape = (layer.filters, layer.kernel_size, layer.kernel_size, layer.channels)
        self._weight = rng.standard_normal(shape, dtype=np.float32)
        self.plain_rows = int(np.clip(PLAIN_MACS * layer.output_size // layer.macs, 1, layer.output_size))
        self._out = np.empty((batch, layer.output_size, layer.output_size, layer.filters), np.float32)
        self.calls: dict[str, Callable[[], object]] = {**self._binary(use_k), **self._real()}

    @property
    def plain_factor(self) -> float:
        """How many times the work of ``plain`` the whole layer is."""
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
