"""A packed model gives back the real weights of layers with binary inputs, and the factors of spatial scales."""

import numpy as np
import pytest

import binnet
from binnet import nn
from binnet.nn.real_weights import SignLinear
from binnet.train.pretrained.unpacking import unpacked


@pytest.mark.parametrize(("padding", "pad_value"), [(0, 0), (1, 0), (1, 1), (0, 1)])
def test_real_weights_behind_signs_are_found_in_a_packed_model(padding, pad_value):
    conv, dense = nn.SignConv2d(3, 4, 3, padding=padding, pad_value=pad_value, rng=0), SignLinear(4, 2, rng=1)
    network = nn.Sequential(("conv", conv), ("average", nn.GlobalAvgPool()), ("dense", dense))
    arrays = binnet.pack(network, input_shape=(5, 6, 3)).arrays()
    for name, layer in (("conv", conv), ("dense", dense)):
        np.testing.assert_array_equal(unpacked(arrays, f"{name}.", "weight", layer), layer.weight.array)


def test_factors_of_a_spatial_scale_are_found_in_a_packed_model():
    scale, rng = nn.SpatialScale(4, 3, 2), np.random.default_rng(0)
    for parameter in scale.parameters():
        parameter.array[...] = rng.normal(size=parameter.shape)
    arrays = binnet.pack(nn.Sequential(("scale", scale)), input_shape=(4, 3, 2)).arrays()
    found = {name: unpacked(arrays, "scale.", name, scale) for name in ("rows", "columns", "channels")}
    assert {name: array.shape for name, array in found.items()} == {
        "rows": (4, 1, 1),
        "columns": (3, 1),
        "channels": (2,),
    }
    product = scale.rows.array * scale.columns.array * scale.channels.array
    np.testing.assert_allclose(found["rows"] * found["columns"] * found["channels"], product, rtol=1e-6)
