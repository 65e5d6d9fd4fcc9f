"""Nodes by themselves: what they compute, in plain loops, what they refuse, and how the engine runs them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from binnet import graph as g
from binnet.engine import PackedModel
from binnet.engine.engine import Engine
from binnet.graph import Graph, Input, walk
from binnet.modelfile.info import DataInfo

SIDES = st.integers(0, 2)
FOUR = st.tuples(SIDES, SIDES, SIDES, SIDES)


def signs(rng, shape):
    weight = rng.choice(np.float32([-1, 1]), shape)
    return weight, naive.naive_pack_signs(weight.ravel()[None])[0]


def one(node, shape):
    """A graph of the input, then some node."""
    return Graph((Input("x", (), shape), node))


def padded(x, padding, value=0.0):
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def by_hand(kind, x, weight, stride, padding, pad_value, alpha):
    seen = (np.where(x < 0, -1.0, 1.0), pad_value) if kind == "XnorConv" else (x, 0)
    return naive.naive_conv2d(padded(seen[0], padding, seen[1]), weight, stride, 0) * alpha


@pytest.mark.parametrize("kind", ["XnorConv", "BwnConv", "Conv"])
@given(padding=FOUR, stride=st.sampled_from([(1, 1), (2, 1), (2, 2)]), seed=st.integers(0, 999), data=st.data())
def test_convolutions_with_any_border(kind, padding, stride, seed, data):
    rng = np.random.default_rng(seed)
    shape = (
        data.draw(st.sampled_from([3, 33])),
        3,
        data.draw(st.sampled_from([1, 3])),
        data.draw(st.sampled_from([1, 33])),
    )
    x = rng.integers(-3, 4, (2, 5, 6, shape[3])).astype(np.float32)
    weight, words = signs(rng, shape)
    alpha, pad_value = rng.choice(np.float32([0.5, 1, -2]), shape[0]), data.draw(st.sampled_from([0, 1, -1]))
    fields = {
        "XnorConv": lambda: {"signs": words, "alpha": alpha, "pad_value": pad_value},
        "BwnConv": lambda: {"signs": words, "alpha": alpha},
        "Conv": lambda: {"weight": weight * alpha[:, None, None, None]},
    }
    node = getattr(g, kind)("n", ("x",), shape, stride, padding, **fields[kind]())
    found = one(node, x.shape[1:])
    expected = by_hand(kind, x, weight, stride, padding, pad_value, alpha)
    np.testing.assert_array_equal(walk(found, x), expected)
    np.testing.assert_array_equal(Engine(found)(x), expected)


@given(
    padding=st.tuples(*[st.integers(0, 1)] * 4), kind=st.sampled_from(["MaxPool", "AvgPool"]), seed=st.integers(0, 999)
)
def test_poolings_with_any_border(padding, kind, seed):
    x = np.random.default_rng(seed).integers(-4, 5, (2, 5, 4, 3)).astype(np.float32)
    found = one(getattr(g, kind)("n", ("x",), (2, 2), (2, 1), padding), x.shape[1:])
    y = walk(found, x)
    wide = padded(x, padding, -np.inf if kind == "MaxPool" else 0.0)
    for n, i, j, c in np.ndindex(y.shape):
        window = wide[n, 2 * i : 2 * i + 2, j : j + 2, c]
        assert y[n, i, j, c] == (window.max() if kind == "MaxPool" else window.mean())
    np.testing.assert_array_equal(Engine(found)(x), y)


@pytest.mark.parametrize("use_k", [False, True])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0)])
def test_levels_and_k(use_k, padding):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (5, 3, 3, 7))
    planes = np.stack([naive.naive_pack_signs((1 - 2 * (codes >> i & 1)).ravel()[None])[0] for i in range(2)])
    node = g.KbitConv("n", ("x",), (5, 3, 3, 7), (1, 1), padding, planes, None, -1, use_k, 2)
    weight = sum((1 << i) * (1 - 2 * (codes >> i & 1)) for i in range(2)) / 3
    x = rng.uniform(-1.5, 1.5, (2, 6, 5, 7)).astype(np.float32)
    level = np.array([-1, -1 / 3, 1 / 3, 1])
    quantised = level[np.abs(x[..., None] - level).argmin(axis=-1)]
    expected = naive.naive_conv2d(padded(quantised, padding, -1.0), weight)
    if use_k:
        mean = padded(np.abs(x).mean(axis=3, keepdims=True), padding)
        expected = expected * naive.naive_conv2d(mean, np.full((1, 3, 3, 1), 1 / 9))
    found = one(node, x.shape[1:])
    np.testing.assert_allclose(walk(found, x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(Engine(found)(x), walk(found, x), rtol=1e-6)


def test_grouped_convolutions_with_any_border():
    rng = np.random.default_rng(0)
    for groups, o in ((2, 4), (6, 6), (6, 12)):
        weight = rng.integers(-2, 3, (o, 3, 3, 6 // groups)).astype(np.float32)
        bias, x = rng.integers(-3, 3, o).astype(np.float32), rng.integers(-3, 4, (2, 5, 6, 6)).astype(np.float32)
        node = g.Conv("n", ("x",), weight.shape, (2, 1), (0, 1, 2, 0), weight, bias, groups)
        expected = naive.naive_grouped_conv2d(padded(x, (0, 1, 2, 0)), weight, groups, (2, 1)) + bias
        np.testing.assert_array_equal(walk(one(node, x.shape[1:]), x), expected)
        np.testing.assert_array_equal(Engine(one(node, x.shape[1:]))(x), expected)


VALUES = np.float32([[-2.0, -0.5, 0.0, 0.25, 3.0, 7.0]]).reshape(1, 1, 2, 3)
VECTOR = np.float32([2, -1, 0.5])
LEVELS = {-2.0: -1, -0.5: -1 / 3, 0.0: 1 / 3, 0.25: 1 / 3}
ELEMENTS = [
    (g.BatchNorm("n", ("x",), VECTOR, VECTOR * 2, VECTOR + 1), lambda v, p: (v - p) * (p * 2) + (p + 1)),
    (g.Scale("n", ("x",), VECTOR), lambda v, p: v * p),
    (g.Scale("n", ("x",), VECTOR[:1]), lambda v, p: v * 2),
    (g.Shift("n", ("x",), VECTOR), lambda v, p: v + p),
    (g.Relu("n", ("x",)), lambda v, p: max(v, 0.0)),
    (g.PRelu("n", ("x",), VECTOR), lambda v, p: v if v >= 0 else v * p),
    (g.PRelu("n", ("x",), VECTOR[1:2]), lambda v, p: v if v >= 0 else -v),
    (g.Clip("n", ("x",), -0.25, 6.0), lambda v, p: min(max(v, -0.25), 6.0)),
    (g.Tanh("n", ("x",)), lambda v, p: np.float32(math.tanh(v))),
    (g.Sigmoid("n", ("x",)), lambda v, p: np.float32(1 / (1 + math.exp(-v)))),
    (g.Sign("n", ("x",)), lambda v, p: 1.0 if v >= 0 else -1.0),
    (g.Sign("n", ("x",), VECTOR), lambda v, p: 1.0 if v >= p else -1.0),
    (g.Quantise("n", ("x",), 1), lambda v, p: 1.0 if v >= 0 else -1.0),
    (
        g.Quantise("n", ("x",), 2),
        lambda v, p: np.float32({-2.0: -1, -0.5: -1 / 3, 0.0: 1 / 3, 0.25: 1 / 3}.get(v, 1.0)),
    ),
]


@pytest.mark.parametrize(("node", "by_hand"), ELEMENTS, ids=[f"{i}-{n.kind}" for i, (n, _) in enumerate(ELEMENTS)])
def test_functions_of_each_value(node, by_hand):
    expected = np.float32(
        [[[[by_hand(float(v), float(p)) for v, p in zip(px, VECTOR, strict=True)] for px in VALUES[0, 0]]]]
    )
    np.testing.assert_array_equal(walk(one(node, (1, 2, 3)), VALUES), expected)
    np.testing.assert_array_equal(Engine(one(node, (1, 2, 3)))(VALUES), expected)


def test_functions_of_several_maps():
    x = Input("x", (), (2, 2, 3))
    images = np.random.default_rng(0).integers(1, 9, (2, 2, 2, 3)).astype(np.float32)
    row = g.GlobalAverage("m", ("x",))
    wide = g.Reshape("r", ("m",), (1, 1, 3))
    mean = images.mean(axis=(1, 2), keepdims=True)
    for node, expected in (
        (g.Add("n", ("x", "r")), images + mean),
        (g.Multiply("n", ("r", "x")), images * mean),
        (g.Divide("n", ("x", "r")), images / mean),
    ):
        found = Graph((x, row, wide, node))
        np.testing.assert_array_equal(walk(found, images), expected)
        np.testing.assert_array_equal(Engine(found)(images), expected)
    for axis in (-1, -2, -3):
        found = Graph((x, g.Relu("a", ("x",)), g.Scale("b", ("x",), VECTOR), g.Concatenate("n", ("a", "b", "x"), axis)))
        expected = np.concatenate([images, images * VECTOR, images], axis=axis)
        np.testing.assert_array_equal(walk(found, images), expected)
        np.testing.assert_array_equal(Engine(found)(images), expected)


def test_softmax_border_and_constant():
    images = np.random.default_rng(0).standard_normal((2, 2, 3, 4), np.float32)
    x = Input("x", (), (2, 3, 4))
    powers = [[math.exp(v) for v in px] for px in images.reshape(-1, 4)]
    expected = np.reshape([[p / sum(row) for p in row] for row in powers], images.shape)
    np.testing.assert_allclose(walk(Graph((x, g.Softmax("n", ("x",)))), images), expected, rtol=1e-6)
    found = Graph((x, g.Pad("n", ("x",), (1, 0, 2, 1), -2.0)))
    np.testing.assert_array_equal(Engine(found)(images), padded(images, (1, 0, 2, 1), -2.0))
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found = Graph((x, g.Constant("c", (), array), g.Add("n", ("c", "x"))))
    for _ in range(2):  # the constant is still there in the second call
        np.testing.assert_array_equal(Engine(found)(images), images + array)


ONES = np.ones(3, np.float32)
WORDS, MATRIX, CUBE = np.zeros(1, np.uint64), np.ones((3, 4), np.float32), np.ones((3, 1, 1), np.float32)
DENSE = ((3, 4), (1, 1), (0, 0, 0, 0))
WRONG = [
    (lambda: g.Relu("", ("x",)), "the name of a node must be a printable word without slashes, got ''"),
    (lambda: g.Relu("a/b", ("x",)), "must be a printable word"),
    (lambda: g.Relu("n", ["x"]), r"n: inputs must be the names of nodes, got \['x'\]"),
    (lambda: g.Relu("n", ("x", "y")), "n: a Relu has 1 inputs, got 2"),
    (lambda: g.Concatenate("n", ()), "n: a Concatenate has one or more inputs, got 0"),
    (
        lambda: g.Scale("n", ("x",), np.ones((3, 1), np.float32)),
        r"n.factor must be float32 \(channels,\), got float32 \(3, 1\)",
    ),
    (lambda: g.Scale("n", ("x",), np.ones(3)), r"n.factor must be float32 \(channels,\), got float64 \(3,\)"),
    (lambda: g.Shift("n", ("x",), 1.0), r"n.shift must be float32 \(channels,\), got float"),
    (lambda: g.BatchNorm("n", ("x",), ONES, ONES, ONES[:2]), "mean, factor and shift must have the same length"),
    (lambda: g.Sign("n", ("x",), 0.5), "n.threshold must be float32"),
    (lambda: g.Quantise("n", ("x",), 9), "n.bits must be a whole number from 1 to 8, got 9"),
    (lambda: g.MaxPool("n", ("x",), (2, 2), (1, 1), (2, 0, 0, 0)), "padding must be smaller than the window"),
    (lambda: g.MaxPool("n", ("x",), 2, (1, 1), (0, 0, 0, 0)), "n.kernel_size must be 2 whole numbers from 1"),
    (lambda: g.Pad("n", ("x",), (1, 1)), "n.padding must be 4 whole numbers"),
    (lambda: g.Pad("n", ("x",), (1, 1, 1, 1), math.inf), "n.value must be a finite number, got inf"),
    (lambda: g.Reshape("n", ("x",), (2, 3)), "n.shape must be 3 whole numbers"),
    (lambda: g.Concatenate("n", ("x",), 1), "n.axis must be -1"),
    (lambda: g.Constant("n", (), MATRIX), r"n.array must be float32 \(H, W, C\) or \(C,\)"),
    (lambda: g.Input("n", (), (3, 3)), "n.shape must be 3 whole numbers from 1"),
    (
        lambda: g.Conv("n", ("x",), (3, 1, 1), (1, 1), (0,) * 4, np.ones((3, 1, 1), np.float32)),
        "n.shape must be 4 whole",
    ),
    (lambda: g.Conv("n", ("x",), (3, 4), (2, 1), (0,) * 4, MATRIX), "a dense layer has stride"),
    (
        lambda: g.Conv("n", ("x",), *DENSE, MATRIX.astype(float)),
        r"n.weight must be float32 \(3, 4\), got float64",
    ),
    (
        lambda: g.Conv("n", ("x",), *DENSE, MATRIX, ONES[:2]),
        "n.bias must be float32",
    ),
    (
        lambda: g.XnorConv("n", ("x",), *DENSE, np.zeros(2, np.uint64), None),
        r"n.signs must be uint64 \(1,\)",
    ),
    (
        lambda: g.XnorConv("n", ("x",), *DENSE, np.array([1 << 12], np.uint64), None),
        "n.signs must end in 0 after the bits of its 12 weights",
    ),
    (
        lambda: g.KbitConv("n", ("x",), *DENSE, np.array([[0], [1 << 63]], np.uint64), None),
        "n.planes must end in 0 after the bits of its 12 weights",
    ),
    (lambda: g.XnorConv("n", ("x",), *DENSE, WORDS, ONES[:2]), r"n.alpha must be float32 \(3,\)"),
    (
        lambda: g.XnorConv("n", ("x",), *DENSE, WORDS, None, 2),
        "n.pad_value must be 0, 1 or -1, got 2",
    ),
    (lambda: g.KbitConv("n", ("x",), *DENSE, WORDS, None), "n.planes must be 1 to 8 rows of words"),
]


@pytest.mark.parametrize(("make", "match"), WRONG, ids=range(len(WRONG)))
def test_fields_that_make_no_sense(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_graphs_that_are_none():
    x, relu = Input("x", (), (4, 4, 2)), g.Relu("r", ("x",))
    for nodes, match in (
        ((), "the first node of a graph must be its input"),
        ((relu,), "the first node of a graph must be its input"),
        ((x, Input("y", (), (4, 4, 2))), "y is a second input; a graph has one"),
        ((x, relu, relu), "two nodes have the name r"),
        ((x, g.Relu("r", ("y",))), "r reads y, which is no node before it"),
        ((x, relu, g.Relu("s", ("x",))), "nothing reads the result of r"),
        ((x, g.Scale("s", ("x",), ONES)), r"s expects 3 channels, got \(N, 4, 4, 2\)"),
        (
            (x, g.GlobalAverage("a", ("x",)), g.MaxPool("p", ("a",), (1, 1), (1, 1), (0,) * 4)),
            r"p expects maps \(N, H, W, C\)",
        ),
        ((x, g.Reshape("s", ("x",), (5,))), r"s expects 5 values for an image, got \(N, 4, 4, 2\)"),
        (
            (x, g.Pad("p", ("x",), (4000,) * 4), g.Pad("q", ("p",), (4096,) * 4), g.Pad("r", ("q",), (4096,) * 4)),
            "larger than",
        ),
    ):
        with pytest.raises(ValueError, match=match):
            Graph(nodes)
    found = Graph((x, relu))
    assert (found["r"], len(found), found.result, list(found)) == (relu, 2, (4, 4, 2), [x, relu])
    with pytest.raises(KeyError):
        found["s"]


def test_a_packed_model_of_a_graph():
    relu = one(g.Relu("r", ("x",)), (2, 2, 1))
    x = np.float32([[[[-1], [2]], [[0], [-3]]]])
    np.testing.assert_array_equal(PackedModel(relu, DataInfo())(x), np.maximum(x, 0))
