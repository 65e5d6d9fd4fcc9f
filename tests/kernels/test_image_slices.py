"""Images cut out of a batch get the bits that they get in it: gradients and element-wise kernels, for any threads.

``test_batches.py`` has the forward kernels of the table, one image at a time. Here a batch is cut in two.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk

from .strategies import DEPTHS, OUT_CHANNELS, PURE_PYTHON, geometries, pool_geometries, seeds, values

MOST = 5 if PURE_PYTHON else 20
GEOMETRIES, POOLS = (geometries(paddings=[0, 1, (1, 0), 2]), pool_geometries(paddings=[0, 1, (1, 0), 2]))


def window(g):
    return g.stride, g.padding


def of_output(rng, g):
    return values(rng, (g.n, *g.output_size, g.o), [0.0])


def of_input(rng, g):
    return values(rng, g.x_shape, [0.0, -0.0, 1.0, -1.0])


def vectors(rng, c):
    """Gamma, beta, mean and variance."""
    return *(values(rng, c) for _ in range(3)), np.square(values(rng, c))


# Each makes the arrays of a batch, and a function of some of its images and the number of the first of them.


def conv2d(rng, g):
    weight = values(rng, g.weight_shape)
    return (of_input(rng, g),), lambda first, x: bk.conv2d(x, weight, *window(g))


def conv2d_grad_input(rng, g):
    weight, shape = values(rng, g.weight_shape), g.x_shape[1:]
    return (of_output(rng, g),), lambda first, grad: bk.conv2d_grad_input(grad, weight, (len(grad), *shape), *window(g))


def grouped_conv2d_grad_input(rng, g):
    weight, (h, w) = values(rng, (*g.weight_shape[:3], 1)), (g.h, g.w)
    return (of_output(rng, g),), lambda first, grad: bk.conv2d_grad_input(
        grad, weight, (len(grad), h, w, g.o), *window(g), g.o
    )


def sign_grad_input(rng, g):
    signs, alpha, shape = bk.pack_signs(values(rng, g.weight_shape)), values(rng, g.o), g.x_shape[1:]
    return (of_output(rng, g),), lambda first, grad: bk.sign_grad_input(
        grad, signs, alpha, (len(grad), *shape), *window(g)
    )


def quantised_grad_input(rng, g):
    signs, alpha, shape = bk.pack_signs(values(rng, g.weight_shape)), values(rng, g.o), g.x_shape[1:]
    bits = int(rng.integers(1, 4))

    def run(first, grad, y):
        gradient = bk.quantise_gradient(grad, alpha, y, bits=bits, seed=3, first=first)
        return bk.quantised_grad_input(gradient, signs, (len(grad), *shape), *window(g))

    return (of_output(rng, g), of_output(rng, g)), run


def xnor_of_bits(rng, g):
    layer, shape = bk.XnorConv2d(values(rng, g.weight_shape), *window(g)), g.x_shape[1:]
    bits = bk.signs(of_input(rng, g), g.padding)[0]
    return (bits,), lambda first, bits: layer.convolve_bits(bits, (len(bits), *shape))


def kbit_of_planes(rng, g):
    layer, shape = bk.KbitConv2d(values(rng, g.weight_shape), 2, 3, *window(g)), g.x_shape[1:]

    def run(first, x):
        return layer.convolve_bits(bk.level_planes(x, 3, g.padding)[0], (len(x), *shape))

    return (of_input(rng, g),), run


def dense(make):
    """A layer of rows: one or many images, one pixel each."""

    def case(rng, g):
        layer = make(values(rng, (g.o, g.c)))
        return (values(rng, (g.n, g.c)),), lambda first, x: layer(x)

    return case


def norms(rng, g):
    affine = vectors(rng, g.c)

    def run(first, x):
        planes, within = bk.norm_level_planes(x, *affine, 1e-5, 2, g.padding)
        maps = bk.batch_norm_inference(x, *affine), *bk.norm_relu(x, *affine), *bk.norm_signs(x, *affine)
        return *maps, np.moveaxis(planes, 1, 0), within

    return (of_input(rng, g),), run


def norm_grads(rng, g):
    gamma, _, mean, var = vectors(rng, g.c)
    grad, x, sums = of_input(rng, g), of_input(rng, g), (rng.random(g.c), rng.random(g.c))
    within = bk.signs(x)[1]

    def run(first, grad, within, x):
        plain, masked = (
            bk.batch_norm_grad_apply(grad, bits, x, gamma, mean, var, sums, 99)[0] for bits in (None, within)
        )
        return plain, masked

    return (grad, within, x), run


def maps(rng, g):
    """What takes one map, or two of one shape."""

    def run(first, x, y):
        planes, within = bk.level_planes(x, 3, g.padding)
        one = *bk.signs(x, g.padding), np.moveaxis(planes, 1, 0), within, bk.sign(x), bk.relu(x), bk.pack_signs(x)
        two = bk.relu_grad(x, y), bk.polynomial_grad(x, y), bk.add(x, y)
        return *one, bk.quantise_input(x, 2), np.moveaxis(bk.pack_planes(x, 2), 1, 0), *two

    return (of_input(rng, g), of_input(rng, g)), run


def channel_maps(rng, g):
    """What takes a map, or two of one shape, and numbers a channel."""
    before, slope, after = rng.normal(size=(3, g.c)).astype(np.float32)

    def run(first, x, y):
        return bk.rprelu(x, before, slope, after), bk.rprelu_grad(y, x, before, slope)[0]

    return (of_input(rng, g), of_input(rng, g)), run


def scale_map(rng, g):
    return (of_input(rng, g),), lambda first, x: bk.scale_map(x, g.kernel_size, *window(g))


def pooling(rng, g):
    where, shape = (g.kernel_size, *window(g)), g.x_shape[1:]

    def run(first, x, grad):
        y, winners = bk.max_pool2d_winners(x, *where)
        pooled = y, winners, bk.max_pool2d(x, *where), bk.avg_pool2d(x, *where)
        to_winners = bk.max_pool2d_grad_winners(grad, winners, x.shape, *where), bk.max_pool2d_grad(grad, x, *where)
        return *pooled, *to_winners, bk.avg_pool2d_grad(grad, (len(x), *shape), *where)

    return (of_input(rng, g), values(rng, (g.n, *g.output_size, g.c))), run


def loss(rng, g):
    labels = rng.integers(0, g.o, g.n)

    def run(first, logits, labels):
        losses, probabilities = bk.softmax_cross_entropy(logits, labels, 0.1)
        return losses, probabilities, bk.softmax_cross_entropy_grad(probabilities, labels, 0.1)

    return (values(rng, (g.n, g.o)), labels), run


def gemm(rng, g):
    a, b = (bk.pack_signs(values(rng, (rows, g.c))) for rows in (g.n, g.o))
    return (a,), lambda first, a: (bk.xnor_gemm(a, b, g.c), bk.unpack_signs(a, g.c))


CONVOLUTIONS = {
    "conv2d": conv2d,
    "conv2d_grad_input": conv2d_grad_input,
    "grouped conv2d_grad_input": grouped_conv2d_grad_input,
    "sign_grad_input": sign_grad_input,
    "quantised_grad_input": quantised_grad_input,
    "XnorConv2d of bits": xnor_of_bits,
    "KbitConv2d of planes": kbit_of_planes,
    "XnorLinear": dense(lambda weight: bk.XnorLinear(weight, use_k=True)),
    "BwnLinear": dense(bk.BwnLinear),
    "KbitLinear": dense(lambda weight: bk.KbitLinear(weight, 2, 3, use_k=True)),
    "normalisation": norms,
    "gradients of normalisation": norm_grads,
    "maps": maps,
    "channel_maps": channel_maps,
    "scale_map": scale_map,
    "loss": loss,
    "xnor_gemm": gemm,
}


@pytest.fixture(params=[1, 2])
def threads(request):
    before = bk.get_num_threads()
    bk.set_num_threads(min(request.param, before))
    yield
    bk.set_num_threads(before)


def check_slices(case, g, seed, cut):
    """The batch against both of its parts."""
    arrays, run = case(np.random.default_rng(seed), g)

    def results(first, last):
        found = run(first, *(array[first:last] for array in arrays))
        return found if isinstance(found, tuple) else (found,)

    whole = results(0, g.n)
    for first, last in ((0, cut), (cut, g.n)):
        for ours, theirs in zip(results(first, last), whole, strict=True):
            np.testing.assert_array_equal(ours, theirs[first:last])


each_number_of_threads = pytest.mark.usefixtures("threads")
sizes = st.integers(1, MOST).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@each_number_of_threads
@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
@given(GEOMETRIES, seeds, sizes)
def test_slices(case, g, seed, size):
    check_slices(case, replace(g, n=size[0]), seed, size[1])


@each_number_of_threads
@given(POOLS, seeds, sizes)
def test_slices_of_poolings(g, seed, size):
    check_slices(pooling, replace(g, n=size[0]), seed, size[1])


ONE_PIXEL = geometries(DEPTHS, strides=[1], paddings=[0]).map(lambda g: replace(g, h=1, w=1, kernel_size=1))


@each_number_of_threads
@pytest.mark.parametrize("name", ["conv2d", "conv2d_grad_input", "sign_grad_input", "quantised_grad_input"])
@given(ONE_PIXEL, seeds, sizes, st.sampled_from([*OUT_CHANNELS, 600 if not PURE_PYTHON else 40]))
def test_slices_of_images_of_one_pixel(name, g, seed, size, o):
    """As in a dense layer, of which few rows may take another way; more filters than a slab has, too."""
    check_slices(CONVOLUTIONS[name], replace(g, n=size[0], o=o), seed, size[1])
