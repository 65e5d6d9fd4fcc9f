"""The checks of a trace detect wrong arrays."""

import dataclasses

import numpy as np
import pytest

from binnet.lab.trace import Layer, checks, trace_layer
from binnet.lab.trace.checks import against_network


@pytest.fixture
def t(rng):
    return trace_layer(rng.standard_normal((5, 5, 40)), Layer.of_weight(rng.standard_normal((3, 3, 3, 40)), padding=1))


def test_a_whole_trace_passes(t):
    assert len(checks(t)) == 6
    assert all(check.passed for check in checks(t))
    assert [check.difference for check in checks(t) if check.limit == 0] == [0, 0, 0]


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("x_words", "the words hold the signs of I"),
        ("differing", "NumPy counts"),
        ("dots", "a float convolution"),
        ("K", "K is A"),
        ("y", "the fused kernel"),
    ],
)
def test_one_wrong_number_is_found(t, field, says):
    array = getattr(t, field).copy()
    array.flat[4] = array.flat[4] ^ np.uint64(2) if field == "x_words" else array.flat[4] * 1.01 + 1
    failed = [check.says for check in checks(dataclasses.replace(t, **{field: array})) if not check.passed]
    assert [text for text in failed if text.startswith(says)]


def test_wrong_scales_are_found(t):
    layer = dataclasses.replace(t.layer, alpha=t.layer.alpha * np.float32(1.01))
    failed = [check.says for check in checks(dataclasses.replace(t, layer=layer)) if not check.passed]
    assert "α is the mean of |W| in NumPy" in failed


def test_nan_on_one_side_is_a_difference(t):
    y = t.y.copy()
    y[0, 0, 0] = np.nan
    check = against_network(t, y)
    assert np.isnan(check.difference)
    assert not check.passed
    assert against_network(t, t.y).difference == 0


def test_the_network_is_compared_with_k_or_without(t):
    layer = dataclasses.replace(t.layer, use_k=False)
    assert against_network(dataclasses.replace(t, layer=layer), t.y_without_k).difference == 0
    assert not against_network(t, t.y_without_k).passed
