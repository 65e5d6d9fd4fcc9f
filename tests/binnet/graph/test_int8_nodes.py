"""Nodes in eight bits: equal to plain loops, exact at the extreme, and strict about what they are made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from binnet.engine.engine import Engine
from binnet.graph import Flatten, Graph, Input, Int8BwnConv, Int8Conv, MaxPool, QuantiseLinear, Relu, walk
from naive_int8_nodes import naive_int8_conv, naive_quantise

SIDES = st.integers(0, 2)
FOUR = st.tuples(SIDES, SIDES, SIDES, SIDES)
ZERO = np.float32([0])


def pixels(node, shape):
    """A graph of pixels, then a node."""
    return Graph((Input("x", (), shape, pixels=True), node))


def dense(weight, **fields):
    weight = np.asarray(weight, np.int8)
    rest = {"zero": ZERO, "scale": np.ones(len(weight), np.float32), **fields}
    return Int8Conv("n", ("q",), weight.shape, (1, 1), (0, 0, 0, 0), weight=weight, **rest)


@given(
    st.lists(st.floats(width=32), min_size=1, max_size=30),
    st.floats(2**-20, 2**20, width=32),
    st.integers(0, 255),
)
def test_quantising(values, step, zero):
    x = np.float32(values)[None, None, None]
    node = QuantiseLinear("n", ("x",), step, zero)
    graph = Graph((Input("x", (), x.shape[1:]), node))
    expected = naive_quantise(x, step, zero)
    np.testing.assert_array_equal(walk(graph, x), expected)
    np.testing.assert_array_equal(Engine(graph)(x), expected)


def test_halves_go_to_even_and_nothing_leaves_the_range():
    x = np.float32([[-np.inf, -1e30, -0.5, 0.5, 1.5, 2.5, 300, 1e30, np.inf, np.nan]])
    with np.errstate(all="ignore"):
        found = QuantiseLinear("n", ("x",), 1.0, 0).compute(x)
    np.testing.assert_array_equal(found, [[0, 0, 0, 0, 2, 2, 255, 255, 255, 0]])


@given(
    kind=st.sampled_from(["real", "one-bit"]),
    padding=FOUR,
    stride=st.sampled_from([(1, 1), (2, 1), (2, 2)]),
    size=st.sampled_from([1, 3]),
    channels=st.sampled_from([1, 3, 5]),
    seed=st.integers(0, 999),
)
def test_convolutions_with_any_border(kind, padding, stride, size, channels, seed):
    rng = np.random.default_rng(seed)
    shape = (4, size, size, channels)
    x = rng.integers(0, 256, (2, 5, 6, channels), np.uint8)
    zero = np.rint(rng.uniform(0, 255, channels) * 65536).astype(np.float32) / np.float32(65536)
    scale, bias = rng.uniform(0.01, 2, 4).astype(np.float32), rng.standard_normal(4, np.float32)
    if kind == "real":
        weight = rng.integers(-127, 128, shape).astype(np.int8)
        node = Int8Conv("n", ("x",), shape, stride, padding, zero, weight, scale, bias=bias)
    else:
        weight = rng.choice(np.int8([-1, 1]), shape)
        words = naive.naive_pack_signs(weight.astype(np.float32).ravel()[None])[0]
        node = Int8BwnConv("n", ("x",), shape, stride, padding, zero=zero, signs=words, alpha=scale, bias=bias)
    graph = pixels(node, x.shape[1:])
    expected = naive_int8_conv(x, weight, stride, padding, zero, scale, bias)
    np.testing.assert_array_equal(walk(graph, x), expected)
    np.testing.assert_array_equal(Engine(graph)(x), expected)


def test_a_dense_layer_reads_whole_numbers():
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((3, 7), np.float32), rng.integers(-127, 128, (4, 7)).astype(np.int8)
    q = QuantiseLinear("q", ("x",), 0.25, 7)
    node = dense(weight, zero=np.float32([7]), bias=np.ones(4, np.float32))
    found = node.compute(q.compute(x))
    whole = naive_quantise(x, 0.25, 7)[:, None, None]
    ones = np.ones(4, np.float32)
    expected = naive_int8_conv(whole, weight[:, None, None], (1, 1), (0, 0, 0, 0), np.full(7, 7), ones, ones)
    np.testing.assert_array_equal(found, expected[:, 0, 0])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sum_that_fits_is_exact_and_a_larger_one_is_refused(sign):
    n = ((1 << 31) - 1) // (255 * 127)  # the most weights at the extreme
    weight = np.full((1, n), sign * 127, np.int8)
    graph = Graph((Input("x", (), (1, n // 7, 7), pixels=True), Flatten("q", ("x",)), dense(weight)))
    x = np.full((1, 1, n // 7, 7), 255, np.uint8)
    assert n % 7 == 0
    expected = np.float32(sign * 255 * 127 * n)
    assert walk(graph, x).item() == Engine(graph)(x).item() == expected
    with pytest.raises(ValueError, match="do not fit into 32 bits"):
        dense(np.full((1, n + 1), sign * 127))


BAD = [
    ({"weight": np.zeros((2, 3), np.int16)}, "weight must be int8"),
    ({"weight": np.full((2, 3), -128, np.int8)}, "from -127 to 127, got -128"),
    ({"scale": np.float32([1, 0])}, "scale must be above 0"),
    ({"scale": np.float32([1, np.nan])}, "scale must be above 0"),
    ({"scale": np.float64([1, 1])}, "scale must be float32"),
    ({"scale": np.float32([1])}, "scale must be float32"),
    ({"bias": np.float32([1])}, "bias must have 2 values, got 1"),
    ({"bias": np.float64([1, 1])}, "bias must be float32"),
    ({"zero": np.float32([1, 2])}, "zero must have 1 or 3 values, got 2"),
    ({"zero": np.float32([-1])}, "zero must be multiples"),
    ({"zero": np.float32([255.5])}, "zero must be multiples"),
    ({"zero": np.float32([2**-17])}, "zero must be multiples"),
    ({"zero": np.float32([np.nan])}, "zero must be multiples"),
    ({"zero": np.uint8([1])}, "zero must be float32"),
]


@pytest.mark.parametrize(("fields", "match"), BAD)
def test_fields_that_are_refused(fields, match):
    fields = {"weight": np.zeros((2, 3), np.int8), "scale": np.ones(2, np.float32), "zero": ZERO, **fields}
    with pytest.raises(ValueError, match=match):
        Int8Conv("n", ("q",), (2, 3), (1, 1), (0, 0, 0, 0), **fields)


@pytest.mark.parametrize("step", [0, -1.0, np.nan, np.inf, 1e-45, 1e-50, 10**400, 0.1, "1", True, np.float32(1)])
def test_steps_that_are_refused(step):
    with pytest.raises(ValueError, match="step must be a positive float32"):
        QuantiseLinear("n", ("x",), step, 0)


@pytest.mark.parametrize("zero", [-1, 256, 1.0, True, None])
def test_zeros_that_are_refused(zero):
    with pytest.raises(ValueError, match="zero must be a whole number from 0 to 255"):
        QuantiseLinear("n", ("x",), 1.0, zero)


def test_a_layer_reads_what_is_known_to_be_whole_numbers():
    layer, images = dense(np.ones((2, 48))), Input("x", (), (4, 4, 3), pixels=True)
    pool = MaxPool("p", ("x",), (1, 1), (1, 1), (0, 0, 0, 0))
    Graph((images, pool, Flatten("q", ("p",)), layer))
    with pytest.raises(ValueError, match="n takes whole numbers in eight bits, which q does not give"):
        Graph((Input("x", (), (4, 4, 3)), Flatten("q", ("x",)), layer))
    with pytest.raises(ValueError, match="which q does not give"):
        Graph((images, Relu("r", ("x",)), Flatten("q", ("r",)), layer))
    assert Input("x", (), (1, 1, 3)).settings() == {"shape": (1, 1, 3), "any_size": False}
    assert images.settings()["pixels"] is True
