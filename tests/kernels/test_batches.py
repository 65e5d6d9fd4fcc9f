"""An image gets the same bits whatever the batch around it: no order of summation depends on the other images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk

from .cases import CASES
from .strategies import PURE_PYTHON, geometries, seeds, values

# All cases whose first array holds images or rows, one result for each, and nothing that is summed over the batch.
NAMES = ("conv2d", "Conv2d", "Xnor", "Bwn", "Kbit", "max_pool2d", "avg_pool2d", "batch_norm_inference", "scale_map")
NAMES += ("grouped_conv2d", "few grouped_conv2d")
OTHERS = ("_grad", "_input", "_weight", "_winners")
EACH_ALONE = [case for case in CASES if case.name.startswith(NAMES) and not case.name.endswith(OTHERS)]
MOST = 5 if PURE_PYTHON else 23  # images: past the widest tile of pixels


@pytest.mark.parametrize("case", EACH_ALONE, ids=repr)
@given(st.data(), seeds, st.integers(1, MOST))
def test_alone_as_in_a_batch(case, data, seed, n):
    geometry = data.draw(case.geometry)
    arrays, options = case.arguments(np.random.default_rng(seed), geometry)
    x = values(np.random.default_rng(seed + 1), (n, *arrays[0].shape[1:]))
    (together,) = case.run(bk, (x, *arrays[1:]), options)
    for i in {0, seed % n, n - 1}:
        (alone,) = case.run(bk, (x[i : i + 1], *arrays[1:]), options)
        np.testing.assert_array_equal(alone[0], together[i])
    (some,) = case.run(bk, (x[n // 2 :], *arrays[1:]), options)
    np.testing.assert_array_equal(some, together[n // 2 :])


@pytest.mark.parametrize("one_bit", [False, True])
@given(geometries(depths=[1, 3, 33, 64]), seeds, st.integers(1, MOST))
def test_fused_convolutions_too(one_bit, g, seed, n):
    rng = np.random.default_rng(seed)
    weight, wide = values(rng, g.weight_shape), bordered(rng, g, n)
    stored = bk.pack_signs(weight.ravel()) if one_bit else weight
    layer, epilogue = bk.FusedConv2d(stored, weight.shape, g.stride, g.padding), bk.Epilogue(())

    def run(x):
        out = np.empty((len(x), *g.output_size, g.o), np.float32)
        layer.bind(x.copy(), epilogue, out=out)()
        return out

    together = run(wide)
    for i in {0, seed % n, n - 1}:
        np.testing.assert_array_equal(run(wide[i : i + 1])[0], together[i])
    plain = bk.BwnConv2d(weight, g.stride, 0, alpha=False) if one_bit else bk.Conv2d(weight, g.stride, 0)
    np.testing.assert_array_equal(plain(wide), together)  # and the same as the layer that is not fused


def bordered(rng, g, n):
    """Images with the border of the geometry."""
    ph, pw = (g.padding, g.padding) if isinstance(g.padding, int) else g.padding
    return np.pad(values(rng, (n, g.h, g.w, g.c)), ((0, 0), (ph, ph), (pw, pw), (0, 0)))


@given(seeds, st.integers(1, 9), st.sampled_from([1, 5, 63, 200]), st.sampled_from([1, 40, 128, 161]))
def test_dense_layers_of_any_width(seed, n, depth, o):
    """Few rows go block by block of channels, some in one tile, many through slabs of weights."""
    rng = np.random.default_rng(seed)
    x, weight = values(rng, (n, depth)), values(rng, (o, depth))
    layer = bk.BwnLinear(weight)
    together = layer(x)
    for i in range(n):
        np.testing.assert_array_equal(layer(x[i : i + 1])[0], together[i])
