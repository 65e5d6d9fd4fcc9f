"""Kernels on layers of the paper's networks, for pytest-benchmark.

    python -m pytest tests/kernels/test_benchmarks.py --benchmark-enable --benchmark-only

Each runs once, as a test that it runs at all, unless timing is switched on. ``binnet bench`` measures whole layers,
their parts and limits; this compares a kernel with what it was before (``--benchmark-autosave``,
``--benchmark-compare``).
"""

import numpy as np
import pytest

import binnet_kernels as bk

pytestmark = pytest.mark.compiled

# channels, rows and columns, filters, kernel size, stride, padding
LAYERS = {
    "resnet18-2": (64, 56, 64, 3, 1, 1),
    "resnet18-3": (128, 28, 128, 3, 1, 1),
    "resnet18-4": (256, 14, 256, 3, 1, 1),
    "resnet18-5": (512, 7, 512, 3, 1, 1),
    "alexnet-2": (96, 27, 256, 5, 1, 2),
    "alexnet-3": (256, 13, 384, 3, 1, 1),
    "nin-2": (192, 32, 160, 1, 1, 0),
}
# name: (weight, stride, padding) -> function of the image
KERNELS = {
    "XnorConv2d": lambda weight, s, p: bk.XnorConv2d(weight, s, p),
    "XnorConv2d-K": lambda weight, s, p: bk.XnorConv2d(weight, s, p, use_k=True),
    "BwnConv2d": lambda weight, s, p: bk.BwnConv2d(weight, s, p),
    "Conv2d": lambda weight, s, p: bk.Conv2d(weight, s, p),
    "pack_signs": lambda weight, s, p: bk.pack_signs,
    "scale_map": lambda weight, s, p: lambda x: bk.scale_map(x, weight.shape[1:3], s, p),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernel(benchmark, kernel, layer):
    c, side, o, k, stride, padding = LAYERS[layer]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, side, side, c), dtype=np.float32)
    call = KERNELS[kernel](rng.standard_normal((o, k, k, c), dtype=np.float32), stride, padding)
    call(x)  # compiles
    benchmark.group = layer
    assert np.isfinite(benchmark(call, x)).all()
