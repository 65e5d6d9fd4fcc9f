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
    BORDERS,
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
AROUND = st.sampled_from([(0, 0), (1, 0), ((2, 0), 1), ((0, 3), -1), ((0, 1, 0, 1), -1), ((3, 0, 1, 2), -1)])
SMALL = geometries(depths=[1, 3, 31, 32, 33, 64, 65], paddings=BORDERS)
POOLS = pool_geometries(BORDERS)


def window(g):
    return Window.with_border(g.kernel_size, g.kernel_size if g.stride is None else g.stride, g.padding)


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
        self.added = values(rng, shape) if "add" in words else None
        self.residual = None if self.added is None else self.added.copy()
        self.out = np.full(shape, 7, np.float32) if with_floats else None
        if with_floats and self.added is not None and rng.integers(2):
            self.out = self.residual
        self.bits = bk.BitMap(shape, *border)
        self.epilogue = bk.Epilogue(self.steps, self.limits)

    def arrays(self):
        return {"residual": self.residual, "out": self.out, "bits": self.bits}

    def check(self, sums):
        y = naive_packed.naive_epilogue(sums, self.steps, self.added)
        if self.out is not None:
            np.testing.assert_array_equal(self.out, y)
        truth = naive_packed.naive_between(y, *self.limits)
        expected = naive_packed.naive_bits(truth, self.border[0], self.border[1] == -1)
        np.testing.assert_array_equal(self.bits.words, expected)
        if self.residual is not None:
            self.residual[...] = self.added  # for the next run: sums may have been written over it


def packed(x, padding, pad_value):
    """The signs of images."""
    bits = bk.BitMap(x.shape, padding, pad_value)
    bits.words[...] = naive_packed.naive_bits(x < 0, padding, pad_value == -1)
    return bits


@each_backend
@given(SMALL, seeds, STEPS, AROUND, st.booleans(), st.sampled_from([0, 1, -1]), st.booleans())
def test_binary_convolution(backend, g, seed, words, border, with_floats, pad_value, use_k):
    rng = np.random.default_rng(seed)
    x, weight, alpha = values(rng, g.x_shape), values(rng, g.weight_shape, [0.0]), values(rng, g.o, [0.0])
    targets = Targets(rng, (g.n, *g.output_size, g.o), words, border, with_floats)
    layer = backend.FusedXnorConv2d(
        naive.naive_pack_signs(weight.ravel()), weight.shape, g.stride, g.padding, pad_value, alpha
    )
    K = np.abs(values(rng, (*targets.shape[:3], 1))) if use_k else None
    run = layer.bind(packed(x, g.padding, pad_value), targets.epilogue, K=K, **targets.arrays())
    dots = naive.naive_xnor_conv2d(x, weight, g.stride, g.padding, pad_value, alpha=False).astype(np.float32)
    for _ in range(2):  # it can run again
        run()
        targets.check(dots * alpha if K is None else dots * alpha * K)


@each_backend
@given(SMALL, seeds, AROUND, st.sampled_from([0, 1, -1]))
def test_binary_convolution_to_bits(backend, g, seed, border, pad_value):
    rng = np.random.default_rng(seed)
    x, weight = values(rng, g.x_shape), values(rng, g.weight_shape, [0.0])
    layer = backend.FusedXnorConv2d(
        naive.naive_pack_signs(weight.ravel()), weight.shape, g.stride, g.padding, pad_value
    )
    dots = naive.naive_xnor_conv2d(x, weight, g.stride, g.padding, pad_value, alpha=False)
    n = weight[0].size
    most, flips = rng.choice([-n - 1, -n, -1, 0, 1, 2, n], g.o), rng.random(g.o) < 0.5
    bits = bk.BitMap(dots.shape, *border)
    layer.bind_bits(packed(x, g.padding, pad_value), most, flips, bits)()
    expected = naive_packed.naive_bits((dots <= most) ^ flips, border[0], border[1] == -1)
    np.testing.assert_array_equal(bits.words, expected)


@each_backend
@given(SMALL, seeds, STEPS, AROUND, st.booleans(), st.booleans())
def test_real_convolution(backend, g, seed, words, border, with_floats, one_bit):
    rng = np.random.default_rng(seed)
    x, weight = whole(rng, g.x_shape), whole(rng, g.weight_shape)
    alpha, bias = values(rng, g.o), values(rng, g.o)
    targets = Targets(rng, (g.n, *g.output_size, g.o), words, border, with_floats)
    stored = naive.naive_pack_signs(weight.ravel()) if one_bit else weight
    layer = backend.FusedConv2d(stored, weight.shape, g.stride, g.padding, alpha, bias)
    layer.bind(naive.pad_image(x, g.padding).astype(np.float32), targets.epilogue, **targets.arrays())()
    used = naive.naive_sign(weight) if one_bit else weight
    targets.check(naive.naive_conv2d(x, used, g.stride, g.padding).astype(np.float32) * alpha + bias)


