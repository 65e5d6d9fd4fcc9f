"""Blocks: the order of layers in every mode, residual sums by hand."""

import numpy as np
import pytest

from binnet import Tensor, nn
from binnet.nn.blocks import SIGN_EPS

MODES = ("float", "bwn", "xnor", "bnn", "binaryconnect")
CONVS = {"float": "Conv2d", "bwn": "BwnConv2d", "binaryconnect": "BwnConv2d", "xnor": "BinConv2d", "bnn": "BinConv2d"}


def blocks(mode, order="bacp"):
    return nn.Blocks(mode, nn.BinaryOptions(order=order), seed=3)


def kinds(layers):
    modules = [entry[1] if isinstance(entry, tuple) else entry for entry in layers]
    return " ".join(type(module).__name__ for module in modules)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ["bacp", "cbap"])
def test_order_of_a_residual_block(mode, order):
    conv = CONVS[mode]
    layers = blocks(mode, order).residual("block", 4, 8, 2)
    residual = layers[0][1]
    if mode in ("xnor", "bnn") and order == "bacp":
        assert kinds(layers) == "Residual"
        assert kinds(residual.body) == f"BatchNorm {conv} ReLU BatchNorm {conv}"
    else:
        activation = "Sign" if mode in ("xnor", "bnn") else "ReLU"
        assert kinds(layers) == f"Residual {activation}"
        assert kinds(residual.body) == f"{conv} BatchNorm {activation} {conv} BatchNorm"
    assert kinds(residual.shortcut) == "Conv2d BatchNorm"  # type B, real in every mode


@pytest.mark.parametrize(
    ("channels", "stride", "real"), [((4, 4), 1, False), ((4, 4), (1, 1), False), ((4, 4), 2, True), ((4, 8), 1, True)]
)
def test_shortcut_only_where_the_shape_changes(channels, stride, real):
    [(_, residual)] = blocks("xnor").residual("block", *channels, stride)
    assert (residual.shortcut is not None) == real
    y = residual(Tensor(np.ones((2, 6, 6, channels[0]))))
    side = 3 if stride == 2 else 6
    assert y.shape == (2, side, side, channels[1])


def test_a_residual_block_is_body_plus_shortcut(rng):
    x = Tensor(rng.standard_normal((2, 6, 6, 4)))
    for mode in ("xnor", "float"):
        layers = nn.Sequential(*blocks(mode).residual("block", 4, 8, 2)).eval()
        body, short = layers.block.body(x).data, layers.block.shortcut(x).data
        expected = body + short if mode == "xnor" else np.maximum(body + short, 0)
        np.testing.assert_array_equal(layers(x).data, expected)
        assert np.abs(body).max() > 0
        assert np.abs(short).max() > 0


@pytest.mark.parametrize("mode", MODES)
def test_a_last_norm_only_where_no_block_ends_with_one(mode):
    binary = mode in ("xnor", "bnn")
    assert kinds(blocks(mode).last_norm("last", 4)) == ("BatchNorm ReLU" if binary else "")
    assert kinds(blocks(mode).last_norm("last", 4, relu=False)) == ("BatchNorm" if binary else "")
    assert blocks(mode, "cbap").last_norm("last", 4) == []


def test_relu_between_binary_layers_is_a_choice():
    assert kinds(blocks("xnor").conv("c", 2, 3, 1, relu=False)) == "BatchNorm BinConv2d"
    assert kinds(blocks("xnor").conv("c", 2, 3, 1)) == "BatchNorm BinConv2d ReLU"
    assert kinds(blocks("bwn").conv("c", 2, 3, 1, relu=False)) == "BwnConv2d BatchNorm ReLU"
    assert kinds(blocks("xnor", "cbap").conv("c", 2, 3, 1, relu=False)) == "BinConv2d BatchNorm Sign"
    assert kinds(blocks("bwn").conv("c", 2, 3, 1, relu=None)) == "BwnConv2d BatchNorm"
    assert kinds(blocks("xnor").linear("c", 2, 3, relu=False)) == "BatchNorm BinLinear"


def test_last_conv_is_real_and_has_a_bias():
    [(name, layer)] = blocks("xnor").last_conv("c", 4, 10)
    assert name == "c"
    assert isinstance(layer, nn.Conv2d)
    assert layer.weight.shape == (10, 1, 1, 4)
    assert layer.bias is not None


def test_eps_before_a_sign_is_that_of_the_authors():
    assert SIGN_EPS == 1e-4
    assert blocks("xnor").conv("c", 2, 3, 1)[0][1].eps == SIGN_EPS
    assert blocks("bwn").conv("c", 2, 3, 1)[1][1].eps == 1e-5
    assert blocks("xnor").first_conv("c", 2, 3, 1)[1][1].eps == 1e-5
