"""The comparison of estimates with and without K: against loops, and for inputs as the paper's derivation has them."""

import numpy as np
import pytest

from binnet import nn
from naive import naive_conv2d, naive_scale_map, naive_sign


@pytest.fixture(scope="module")
def scale_map(script):
    return script("docs/make_scale_map.py")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def scaled(rng, n=4, size=9, channels=24):
    """Gaussian inputs with another scale for each image."""
    scale = np.exp(rng.standard_normal((n, 1, 1, 1)))
    return (scale * rng.standard_normal((n, size, size, channels))).astype(np.float32)


def test_estimates_against_loops(scale_map, rng):
    layer = nn.BinConv2d(3, 2, 3, 2, 1, rng=0)
    z, weight = scaled(rng, 2, 5, 3), layer.weight.numpy()
    real, without, with_k = scale_map.estimates(layer, z)
    alpha = np.abs(weight).mean(axis=(1, 2, 3))
    expected = naive_conv2d(naive_sign(z), naive_sign(weight), 2, 1) * alpha
    np.testing.assert_allclose(real, naive_conv2d(z, weight, 2, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(without, expected, rtol=1e-4, atol=1e-5)
    k = np.asarray(naive_scale_map(z, 3, 2, 1)).reshape(*expected.shape[:3], 1)
    np.testing.assert_allclose(with_k, expected * k, rtol=1e-4, atol=1e-5)


def test_k_is_the_better_scale_where_its_derivation_holds(scale_map, rng):
    layer = nn.BinConv2d(24, 16, 3, rng=0)
    assert scale_map.share_better(*scale_map.estimates(layer, scaled(rng))) == 1


def test_exchanged_magnitudes_leave_signs_and_k(scale_map, rng):
    layer, z = nn.BinConv2d(24, 4, 3, padding=1, rng=0), scaled(rng)
    other = scale_map.exchanged(z)
    assert not np.array_equal(other, z)
    np.testing.assert_array_equal(np.sign(other), np.sign(z))
    for one, two in zip(scale_map.estimates(layer, z)[1:], scale_map.estimates(layer, other)[1:], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_the_inputs_are_those_that_the_layers_get(scale_map, rng):
    net = nn.Sequential(nn.BinConv2d(3, 4, 3, rng=0), nn.Sequential(nn.Scale(4), nn.BinConv2d(4, 2, 3, rng=1)))
    x = scaled(rng, 4, 12, 3)
    found = scale_map.inputs(net, x)
    assert list(found) == ["0", "1.1"]
    np.testing.assert_array_equal(found["0"][1], x)
    np.testing.assert_array_equal(found["1.1"][1], net[0](x).numpy())
    assert "forward" not in vars(net[0])
    assert scale_map.row("1.1", *found["1.1"]).count("|") == 5
