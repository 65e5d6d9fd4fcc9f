"""Random modules: evaluation, NumPy walk, every rewrite, engine, and engine after a file all give the same numbers."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import binnet
from binnet import Tensor, no_grad
from binnet.engine.rewrites import REWRITES
from binnet.engine.stages import Stages
from binnet.graph import walk
from binnet.graph.walk import values
from naive_stages import walk_stages
from random_modules import modules

EXACT = 1 << 20  # below, multiples of 1/8 and their sums are exact in float32


def evaluated(net, x):
    with no_grad(), np.errstate(all="ignore"):
        return net(Tensor(x)).numpy()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("models") / "m.h5"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=max(120, settings().max_examples))
@given(modules(), st.integers(0, 2**32 - 1), st.sampled_from([1, 3]))
def test_evaluation_engine_and_file_give_the_same_bits(path, drawn, seed, n):
    net, shape = drawn
    x = np.random.default_rng(seed).standard_normal((n, *shape), np.float32)
    expected = evaluated(net, x)
    model = binnet.pack(net, input_shape=shape)
    np.testing.assert_array_equal(model(x), expected)
    model.save(path)
    loaded = binnet.load(path)
    np.testing.assert_array_equal(loaded(x), expected)
    assert loaded.to_bytes() == model.to_bytes()


@pytest.mark.slow
@settings(max_examples=max(120, settings().max_examples))
@given(modules(exact=True), st.integers(0, 2**32 - 1))
def test_the_walk_and_every_rewrite_give_the_same_bits(drawn, seed):
    net, shape = drawn
    x = np.random.default_rng(seed).integers(-2, 3, (2, *shape)).astype(np.float32)
    model = binnet.pack(net, input_shape=shape)
    found = values(model.graph, x)
    assume(all(np.abs(value).max(initial=0) < EXACT for value in found.values()))
    expected = evaluated(net, x)
    np.testing.assert_array_equal(walk(model.graph, x), expected)
    stages = Stages.of(model.graph)
    for rewrite in REWRITES:
        rewrite(stages)
        np.testing.assert_array_equal(walk_stages(stages, x), expected, err_msg=rewrite.__name__)
    np.testing.assert_array_equal(model(x), expected)