@each_backend
def test_sums_of_few_pixels_are_written_over_the_map_that_they_add(backend):
    """Three blocks of filters do not fill the four that are summed side by side; none of them may be added twice."""
    rng = np.random.default_rng(0)
    x, weight = whole(rng, (1, 1, 2, 9)), whole(rng, (90, 1, 1, 9))
    added = whole(rng, (1, 1, 2, 90)).astype(np.float32)
    for stored, used in ((naive.naive_pack_signs(weight.ravel()), naive.naive_sign(weight)), (weight, weight)):
        out = added.copy()
        layer = backend.FusedConv2d(stored, weight.shape)
        layer.bind(x.astype(np.float32), bk.Epilogue([("add",)]), residual=out, out=out)()
        np.testing.assert_array_equal(out, naive.naive_conv2d(x, used, (1, 1), (0, 0)).astype(np.float32) + added)


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
@given(POOLS, seeds, STEPS, AROUND, st.booleans())
def test_pass_over_a_map(backend, g, seed, words, border, with_floats):
    rng = np.random.default_rng(seed)
    x = values(rng, g.x_shape, [np.nan, 0.0, -0.0, -np.inf])
    targets = Targets(rng, (g.n, *g.output_size, g.c), words, border, with_floats)
    with np.errstate(invalid="ignore"):
        backend.bind_map(x, targets.epilogue, window=window(g), **targets.arrays())()
        targets.check(naive.naive_max_pool2d(x, g.kernel_size, g.stride, g.padding))


@each_backend
@given(POOLS, seeds)
def test_means_of_windows(backend, g, seed):
    x = np.random.default_rng(seed).standard_normal(g.x_shape).astype(np.float32)
    out = np.full((g.n, *g.output_size, g.c), np.nan, np.float32)
    backend.bind_average(x, out, window(g))()
    np.testing.assert_allclose(out, naive.naive_avg_pool2d(x, g.kernel_size, g.stride, g.padding), rtol=1e-5, atol=1e-5)


@each_backend
@given(POOLS, seeds, AROUND)
def test_pooling_of_bits(backend, g, seed, border):
    rng = np.random.default_rng(seed)
    truth, flips = rng.random(g.x_shape) < 0.8, rng.random(g.c) < 0.5
    out = bk.BitMap((g.n, *g.output_size, g.c), *border)
    backend.bind_pool_bits(packed(-1.0 * truth, 0, 0), flips, out, window(g))()
    joined = naive_packed.naive_all(truth, window(g).size, window(g).stride, g.padding)
    np.testing.assert_array_equal(out.words, naive_packed.naive_bits(joined ^ flips, border[0], border[1] == -1))


@each_backend
@given(SMALL, seeds, st.sampled_from([0, 1, -1]))
def test_packing_with_k(backend, g, seed, pad_value):
    x = values(np.random.default_rng(seed), g.x_shape, [0.0, -0.0])
    bits, K = bk.BitMap(x.shape, g.padding, pad_value), np.empty((g.n, *g.output_size, 1), np.float32)
    backend.bind_pack_with_k(x, bits, K, window(g))()
    np.testing.assert_array_equal(bits.words, packed(x, g.padding, pad_value).words)
    exact = naive.naive_scale_map(x, g.kernel_size, g.stride, g.padding)
    for written in (K, backend.scale_map(x, g.kernel_size, g.stride, g.padding)):
        assert_close(written, exact, rounding(g.c + np.prod(pair(g.kernel_size)) + 2) * exact)


@each_backend
def test_nan_is_in_no_interval_and_infinity_can_be(backend):
    x = np.array(SIGN_SPECIALS, np.float32).reshape(1, 1, -1, 1)
    bits = bk.BitMap(x.shape)
    backend.bind_map(x, bk.Epilogue([], (np.float32([-np.inf]), np.float32([0]))), bits=bits)()
    assert bits.words.ravel().tolist() == [1, 1, 0, 0, 0, 1, 0, 1]


@each_backend
def test_prelu_keeps_nan_and_the_sign_of_zero(backend):
    x = np.array([np.nan, 0.0, -0.0, np.inf, -np.inf, -2.0], np.float32).reshape(1, 1, 1, -1)
    out = np.empty_like(x)
    backend.bind_map(x, bk.Epilogue([("prelu", np.float32([0.5] * 4 + [0.25, -1]))]), out=out)()
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
        layer.bind(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), targets.epilogue, **targets.arrays())()
        bk.set_num_threads(before)
        results.append((targets.out, targets.bits.words))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


# ---------------------------------------------------------------------------------------------- what is refused


def epilogue(**more):
    return bk.Epilogue((), **more)


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
        bk.Epilogue(steps)


