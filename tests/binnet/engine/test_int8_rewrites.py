"""Layers in eight bits: what the rewrites join, and that none of them changes a bit of the result."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from binnet import graph as g
from binnet.engine.rewrites import REWRITES, fuse
from binnet.engine.stages import Stages
from binnet.graph.walk import values
from eight_bits import SAME, chain, conv, in_eight_bits, network, norm, pixels, pool, xnor
from naive_stages import walk_stages
from random_modules import modules


def fused(graph):
    return {stage.name: stage for stage in fuse(Stages.of(graph)).stages}


def writes(stage):
    return ("floats" if stage.floats else "") + ("bits" if stage.bits_for else "")


def kinds(nodes):
    return [node.kind for node in nodes]


# ---------------------------------------------------------------------------------------------- what is joined


def test_the_stem_of_a_residual_network_pools_and_writes_floats_and_bits():
    stages = fused(network("resnet18"))
    assert {stage.node.kind for stage in stages.values()} == {"Input", "Int8Conv", "XnorConv", "GlobalAverage"}
    stem = stages["conv1"]
    assert (stem.pool.name, kinds(stem.epilogue), writes(stem)) == ("conv1_pool", ["BatchNorm", "Relu"], "floatsbits")
    assert stem.quantise is None
    shortcut = next(stage for stage in stages.values() if stage.node.kind == "Int8Conv" and "shortcut" in stage.name)
    assert shortcut.quantise is not None
    assert (kinds(shortcut.epilogue), writes(shortcut)) == (["BatchNorm", "Add"], "floatsbits")


def test_the_stem_of_alexnet_writes_bits_alone():
    stages = fused(network("alexnet", size=67, wide=40))
    assert stages["conv1"].pool is not None
    assert writes(stages["conv1"]) == "bits"
    assert [writes(stage) for stage in stages.values()].count("floats") == 3  # images, last binary layer, classifier


def test_element_wise_nodes_move_behind_the_pooling():
    stages = fused(chain(conv(), norm(0.5), lambda *at: g.Relu(*at), pool(), norm(-1), xnor()))
    assert list(stages) == ["x", "n0", "n5"]
    assert writes(stages["n0"]) == "bits"


@pytest.mark.parametrize(
    "between",
    [
        norm(-1),  # falls
        lambda *at: g.BatchNorm(*at, *np.float32([[0] * 8, [1] * 7 + [-1], [0] * 8])),  # falls in one channel
        lambda *at: g.PRelu(*at, np.float32([-0.5])),  # neither falls nor rises
        lambda *at: g.Scale(*at, np.float32([3e38])),  # infinite
    ],
)
def test_nodes_that_do_not_rise_stay_before_the_pooling(between):
    stages = fused(chain(conv(), between, pool()))
    assert stages["n0"].pool is None


def test_two_functions_that_fall_rise():
    assert fused(chain(conv(), norm(-1), norm(-2), pool()))["n0"].pool is not None


def test_two_poolings_in_a_row():
    assert list(fused(chain(conv(), pool(), pool(2, 1, 0)))) == ["x", "n0", "n2"]


def test_a_map_that_something_else_reads_is_not_pooled_away():
    x, first, second = chain(conv(), pool(3, 1, 1)).nodes
    graph = g.Graph((x, first, second, g.Add("sum", ("n0", "n1"))))
    assert fused(graph)["n0"].pool is None


def test_layers_that_read_one_map_quantise_it_alike():
    graph = chain(conv(), lambda *at: g.QuantiseLinear(*at, 0.5, 3), conv(c=8))
    both = replace(graph["n2"], name="other")
    stages = fused(g.Graph((*graph.nodes, both, g.Add("sum", ("n2", "other")))))
    assert stages["n2"].quantise is stages["other"].quantise is graph["n1"]
    assert "n1" not in stages


def test_whole_numbers_that_another_node_reads_are_made_as_floats():
    graph = chain(conv(), lambda *at: g.QuantiseLinear(*at, 0.5, 3), conv(o=8, c=8))
    stages = fused(g.Graph((*graph.nodes, g.Add("sum", ("n2", "n1")))))
    assert stages["n2"].quantise is None
    assert writes(stages["n1"]) == "floats"


# ---------------------------------------------------------------------------------------------- equal bits


def check_rewrites(graph, x, expected):
    stages = Stages.of(graph)
    for rewrite in REWRITES:
        rewrite(stages)
        np.testing.assert_array_equal(walk_stages(stages, np.float32(x)), expected, err_msg=rewrite.__name__)


@settings(max_examples=max(40, settings().max_examples))
@given(modules(exact=True), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_every_rewrite_gives_the_same_bits(drawn, seed, as_pixels, shared):
    net, shape = drawn
    rng = np.random.default_rng(seed)
    graph = g.trace(net, shape)
    graph = in_eight_bits(graph, rng, pixels=as_pixels, exact=True, shared=shared)
    x = rng.integers(0, 256, (2, *shape)).astype(np.float32) if as_pixels else rng.integers(-2, 3, (2, *shape))
    found = values(graph, x)
    assume(all(np.abs(value).max(initial=0) < SAME for value in found.values()))
    check_rewrites(graph, x, found[graph.nodes[-1].name])


@pytest.mark.parametrize(
    ("name", "mode", "size"), [("resnet18", "xnor", 33), ("alexnet", "xnor", 67), ("quick", "bwn", 16)]
)
def test_every_rewrite_of_a_network_gives_the_same_bits(name, mode, size):
    graph = network(name, mode, size, **({"wide": 40} if name == "alexnet" else {}))
    x = pixels((size, size, 3))
    check_rewrites(graph, x, g.walk(graph, x))
