"""Layers with real weights and binary inputs, against loops; their parameters fit those of binary layers."""

import numpy as np
import pytest

from binnet import Tensor, nn
from naive import naive_conv2d, naive_conv2d_grad_input, naive_conv2d_grad_weight, naive_sign


@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), ((1, 2), (0, 1))])
def test_convolution_and_its_gradients(rng, stride, padding, pad_value):
    layer = nn.SignConv2d(3, 4, (3, 2), stride, padding, pad_value=pad_value, rng=0)
    x = Tensor(2 * rng.standard_normal((2, 5, 6, 3)), requires_grad=True)
    y = layer(x)
    signs = naive_sign(x.data)
    np.testing.assert_allclose(y.data, naive_conv2d(signs, layer.weight.data, stride, padding, pad_value), atol=1e-5)
    grad = rng.standard_normal(y.shape).astype(np.float32)
    y.backward(grad)
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    border = ((0, 0), (rows, rows), (columns, columns), (0, 0))
    padded = np.pad(signs, border, constant_values=pad_value)
    expected = naive_conv2d_grad_weight(padded, grad, layer.weight.shape, stride, 0)
    np.testing.assert_allclose(layer.weight.grad, expected, atol=1e-4)
    # The straight-through gradient in closed form: that of the signs, where |x| <= 1.
    through = naive_conv2d_grad_input(grad, layer.weight.data, x.shape, stride, padding)
    np.testing.assert_allclose(x.grad, through * (np.abs(x.data) <= 1), atol=1e-4)


def test_dense_layer_and_its_gradients(rng):
    layer = nn.SignLinear(7, 3, rng=0)
    x = Tensor(2 * rng.standard_normal((4, 7)), requires_grad=True)
    y = layer(x)
    np.testing.assert_allclose(y.data, naive_sign(x.data) @ layer.weight.data.T, atol=1e-5)
    grad = rng.standard_normal(y.shape).astype(np.float32)
    y.backward(grad)
    np.testing.assert_allclose(layer.weight.grad, grad.T @ naive_sign(x.data), atol=1e-5)
    np.testing.assert_allclose(x.grad, grad @ layer.weight.data * (np.abs(x.data) <= 1), atol=1e-5)


def test_the_polynomial_gradient(rng):
    layer = nn.SignLinear(7, 3, ste="polynomial", rng=0)
    x = Tensor(rng.standard_normal((4, 7)), requires_grad=True)
    grad = rng.standard_normal((4, 3)).astype(np.float32)
    layer(x).backward(grad)
    slope = np.clip(2 - 2 * np.abs(x.data), 0, None)
    np.testing.assert_allclose(x.grad, grad @ layer.weight.data * slope, atol=1e-5)


def test_parameters_fit_those_of_binary_layers():
    for real, binary in [
        (nn.SignConv2d(3, 4, 3, rng=5), nn.BinConv2d(3, 4, 3, rng=5)),
        (nn.SignLinear(3, 4, rng=5), nn.BinLinear(3, 4, rng=5)),
    ]:
        assert [name for name, _ in real.named_parameters()] == [name for name, _ in binary.named_parameters()]
        np.testing.assert_array_equal(real.weight.data, binary.weight.data)
        assert (real.weight.binary, real.weight.decay, real.weight.clip) == (False, True, None)


@pytest.mark.parametrize("layer", [nn.SignConv2d(1, 1, 1, rng=0), nn.SignLinear(1, 1, rng=0)])
def test_values_that_are_not_finite_are_refused_in_training(layer):
    shape = (1, 1, 1, 1) if isinstance(layer, nn.SignConv2d) else (1, 1)
    with pytest.raises(ValueError, match="not finite"):
        layer(Tensor(np.full(shape, np.nan)))


def test_wrong_words_and_options():
    with pytest.raises(ValueError, match="unknown ste 'soft'"):
        nn.SignConv2d(1, 1, 1, ste="soft", rng=0)
    with pytest.raises(ValueError, match="unknown weights 'float'; there are: binary, real"):
        nn.BinaryOptions(weights="float")
    for more in ({"use_k": True}, {"act_bits": 2}, {"binary_gradient": "even"}):
        with pytest.raises(ValueError, match=r"^weights real needs weight_bits and act_bits 1, use_k off"):
            nn.BinaryOptions(weights="real", **more)


@pytest.mark.parametrize("order", ["bacp", "cbap"])
def test_blocks_with_real_weights(order):
    for mode, kinds in (("xnor", (nn.SignConv2d, nn.SignLinear)), ("bnn", (nn.SignConv2d, nn.SignLinear))):
        blocks = nn.Blocks(mode, nn.BinaryOptions(weights="real", order=order))
        layers = dict([*blocks.conv("a", 2, 3, 3), *blocks.linear("b", 3, 4)])
        assert (type(layers["a"]), type(layers["b"])) == kinds
    blocks = nn.Blocks("bwn", nn.BinaryOptions(weights="real", order=order))
    assert type(dict(blocks.conv("a", 2, 3, 3))["a"]) is nn.BwnConv2d  # its inputs are real