X = bk.BitMap((1, 4, 4, 5), 1)
WANTED = r"^x must be a BitMap \(N, H, W, 5\) with the border \(1, 1, 1, 1\), got "


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
@pytest.mark.parametrize(
    ("x", "arrays", "match"),
    [
        (np.zeros((1, 6, 6, 1), np.uint32), {}, WANTED + r"uint32 \(1, 6, 6, 1\)$"),
        (bk.BitMap((1, 4, 4, 33), 1), {}, WANTED + r"BitMap \(1, 4, 4, 33\) with the border \(1, 1, 1, 1\)$"),
        (bk.BitMap((1, 4, 4, 5), (0, 2, 1, 1)), {}, WANTED),
        (X, {"out": np.zeros((1, 4, 4, 2), np.float32)}, "out must be a writeable"),
        (X, {"bits": bk.BitMap((1, 4, 4, 3))}, "exactly where there are limits"),
        (X, {"residual": np.zeros((1, 4, 4, 3), np.float32)}, "a residual is needed exactly where"),
    ],
)
def test_arrays_that_do_not_fit(backend, x, arrays, match):
    layer = backend.FusedXnorConv2d(np.zeros(3, np.uint64), (3, 3, 3, 5), padding=1)
    with pytest.raises(ValueError, match=match):
        layer.bind(x, epilogue(), **arrays)


@each_backend
def test_other_arrays_that_do_not_fit(backend):
    x, limits = np.zeros((1, 4, 4, 3), np.float32), (np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match=r"x must be a writeable, C-contiguous float32 map .*, got float64"):
        backend.bind_map(x.astype(np.float64), epilogue(), out=x)
    with pytest.raises(ValueError, match=r"bits must be a BitMap \(1, 4, 4, 3\), got BitMap \(1, 5, 4, 3\) with"):
        backend.bind_map(x, epilogue(limits=limits), bits=bk.BitMap((1, 5, 4, 3)))
    with pytest.raises(ValueError, match=r"x must be a BitMap \(N, H, W, C\) with the border \(0, 0, 0, 0\)"):
        backend.bind_pool_bits(bk.BitMap(x.shape, 1), np.zeros(3, bool), bk.BitMap(x.shape), Window.of(1, 1, 0))
    with pytest.raises(ValueError, match=r"bits must be a BitMap \(1, 4, 4, 3\) with the border \(1, 1, 1, 1\)"):
        backend.bind_pack_with_k(x, bk.BitMap(x.shape), np.zeros((1, 4, 4, 1), np.float32), Window.of(3, 1, 1))


@each_backend
@pytest.mark.parametrize("padding", [-1, (0, -1), (1, 2, 3), (0, 0, 0, -1), 1.0, True, (0, 0, 0, 1.5)])
def test_padding_that_is_none(backend, padding):
    signs, weight = np.zeros(2, np.uint64), np.zeros((2, 3, 3, 5), np.float32)
    for build in (
        lambda: backend.FusedXnorConv2d(signs, weight.shape, padding=padding),
        lambda: backend.FusedConv2d(weight, weight.shape, padding=padding),
        lambda: backend.FusedKbitConv2d(signs[None], weight.shape, 2, padding=padding),
        lambda: backend.BitMap(weight.shape, padding),
        lambda: backend.scale_map(weight, 3, padding=padding),
    ):
        with pytest.raises(ValueError, match=r"^padding must be .*, or four of them \(top, bottom, left, right\), got"):
            build()


@each_backend
def test_layers_that_are_trained_have_no_other_padding_than_a_pair(backend):
    with pytest.raises(ValueError, match=r"^padding must be an int or a pair of ints, each at least 0, got"):
        backend.XnorConv2d(np.ones((2, 3, 3, 5), np.float32), padding=(0, 1, 0, 1))


def test_vectors_of_another_length_are_refused():
    bits, pooled = bk.BitMap((1, 4, 4, 40), (0, 0, 0, 0), 0), bk.BitMap((1, 2, 2, 40), (0, 0, 0, 0), 0)
    window = Window.of(2, 2, 0)
    for flips in ([True] * 3, True, [0.0] * 40):
        with pytest.raises(ValueError, match="flips must be 40 booleans"):
            bk.bind_pool_bits(bits, flips, pooled, window)
    layer = bk.FusedXnorConv2d(bk.pack_signs(np.ones(40 * 40)), (40, 1, 1, 40))
    out = bk.BitMap((1, 4, 4, 40), (0, 0, 0, 0), 0)
    for most, flips, name in (
        ([0.9] * 40, [False] * 40, "most"),
        (0, [False] * 40, "most"),
        ([0] * 40, False, "flips"),
    ):
        with pytest.raises(ValueError, match=f"{name} must be 40"):
            layer.bind_bits(bits, most, flips, out)
    with pytest.raises(ValueError, match="limits must be two vectors"):
        bk.Epilogue((), (np.zeros(40),))
    with pytest.raises(ValueError, match="a step must be"):
        bk.Epilogue([()])
