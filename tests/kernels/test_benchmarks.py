"""Kernels on layers of the paper's networks, for pytest-benchmark.

    python -m pytest tests/kernels/test_benchmarks.py --benchmark-enable --benchmark-only

Each runs once, as a test that it runs at all, unless timing is switched on. ``binnet bench`` measures whole layers,
their parts and limits; this compares a kernel with what it was before (``--benchmark-autosave``,
``--benchmark-compare``).
"""

from functools import partial

import numpy as np
import pytest

import binnet_kernels as bk
from binnet_kernels.checks import Window

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


# name: (image, another, one number for each channel) -> what is timed
PASSES = {
    "copy": lambda x, grad, one: lambda: np.copyto(grad, x),
    "batch_statistics": lambda x, grad, one: lambda: bk.batch_statistics(x),
    "batch_norm": lambda x, grad, one: lambda: bk.batch_norm(x, one, one, out=grad),
    "batch_norm_grad": lambda x, grad, one: lambda: bk.batch_norm_grad(grad, x, one, one, one, out=grad),
    "norm_relu": lambda x, grad, one: lambda: bk.norm_relu(x, one, one, one, one, out=grad),
    "norm_signs": lambda x, grad, one: lambda: bk.norm_signs(x, one, one, one, one, padding=1),
    "norm_signs_grad": lambda x, grad, one: partial(
        bk.norm_signs_grad, grad, bk.signs(x)[1], x, one, one, one, out=grad
    ),
    "relu": lambda x, grad, one: lambda: bk.relu(x, out=grad),
    "polynomial_grad": lambda x, grad, one: lambda: bk.polynomial_grad(grad, x, out=grad),
    "relu_grad": lambda x, grad, one: lambda: bk.relu_grad(grad, x, out=grad),
    "add": lambda x, grad, one: lambda: bk.add(grad, x, out=grad),
    "rprelu": lambda x, grad, one: lambda: bk.rprelu(x, one, one, one, out=grad),
    "rprelu_grad": lambda x, grad, one: lambda: bk.rprelu_grad(grad, x, one, one, out=grad),
    "channel_sums": lambda x, grad, one: lambda: bk.channel_sums(x),
    "grouped_conv2d": lambda x, grad, one: partial(
        bk.conv2d, x, np.ones((len(one), 3, 3, 1), np.float32), 1, 1, len(one), out=grad
    ),
    "max_pool2d": lambda x, grad, one: lambda: bk.max_pool2d(x, 3, 2, 1),
    "max_pool2d_grad": lambda x, grad, one: partial(bk.max_pool2d_grad, bk.max_pool2d(x, 3, 2, 1), x, 3, 2, 1),
    "avg_pool2d": lambda x, grad, one: lambda: bk.avg_pool2d(x, x.shape[1]),
}
# name: (weights, gradient, scales, two moments) -> what is timed
UPDATES = {
    "copy": lambda w, g, alpha, m, v: lambda: np.copyto(g, w),
    "weight_alpha": lambda w, g, alpha, m, v: lambda: bk.weight_alpha(w),
    "weight_gradient": lambda w, g, alpha, m, v: lambda: bk.weight_gradient(g, w, alpha, out=g),
    "level_weight_gradient": lambda w, g, alpha, m, v: (
        lambda: bk.level_weight_gradient(g, w, alpha, "exact", True, 4, g)
    ),
    "quantise_weight": lambda w, g, alpha, m, v: lambda: bk.quantise_weight(w, 4),
    "adam_update": lambda w, g, alpha, m, v: lambda: bk.adam_update(w, g, m, v, 1, 1e-6),
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


# rows and columns, filters, kernel size, stride, padding of the image and of the pooling by 3x3 with stride 2
FIRST_LAYERS = {"resnet18-1": (224, 64, 7, 2, 3, 1), "alexnet-1": (227, 96, 11, 4, 0, 0)}


@pytest.mark.parametrize("layer", FIRST_LAYERS)
@pytest.mark.parametrize("real", ["float32", "int8"])
def test_first_layer_with_its_pooling(benchmark, real, layer):
    side, o, k, stride, padding, around = FIRST_LAYERS[layer]
    rng, pool, relu = np.random.default_rng(0), Window.of(3, 2, around), bk.Epilogue([("relu",)])
    image, weight = bk.ByteMap((1, side, side, 3), padding), rng.integers(-127, 128, (o, k, k, 3)).astype(np.int8)
    image.inside[...] = rng.integers(0, 256, image.shape)
    size = Window.of(k, stride, padding).output_size(side, side)
    y, out = np.empty((1, *size, o), np.float32), np.empty((1, *pool.output_size(*size), o), np.float32)
    if real == "int8":
        convolution = bk.FusedInt8Conv2d(weight, weight.shape, stride, padding, scale=np.ones(o), zero=[0])
        runs = [convolution.bind(image, relu, pool=pool, out=out)]
    else:
        x = np.pad(image.inside.astype(np.float32), ((0, 0), *[(padding, padding)] * 2, (0, 0)))
        runs = [bk.FusedConv2d(weight.astype(np.float32), weight.shape, stride, padding).bind(x, relu, out=y)]
        runs.append(bk.bind_map(y, bk.Epilogue(()), window=pool, out=out))
    benchmark.group = layer
    benchmark(lambda: [run() for run in runs])
    assert out.max() > 0


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("parts", [1, 2, 8])
def test_weight_gradient_of_micro_batches(benchmark, parts, layer):
    """A batch of 8, whole and in parts."""
    c, side, o, k, stride, padding = LAYERS[layer]
    x = np.random.default_rng(0).standard_normal((8, side, side, c), dtype=np.float32)
    grad = bk.conv2d(x, np.ones((o, k, k, c), np.float32), stride, padding)
    bits, sizes = bk.signs(x, padding)[0], ((o, k, k, c), x.shape, stride, padding)
    cuts = range(0, 9, 8 // parts)
    bk.sign_grad_weight(bits, grad, *sizes, cuts=cuts)  # compiles
    benchmark.group = f"weight gradient of {layer}"
    assert np.isfinite(benchmark(bk.sign_grad_weight, bits, grad, *sizes, cuts=cuts)).all()


@pytest.mark.parametrize("kernel", PASSES)
def test_pass_over_a_map(benchmark, kernel):
    """The map of a batch of 8, beside a copy of it."""
    c, side = LAYERS["nin-2"][:2]
    x, grad = np.random.default_rng(0).standard_normal((2, 8, side, side, c), dtype=np.float32)
    call = PASSES[kernel](x, grad, np.ones(c, np.float32))
    call()  # compiles
    benchmark.group = "map of nin-2"
    benchmark(call)
    assert np.isfinite(grad).all()


@pytest.mark.parametrize("kernel", UPDATES)
def test_pass_over_weights(benchmark, kernel):
    """512 filters of a dense layer, beside a copy of them."""
    weight, grad, mean, square = np.random.default_rng(0).standard_normal((4, 512, 4096), dtype=np.float32)
    call = UPDATES[kernel](weight, grad, bk.weight_alpha(weight), mean, np.abs(square))
    call()  # compiles
    benchmark.group = "weights"
    benchmark(call)
    assert np.isfinite(weight).all()
