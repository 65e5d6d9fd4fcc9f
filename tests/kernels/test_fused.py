"""The fused layers of packed models, bound to arrays: exactly what the oracles say, on both backends.

Inputs and weights are whole numbers where they are multiplied, so that sums are exact in any order.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk
import naive
import naive_packed
from binnet_kernels.checks import Window
from naive import pair

from .strategies import (
    BACKENDS,
    SIGN_SPECIALS,
    assert_close,
    each_backend,
    geometries,
    pool_geometries,
    rounding,
    seeds,
    values,
)

WORDS = ["norm", "relu", "prelu", "sign", "add"]
STEPS = st.lists(st.sampled_from(WORDS), max_size=4).filter(lambda s: s.count("add") < 2)
BORDERS = st.sampled_from([((0, 0), 0), ((1, 1), 0), ((2, 0), 1), ((0, 3), -1), ((1, 2), -1)])
SMALL = geometries(depths=[1, 3, 31, 32, 33, 64, 65])


def window(g):
    return Window.of(g.kernel_size, g.kernel_size if g.stride is None else g.stride, g.padding)


def whole(rng, shape):
    return rng.integers(-3, 4, shape).astype(np.float32)


def draw_steps(rng, words, c):
    """Steps with random vectors: factors of both signs and 0."""
    vectors = {
        "norm": lambda: (values(rng, c), values(rng, c, [0.0, -1.0]), values(rng, c, [0.0])),
        "prelu": lambda: (values(rng, c, [0.0, 1.0, -1.0]),),
    }
    return [(word, *vectors.get(word, tuple)()) for word in words]


def draw_limits(rng, c):
    """Half-lines, intervals, and intervals with nothing in them."""
    low, high = values(rng, c, [-np.inf, np.inf, 0.0], 0.5), values(rng, c, [np.inf, -np.inf, -1e-45], 0.5)
    return low, high


class Targets:
    """Arrays to write to, and what must be in them afterwards."""

    def __init__(self, rng, shape, words, border, with_floats):
        self.shape, self.border = shape, border
        self.steps, self.limits = draw_steps(rng, words, shape[3]), draw_limits(rng, shape[3])
        self.residual = values(rng, shape) if "add" in words else None
        self.out = np.full(shape, 7, np.float32) if with_floats else None
        self.bits = bk.bits_map(shape, *border)
        self.finish = bk.Finish(self.steps, self.limits)

    def arrays(self):
        return {"residual": self.residual, "out": self.out, "bits": self.bits}

    def check(self, sums):
        y = naive_packed.naive_finish(sums, self.steps, self.residual)
        if self.out is not None:
            np.testing.assert_array_equal(self.out, y)
        truth = naive_packed.naive_between(y, *self.limits)
        expected = naive_packed.naive_bits(truth, self.border[0], self.border[1] == -1)
        np.testing.assert_array_equal(self.bits, expected)


def packed(x, padding, pad_value):
    """A map of bits of the signs of images."""
    return naive_packed.naive_bits(x < 0, padding, pad_value == -1)


@each_backend
@given(SMALL, seeds, STEPS, BORDERS, st.booleans(), st.sampled_from([0, 1, -1]), st.booleans())
def test_binary_convolution(backend, g, seed, words, border, with_floats, pad_value, use_k):
    rng = np.random.default_rng(seed)
    x, weight, alpha = values(rng, g.x_shape), values(rng, g.weight_shape, [0.0]), values(rng, g.o, [0.0])
    targets = Targets(rng, (g.n, *g.output_size, g.o), words, border, with_floats)
    layer = backend.FusedXnorConv2d(
        naive.naive_pack_signs(weight.ravel()), weight.shape, g.stride, g.padding, pad_value, alpha
    )
    K = np.abs(values(rng, (*targets.shape[:3], 1))) if use_k else None
    run = layer.bind(packed(x, pair(g.padding), pad_value), x.shape, targets.finish, K=K, **targets.arrays())
    dots = naive.naive_xnor_conv2d(x, weight, g.stride, g.padding, pad_value, alpha=False).astype(np.float32)
    for _ in range(2):  # it can run again
        run()
        targets.check(dots * alpha if K is None else dots * alpha * K)


@each_backend
@given(SMALL, seeds, BORDERS, st.sampled_from([0, 1, -1]))
def test_binary_convolution_to_bits(backend, g, seed, border, pad_value):
    rng = np.random.default_rng(seed)
    x, weight = values(rng, g.x_shape), values(rng, g.weight_shape, [0.0])
    layer = backend.FusedXnorConv2d(
        naive.naive_pack_signs(weight.ravel()), weight.shape, g.stride, g.padding, pad_value
    )
    dots = naive.naive_xnor_conv2d(x, weight, g.stride, g.padding, pad_value, alpha=False)
    n = weight[0].size
    most, flips = rng.choice([-n - 1, -n, -1, 0, 1, 2, n], g.o), rng.random(g.o) < 0.5
    bits = bk.bits_map(dots.shape, *border)
    layer.bind_bits(packed(x, pair(g.padding), pad_value), x.shape, most, flips, bits)()
    expected = naive_packed.naive_bits((dots <= most) ^ flips, border[0], border[1] == -1)
    np.testing.assert_array_equal(bits, expected)


@each_backend
@given(SMALL, seeds, STEPS, BORDERS, st.booleans(), st.booleans())
def test_real_convolution(backend, g, seed, words, border, with_floats, one_bit):
    rng = np.random.default_rng(seed)
    x, weight = whole(rng, g.x_shape), whole(rng, g.weight_shape)
    alpha, bias = values(rng, g.o), values(rng, g.o)
    targets = Targets(rng, (g.n, *g.output_size, g.o), words, border, with_floats)
    stored = naive.naive_pack_signs(weight.ravel()) if one_bit else weight
    layer = backend.FusedConv2d(stored, weight.shape, g.stride, g.padding, alpha, bias)
    layer.bind(naive.pad_image(x, g.padding).astype(np.float32), targets.finish, **targets.arrays())()
    used = naive.naive_sign(weight) if one_bit else weight
    targets.check(naive.naive_conv2d(x, used, g.stride, g.padding).astype(np.float32) * alpha + bias)


@each_backend
@given(SMALL, seeds)
def test_weights_come_back_as_they_were_given(backend, g, seed):
    rng = np.random.default_rng(seed)
    weight = values(rng, g.weight_shape)
    signs = naive.naive_pack_signs(weight.ravel())
    planes = np.stack([signs, naive.naive_pack_signs(values(rng, weight.size))])
    for layer, given_weights in (
        (backend.FusedKbitConv2d(planes, weight.shape, 2), planes),
        (backend.FusedXnorConv2d(signs, weight.shape), signs),
        (backend.FusedConv2d(signs, weight.shape), signs),
        (backend.FusedConv2d(weight, weight.shape), weight),
    ):
        np.testing.assert_array_equal(layer.stored(), given_weights, strict=True)


@each_backend
@given(pool_geometries(), seeds, STEPS, BORDERS, st.booleans())
def test_pass_over_a_map(backend, g, seed, words, border, with_floats):
    rng = np.random.default_rng(seed)
    x = values(rng, g.x_shape, [np.nan, 0.0, -0.0, -np.inf])
    targets = Targets(rng, (g.n, *g.output_size, g.c), words, border, with_floats)
    with np.errstate(invalid="ignore"):
        backend.bind_map(x, targets.finish, window=window(g), **targets.arrays())()
        targets.check(naive.naive_max_pool2d(x, g.kernel_size, g.stride, g.padding))


@each_backend
@given(pool_geometries(), seeds, BORDERS)
def test_pooling_of_bits(backend, g, seed, border):
    rng = np.random.default_rng(seed)
    truth, flips = rng.random(g.x_shape) < 0.8, rng.random(g.c) < 0.5
    out = bk.bits_map((g.n, *g.output_size, g.c), *border)
    backend.bind_pool_bits(naive_packed.naive_bits(truth), flips, out, truth.shape, window(g))()
    joined = naive_packed.naive_all(truth, window(g).size, window(g).stride, window(g).padding)
    np.testing.assert_array_equal(out, naive_packed.naive_bits(joined ^ flips, border[0], border[1] == -1))


@each_backend
@given(SMALL, seeds, st.sampled_from([0, 1, -1]))
def test_packing_with_k(backend, g, seed, pad_value):
    x = values(np.random.default_rng(seed), g.x_shape, [0.0, -0.0])
    bits, K = bk.bits_map(x.shape, pair(g.padding), pad_value), np.empty((g.n, *g.output_size, 1), np.float32)
    backend.bind_pack_with_k(x, bits, K, window(g))()
    np.testing.assert_array_equal(bits, packed(x, pair(g.padding), pad_value))
    exact = naive.naive_scale_map(x, g.kernel_size, g.stride, g.padding)
    assert_close(K, exact, rounding(g.c + np.prod(pair(g.kernel_size)) + 2) * exact)


@each_backend
def test_nan_is_in_no_interval_and_infinity_can_be(backend):
    x = np.array(SIGN_SPECIALS, np.float32).reshape(1, 1, -1, 1)
    bits = bk.bits_map(x.shape)
    backend.bind_map(x, bk.Finish([], (np.float32([-np.inf]), np.float32([0]))), bits=bits)()
    assert bits.ravel().tolist() == [1, 1, 0, 0, 0, 1, 0, 1]


@each_backend
def test_prelu_keeps_nan_and_the_sign_of_zero(backend):
    x = np.array([np.nan, 0.0, -0.0, np.inf, -np.inf, -2.0], np.float32).reshape(1, 1, 1, -1)
    out = np.empty_like(x)
    backend.bind_map(x, bk.Finish([("prelu", np.float32([0.5] * 4 + [0.25, -1]))]), out=out)()
    np.testing.assert_array_equal(out.ravel(), [np.nan, 0, 0, np.inf, -np.inf, 2])
    assert np.signbit(out.ravel()[1:3]).tolist() == [False, True]


@pytest.mark.compiled
def test_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    x, weight = values(rng, (2, 13, 11, 70)), values(rng, (45, 3, 3, 70))
    results = []
    for threads in (1, 2):
        before = bk.get_num_threads()
        bk.set_num_threads(min(threads, before))
        targets = Targets(np.random.default_rng(1), (2, 13, 11, 45), ["relu", "norm", "add"], ((1, 1), 0), True)
        layer = bk.FusedConv2d(weight, weight.shape, 1, 1)
        layer.bind(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), targets.finish, **targets.arrays())()
        bk.set_num_threads(before)
        results.append((targets.out, targets.bits))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


# ---------------------------------------------------------------------------------------------- what is refused


def finish(**more):
    return bk.Finish((), **more)


@pytest.mark.parametrize(
    ("steps", "match"),
    [
        ([("tanh",)], r"a step must be \(norm, mean, factor, shift\)"),
        ([("norm", 1, 2)], "a step must be"),
        ([("prelu",)], r"a step must be .*\(prelu, slope\)"),
        ([("add",), ("relu",), ("add",)], "a residual can be added once"),
    ],
)
def test_steps_that_are_none(steps, match):
    with pytest.raises(ValueError, match=match):
        bk.Finish(steps)


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
@pytest.mark.parametrize(
    ("shape", "arrays", "match"),
    [
        ((1, 6, 6, 5), {}, "x must be a map of bits"),
        ((1, 4, 4, 33), {}, "x must be a map of bits"),
        ((1, 4, 4, 5), {"out": np.zeros((1, 4, 4, 2), np.float32)}, "out must be a writeable"),
        ((1, 4, 4, 5), {"bits": np.zeros((1, 4, 4, 1), np.uint32)}, "exactly where there are limits"),
        ((1, 4, 4, 5), {"residual": np.zeros((1, 4, 4, 3), np.float32)}, "a residual is needed exactly where"),
    ],
)
def test_arrays_that_do_not_fit(backend, shape, arrays, match):
    layer = backend.FusedXnorConv2d(np.zeros(3, np.uint64), (3, 3, 3, 5), padding=1)
    with pytest.raises(ValueError, match=match):
        layer.bind(bk.bits_map((1, 4, 4, 5), (1, 1)), shape, finish(), **arrays)


@each_backend
def test_other_arrays_that_do_not_fit(backend):
    x, limits = np.zeros((1, 4, 4, 3), np.float32), (np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match=r"x must be a writeable, C-contiguous float32 map .*, got float64"):
        backend.bind_map(x.astype(np.float64), finish(), out=x)
    with pytest.raises(ValueError, match="bits must be a map of bits of an image"):
        backend.bind_map(x, finish(limits=limits), bits=np.zeros((1, 5, 4, 1), np.uint32))
    with pytest.raises(ValueError, match="x must have no border"):
        backend.bind_pool_bits(
            bk.bits_map(x.shape, (1, 1)), np.zeros(3, bool), bk.bits_map(x.shape), x.shape, Window.of(1, 1, 0)
        )
    with pytest.raises(ValueError, match="bits must have the border"):
        backend.bind_pack_with_k(x, bk.bits_map(x.shape), np.zeros((1, 4, 4, 1), np.float32), Window.of(3, 1, 1))
