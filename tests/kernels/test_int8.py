"""Layers in eight bits: equal bits in the loops of the oracle, in NumPy and compiled, and what is refused."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk
from binnet_kernels.checks import Window
from naive import naive_pack_signs
from naive_int8 import naive_int8_conv2d, naive_pool, naive_quantise
from naive_packed import naive_between, naive_bits, naive_epilogue

from .strategies import BACKENDS, BORDERS, PURE_PYTHON, Geometry, each_backend, geometries, seeds, values

WORDS = ["norm", "relu", "prelu", "sign", "add"]
SMALL = geometries(depths=[1, 3, 4, 31, 33, 64, 65], paddings=BORDERS)
WINDOWS = [None, Window.of(2, 2, 0), Window.of(3, 2, 1), Window.of((1, 2), 1, (0, 1)), Window.of(2, (3, 1), 1)]
STEPS = [(), ("relu",), ("norm", "relu"), ("add", "prelu"), ("sign",)]
MOST = 5 if PURE_PYTHON else 23  # images: past the widest tile of pixels


def bytes_of(x, padding=0):
    """A map of these whole numbers."""
    pixels = bk.ByteMap(x.shape, padding)
    pixels.inside[...] = x
    return pixels


class Layer:
    """A random layer: what it is built of, and what comes out by the oracle."""

    def __init__(self, rng, g, one_bit=False, zeros=None):
        self.g, c = g, g.c
        self.weight = rng.choice([-127, -1, 0, 1, 127, *range(-126, 126)], g.weight_shape).astype(np.int8)
        if one_bit:
            self.weight = np.where(self.weight < 0, -1, 1).astype(np.int8)
        self.given = naive_pack_signs(self.weight.ravel()) if one_bit else self.weight
        self.zero = np.float32(rng.integers(0, 255 << 16, rng.choice([1, c])) / 65536)
        self.scale, self.bias = values(rng, g.o, [0.0]) / 1000, values(rng, g.o)
        self.x = rng.choice([0, 255, *range(256)], g.x_shape).astype(np.uint8)

    def built(self, backend):
        rest = {"scale": self.scale, "zero": self.zero, "bias": self.bias}
        return backend.FusedInt8Conv2d(self.given, self.weight.shape, self.g.stride, self.g.padding, **rest)

    def expected(self):
        return naive_int8_conv2d(self.x, self.weight, self.g.stride, self.g.padding, self.scale, self.zero, self.bias)


def draw_steps(rng, words, c):
    vectors = {"norm": 3, "prelu": 1}
    return [(word, *(values(rng, c, [0.0, -1.0]) for _ in range(vectors.get(word, 0)))) for word in words]


def fits(window, size):
    """Whether the window lies on at least one pixel at each of its places."""
    return all(s + 2 * p >= k for s, p, k in zip(size, window.padding, window.size, strict=True))


@each_backend
@given(SMALL, seeds, st.sampled_from(STEPS), st.booleans(), st.booleans(), st.sampled_from(WINDOWS))
def test_convolution(backend, g, seed, words, with_floats, one_bit, pool):
    rng = np.random.default_rng(seed)
    layer = Layer(rng, g, one_bit)
    y = layer.expected()
    if pool is not None and fits(pool, g.output_size):
        y = naive_pool(y, pool.size, pool.stride, pool.border)
    else:
        pool = None
    steps, limits = draw_steps(rng, words, g.o), (values(rng, g.o, [-np.inf]), values(rng, g.o, [np.inf]) + 2)
    residual = values(rng, y.shape) if "add" in words else None
    out, bits = np.full(y.shape, 7, np.float32) if with_floats else None, bk.BitMap(y.shape, 1)
    run = layer.built(backend).bind(
        bytes_of(layer.x, g.padding), bk.Epilogue(steps, limits), pool=pool, residual=residual, out=out, bits=bits
    )
    y = naive_epilogue(y, steps, residual)
    for _ in range(2):  # it can run again
        run()
        if out is not None:
            np.testing.assert_array_equal(out, y)
        np.testing.assert_array_equal(bits.words, naive_bits(naive_between(y, *limits), 1))


@each_backend
@given(SMALL, seeds, st.booleans())
def test_weights_come_back_as_they_were_given(backend, g, seed, one_bit):
    layer = Layer(np.random.default_rng(seed), g, one_bit)
    np.testing.assert_array_equal(layer.built(backend).stored(), layer.given, strict=True)


def run_once(backend, layer, x, pool=None):
    """Floats of images."""
    size = layer.g.output_size if pool is None else pool.output_size(*layer.g.output_size)
    out = np.empty((len(x), *size, layer.g.o), np.float32)
    layer.built(backend).bind(bytes_of(x, layer.g.padding), bk.Epilogue(()), pool=pool, out=out)()
    return out


@pytest.mark.parametrize("pool", [None, Window.of(3, 2, 1)])
@given(geometries(depths=[1, 3, 33, 64]), seeds, st.integers(1, MOST))
def test_an_image_alone_as_in_a_batch(pool, g, seed, n):
    layer = Layer(np.random.default_rng(seed), g)
    if pool is not None and not fits(pool, g.output_size):
        pool = None
    x = np.random.default_rng(seed + 1).integers(0, 256, (n, *g.x_shape[1:])).astype(np.uint8)
    together = run_once(bk, layer, x, pool)
    for i in {0, seed % n, n - 1}:
        np.testing.assert_array_equal(run_once(bk, layer, x[i : i + 1], pool)[0], together[i])
    np.testing.assert_array_equal(run_once(bk.reference, layer, x, pool), together)


@pytest.mark.compiled
@pytest.mark.parametrize("o", [64, 96, 200])
@pytest.mark.parametrize("pool", [None, Window.of(3, 2, 1), Window.of(2, 2, 0), Window.of(5, 1, 2)])
def test_any_number_of_threads(pool, o):
    """Also where a map is divided into strips, and where other threads run than those it was bound for."""
    layer, before = Layer(np.random.default_rng(0), Geometry(1, 65, 33, 3, o, 3, 1, 1)), bk.get_num_threads()
    expected = run_once(bk.reference, layer, layer.x, pool)
    x, epilogue = bytes_of(layer.x, 1), bk.Epilogue(())
    try:
        for bound, threads in product({1, before}, repeat=2):
            out = np.zeros_like(expected)
            bk.set_num_threads(bound)
            run = layer.built(bk).bind(x, epilogue, pool=pool, out=out)
            bk.set_num_threads(threads)
            run()
            np.testing.assert_array_equal(out, expected)
    finally:
        bk.set_num_threads(before)


@each_backend
@given(seeds, st.sampled_from([1, 3, 16, 31, 64, 65]), st.integers(0, 5), st.integers(0, 3), st.sampled_from(BORDERS))
def test_rounding_to_steps(backend, seed, c, h, n, padding):
    rng = np.random.default_rng(seed)
    step, zero = float(np.float32(np.exp(rng.standard_normal()))), int(rng.choice([0, 255, 128, 3]))
    x = 50 * values(rng, (n, h, 4, c), [np.nan, np.inf, -np.inf, 0.0, -0.0, 3e36, -3e36, 1e-45])
    ties = rng.random(x.shape) < 0.2
    x[ties] = (rng.integers(-300, 300, ties.sum()) + 0.5) * np.float32(step)
    for stride in ((1, 1), (2, 2), (1, 3)):
        expected = naive_quantise(x, step, zero, stride)
        out = bk.ByteMap(expected.shape, padding)
        out.inside[...] = 77
        backend.bind_quantise(x, step, zero, out, stride)()
        np.testing.assert_array_equal(out.inside, expected)
        out.inside[...] = 0
        assert not out.memory.any()  # the border and what follows the last image stay 0


@each_backend
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shape", [(2, 1, 1, 66311), (1, 7, 1, 9473)])
def test_the_largest_sums(backend, sign, shape):
    weight = np.full(shape, 127 * sign, np.int8)
    x = bytes_of(np.full((1, *shape[1:]), 255, np.uint8))
    out = np.empty((1, 1, 1, shape[0]), np.float32)
    layer = backend.FusedInt8Conv2d(weight, shape, scale=np.ones(shape[0]), zero=[0])
    layer.bind(x, bk.Epilogue(()), out=out)()
    assert (out == np.float32(255 * 127 * sign * weight[0].size)).all()


@each_backend
def test_sums_beyond_32_bits_are_refused(backend):
    with pytest.raises(ValueError, match=r"^the weights must have sums that fit into 32 bits, got sums of up to"):
        backend.FusedInt8Conv2d(np.full((1, 1, 1, 66312), 127, np.int8), (1, 1, 1, 66312), scale=[1], zero=[0])


# ---------------------------------------------------------------------------------------------- what is refused


def test_a_map_of_bytes():
    pixels = bk.ByteMap((2, 3, 4, 5), (1, 0, 0, 2))
    assert pixels.inside.shape == (2, 3, 4, 5)
    assert pixels.border == (1, 0, 0, 2)
    assert repr(pixels) == "ByteMap (2, 3, 4, 5) with the border (1, 0, 0, 2)"
    assert not pixels.memory.any()
    assert bk.reference.ByteMap is bk.ByteMap


SHAPE = (3, 3, 3, 5)
WEIGHT, ONES = np.ones(SHAPE, np.int8), np.ones(3)
GOOD = {"weight": WEIGHT, "shape": SHAPE, "scale": ONES, "zero": [0.5]}


@each_backend
@pytest.mark.parametrize(
    ("spoilt", "error", "match"),
    [
        ({"weight": WEIGHT.astype(np.int16)}, TypeError, r"^weight must be an array of int8, or of uint64 words of"),
        ({"weight": WEIGHT[:2]}, ValueError, r"^weight must have shape \(3, 3, 3, 5\), got \(2, 3, 3, 5\)$"),
        ({"weight": np.zeros(2, np.uint64)}, ValueError, r"^weight must end in ceil\(135/64\) = 3 words"),
        ({"scale": np.ones(2)}, ValueError, r"^scale must have shape \(3,\), got \(2,\)$"),
        ({"zero": np.ones(3)}, ValueError, r"^zero must have shape \(5,\), got \(3,\)$"),
        ({"bias": np.ones(4)}, ValueError, r"^bias must have shape \(3,\), got \(4,\)$"),
        ({"padding": -1}, ValueError, r"^padding must be"),
        ({"stride": 0}, ValueError, r"^stride must be"),
    ],
)
def test_layers_that_are_none(backend, spoilt, error, match):
    with pytest.raises(error, match=match):
        backend.FusedInt8Conv2d(**{**GOOD, **spoilt})


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
@pytest.mark.parametrize(
    ("x", "arrays", "match"),
    [
        (np.zeros((1, 6, 6, 5), np.uint8), {}, r"^x must be a ByteMap \(N, H, W, 5\) with the border \(1, 1, 1, 1\), "),
        (bk.ByteMap((1, 4, 4, 6), 1), {}, r"got ByteMap \(1, 4, 4, 6\) with the border \(1, 1, 1, 1\)$"),
        (bk.ByteMap((1, 4, 4, 5), 0), {}, r"^x must be a ByteMap"),
        (bk.ByteMap((1, 4, 4, 5), 1), {"out": np.zeros((1, 4, 4, 3), np.float32)}, r"^out must be .* \(1, 2, 2, 3\)"),
        (bk.ByteMap((1, 4, 4, 5), 1), {"pool": Window.of(5, 1, 0)}, "smaller than the filter"),
    ],
)
def test_arrays_that_do_not_fit(backend, x, arrays, match):
    with pytest.raises(ValueError, match=match):
        backend.FusedInt8Conv2d(**GOOD, padding=1).bind(x, bk.Epilogue(()), **{"pool": Window.of(2, 2, 0), **arrays})


@each_backend
@pytest.mark.parametrize(
    ("spoilt", "match"),
    [
        ({"x": np.zeros((1, 4, 4, 5))}, r"^x must be a writeable, C-contiguous float32 map .*, got float64"),
        ({"out": bk.ByteMap((1, 4, 4, 6))}, r"^out must be a ByteMap \(1, 4, 4, 5\), got ByteMap \(1, 4, 4, 6\)"),
        ({"stride": 2}, r"^out must be a ByteMap \(1, 2, 2, 5\), got ByteMap \(1, 4, 4, 5\)"),
        ({"stride": 0}, r"^stride must be"),
        *(({"step": step}, r"^step must be positive, with") for step in (0.0, -1.0, np.inf, np.nan, 1e-45)),
        *(({"zero": zero}, r"^zero must be a whole number") for zero in (-1, 256, 0.5, True)),
    ],
)
def test_roundings_that_are_none(backend, spoilt, match):
    good = {"x": np.zeros((1, 4, 4, 5), np.float32), "step": 0.5, "zero": 3, "out": bk.ByteMap((1, 4, 4, 5))}
    with pytest.raises(ValueError, match=match):
        backend.bind_quantise(**{**good, **spoilt})
