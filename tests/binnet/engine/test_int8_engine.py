"""Layers in eight bits in the engine: the bits of the NumPy walk, for any batch, any threads, and plans used again."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import binnet
import binnet_kernels as bk
from binnet import graph as g
from binnet.engine import engine
from binnet.engine.engine import Engine
from binnet.graph.walk import values
from eight_bits import SAME, chain, conv, dense, in_eight_bits, network, norm, pixels, pool, quantise, xnor
from random_modules import modules


def check(graph, x):
    """The engine made new, for a batch, for its images one by one, and once more: the bits of the walk."""
    expected = g.walk(graph, x)
    run = Engine(graph)
    np.testing.assert_array_equal(run(x), expected)
    np.testing.assert_array_equal(np.concatenate([run(x[i : i + 1]) for i in range(len(x))]), expected)
    np.testing.assert_array_equal(run(x), expected)  # nothing of other images is left in the plan
    return run


@settings(max_examples=max(40, settings().max_examples), deadline=None)
@given(modules(exact=True), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_random_graphs(drawn, seed, as_pixels, shared):
    net, shape = drawn
    rng = np.random.default_rng(seed)
    graph = in_eight_bits(g.trace(net, shape), rng, pixels=as_pixels, exact=True, shared=shared)
    x = pixels(shape, seed=seed) if as_pixels else rng.integers(-2, 3, (2, *shape)).astype(np.float32)
    assume(all(np.abs(value).max(initial=0) < SAME for value in values(graph, x).values()))
    check(graph, x)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mode", "size", "options"),
    [
        ("resnet18", "xnor", 37, {}),
        ("resnet18", "bwn", 33, {}),
        ("alexnet", "xnor", 67, {"wide": 40}),
        ("alexnet", "float", 67, {"wide": 40}),
        ("quick", "xnor", 16, {}),
        ("lenet5", "xnor", 20, {}),
    ],
)
@pytest.mark.parametrize("as_pixels", [True, False])
def test_networks(name, mode, size, options, as_pixels):
    graph = network(name, mode, size, as_pixels, **options)
    x = pixels(graph.input.shape, 3)
    check(graph, x if as_pixels else (x / 64 - 2).astype(np.float32))


GRAPHS = {
    "pool": [conv(), pool()],
    "pool over the edge": [conv(size=2, padding=(1, 0, 0, 2)), pool(3, 3, 2)],
    "pool and bits": [conv(), g.Relu, pool(), norm(2), xnor()],
    "bits": [conv(), norm(-2), xnor()],
    "a pool that stays outside": [conv(), norm(-2), pool(), xnor()],
    "strided, one pixel": [conv(size=1, stride=(2, 3), padding=(0,) * 4), pool(2, 1, 0)],
    "strided, one pixel, with a border": [conv(size=1, stride=(2, 2))],
    "no padding": [conv(size=5, stride=(4, 4), padding=(0,) * 4)],
    "pooled pixels": [pool(2, 2, 0), conv()],
    "flat pixels": [g.Flatten, dense(4, 243)],
    "flat whole numbers": [conv(), quantise(), g.Flatten, dense(4, 648)],
    "no layer": [g.Flatten],
}


@pytest.mark.parametrize("nodes", GRAPHS.values(), ids=GRAPHS)
def test_positions(nodes):
    graph = chain(*nodes)
    check(graph, pixels((9, 9, 3), 3))


def block():
    """A stem with two readers, a shortcut of stride 2, a rounded map that two layers read, a dense layer."""
    return g.Graph(
        (
            *chain(conv(), g.Relu, pool(), size=(17, 18, 3)).nodes,
            norm(0.3)("norm", ("n2",)),
            xnor()("first", ("norm",)),
            pool()("halved", ("first",)),
            quantise()("rounded", ("n2",)),
            conv(9, 8, (2, 2), (0,) * 4, 1)("shortcut", ("rounded",)),
            conv(9, 8, seed=1)("beside", ("rounded",)),
            pool()("quartered", ("beside",)),
            g.Add("sum", ("shortcut", "quartered")),
            g.Add("total", ("sum", "halved")),
            xnor(9)("second", ("total",)),
            g.Flatten("flat", ("second",)),
            quantise(2.0, 100)("whole", ("flat",)),
            dense(4, 5 * 5 * 9)("classes", ("whole",)),
        )
    )


# ---------------------------------------------------------------------------------------------- running it


def test_a_block():
    check(block(), pixels((17, 18, 3), 5))


def test_a_dense_layer_of_few_images_adds_a_map():
    """Its sums are written over the map that it adds, so that no block of its filters may be computed twice."""
    *nodes, last = chain(g.Flatten, dense(90, 3), quantise(), dense(90, 90), size=(1, 1, 3)).nodes
    half = g.Scale("half", ("n1",), np.float32([0.5]))
    check(g.Graph((*nodes, half, last, g.Add("sum", ("half", "n3")))), pixels((1, 1, 3), 3))


def test_pixels_may_be_floats():
    graph, x = block(), pixels((17, 18, 3))
    np.testing.assert_array_equal(Engine(graph)(x.astype(np.float32)), Engine(graph)(x))


def test_batches_cut_anywhere_and_any_number_of_threads(monkeypatch):
    graph, x = block(), pixels((17, 18, 3), 7)
    expected = g.walk(graph, x)
    before = bk.get_num_threads()
    try:
        for number in (1, 2):
            bk.set_num_threads(number)
            for together in (1, 3, 7):
                monkeypatch.setattr(engine, "MOST", together)
                np.testing.assert_array_equal(Engine(graph)(x), expected)
    finally:
        bk.set_num_threads(before)


@pytest.mark.parametrize("backend", ["reference", "fast"])
def test_both_forms(backend):
    graph, x = block(), pixels((17, 18, 3))
    with binnet.use_backend(backend):
        np.testing.assert_array_equal(Engine(graph)(x), g.walk(graph, x))


def test_images_of_another_size():
    graph = block().up_to("second")
    graph = g.Graph((replace(graph.input, any_size=True), *graph.nodes[1:]))
    run = Engine(graph)
    for size in ((17, 18), (9, 20), (17, 18)):
        x = pixels((*size, 3))
        np.testing.assert_array_equal(run(x), g.walk(graph, x))


def test_profile_counts_the_sums_before_the_pooling():
    graph, n = block(), 3
    rows = {row.name: row for row in Engine(graph).profile(pixels((17, 18, 3), n))}
    assert rows["n0"].kind == "Int8Conv, pooled, to floats and bits"
    assert rows["classes"].kind == "Int8Conv to floats"
    assert sum(row.macs for row in rows.values()) == n * sum(node.macs(graph.shapes[node.name]) for node in graph)


def test_what_is_pooled_away_does_not_count_where_batches_are_cut():
    graph = chain(conv(), pool(), size=(17, 18, 3))  # 17 x 18 x 8 sums are never written
    assert Engine(graph)._stages.most_bytes((17, 18, 3)) == 17 * 18 * 3 + 4 * 9 * 9 * 8


def test_weights_can_be_taken_back_and_are_held_once():
    graph = network("alexnet", "bwn", 67, wide=40)
    run, held = Engine(graph), {node.name: node.held for node in graph if isinstance(node, g.Filters)}
    run(pixels((67, 67, 3), 1))
    weights = run.weights()
    assert weights.keys() == held.keys()
    for name, expected in held.items():
        assert weights[name].dtype == expected.dtype, name
        np.testing.assert_array_equal(weights[name], expected)
    assert all(not any(stage.node.held.strides) for stage in run._sharing.values())


def test_layers_that_are_equal_are_prepared_once():
    graph = chain(conv(), lambda *at: g.QuantiseLinear(*at, 0.5, 3), conv(c=8))
    node = graph["n2"]
    graph = g.Graph((*graph.nodes, g.QuantiseLinear("q", ("n2",), 0.5, 3), replace(node, name="again", inputs=("q",))))
    run = check(graph, pixels((9, 9, 3)))
    assert len(run._layers) == 2
    weights = run.weights()
    assert weights["again"] is weights["n2"]
