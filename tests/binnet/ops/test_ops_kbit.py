"""Levels of k bits: forward against loops, straight-through gradients against closed forms."""

import numpy as np
import pytest

from binnet import Tensor, ops
from binnet.ops.lowbit import InputQuantiser, RoundedGradient, WeightQuantiser, quantise
from naive import naive_conv2d_grad_input, naive_conv2d_grad_weight, naive_scale_map, pad_image, pair
from naive_kbit import (
    RANGES,
    naive_kbit_conv2d,
    naive_kbit_linear,
    naive_quantise,
    naive_quantise_weight,
    naive_weight_range,
)

WINDOWS = [(1, 0), (1, 1), ((1, 2), (2, 0))]
RULES = ["exact", "paper", "plain"]
BITS = [(1, 1), (2, 1), (1, 3), (3, 4), (8, 8)]


def loop_grad_weight(g, weight, alpha, bits, rule, mean_alpha):
    """∂C/∂W from g = ∂C/∂W̃, weight by weight; the derivative of α has the sign of the weight."""
    result, share = np.zeros(weight.shape), RANGES[bits] / weight[0].size if mean_alpha else 0
    levels = naive_quantise_weight(weight, bits)
    for o in range(len(weight)):
        along = float(np.sum(g[o] * levels[o]))
        for i in np.ndindex(weight[o].shape):
            inside = 1.0 if abs(weight[o][i]) <= 1 else 0.0
            sign = 1.0 if weight[o][i] >= 0 else -1.0
            result[o][i] = {
                "plain": g[o][i],
                "paper": g[o][i] * (share + alpha[o] * inside),
                "exact": sign * share * along + alpha[o] * inside * g[o][i],
            }[rule]
    return result


def loop_grads(x, weight, alpha, grad, *, bits, stride, padding, pad_value, use_k, rule, mean_alpha):
    """(grad_x, grad_weight, grad_alpha), K being a constant."""
    k, m = bits
    if use_k:
        grad = grad * naive_scale_map(x, weight.shape[1:3], stride, padding)
    levels = naive_quantise_weight(weight, k)
    hat = levels * np.reshape(alpha, (-1, 1, 1, 1))
    grad_x = naive_conv2d_grad_input(grad, hat, x.shape, stride, padding) * (np.abs(x) <= 1)
    padded = pad_image(naive_quantise(x, m), pair(padding), pad_value)
    grad_hat = naive_conv2d_grad_weight(padded, grad, weight.shape, stride, 0)
    return grad_x, loop_grad_weight(grad_hat, weight, alpha, k, rule, mean_alpha), (grad_hat * levels).sum((1, 2, 3))


@pytest.fixture
def layer(leaf):
    """(x, weight, alpha) whose values lie on both sides of ±1 and include zeros."""
    x, weight = leaf(2, 5, 6, 3, scale=0.8), leaf(4, 3, 2, 3, scale=0.8)
    x.data[0, 0, :2, 0] = [0.0, -0.0]
    weight.data[0, 0, 0, :2] = [0.0, -0.0]
    x.data[0, 1, :2, 0] = [1.0, -1.0]
    weight.data[0, 1, 0, :2] = [1.0, -1.0]
    return x, weight, Tensor([0.5, 1.5, -0.25, 2.0], requires_grad=True)


def convolve(x, weight, alpha=None, *, bits, stride=1, padding=0, pad_value=0, use_k=False, **weights):
    """The convolution with flat options."""
    how = {
        "weights": WeightQuantiser(**weights, bits=bits[0]),
        "inputs": InputQuantiser("clip", use_k, pad_value, bits[1]),
    }
    return ops.xnor_conv2d(x, weight, alpha, stride=stride, padding=padding, **how)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("stride", "padding"), WINDOWS)
@pytest.mark.parametrize("pad_value", [0, -1])
@pytest.mark.parametrize("use_k", [False, True])
def test_forward(layer, bits, stride, padding, pad_value, use_k):
    x, weight, _ = layer
    y = convolve(x, weight, bits=bits, stride=stride, padding=padding, pad_value=pad_value, use_k=use_k)
    expected = naive_kbit_conv2d(x.data, weight.data, *bits, stride, padding, pad_value, True, use_k)
    np.testing.assert_allclose(y.data, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", ["mean", "learned", "none"])
@pytest.mark.parametrize("use_k", [False, True])
def test_gradients(layer, rng, bits, rule, scale, use_k):
    x, weight, alpha = layer
    window = {"stride": (1, 2), "padding": (2, 0), "pad_value": -1, "use_k": use_k}
    y = convolve(x, weight, alpha, scale=scale, weight_gradient=rule, bits=bits, **window)
    grad = rng.standard_normal(y.shape).astype(np.float32)
    y.backward(grad)
    scales = {"mean": naive_weight_range(weight.data, bits[0]), "learned": alpha.data, "none": np.ones(4)}[scale]
    expected = loop_grads(x.data, weight.data, scales, grad, bits=bits, rule=rule, mean_alpha=scale == "mean", **window)
    np.testing.assert_allclose(x.grad, expected[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(weight.grad, expected[1], rtol=1e-3, atol=1e-4)
    if scale == "learned":
        np.testing.assert_allclose(alpha.grad, expected[2], rtol=1e-3, atol=1e-4)
    else:
        assert alpha.grad is None


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_one_bit_is_the_layer_of_signs(layer, rng, center, rule):
    """Forward to the last bit, and all gradients."""
    results = []
    grad = rng.standard_normal((2, 5, 7, 4)).astype(np.float32)
    weights = {"center": center, "weight_gradient": rule}
    for inputs in (ops.InputBinariser(), InputQuantiser(bits=1)):
        x, weight = (Tensor(t.data.copy(), requires_grad=True) for t in layer[:2])
        y = ops.xnor_conv2d(x, weight, padding=1, weights=ops.WeightBinariser(**weights), inputs=inputs)
        y.backward(grad)
        results.append((y.data, x.grad, weight.grad))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    for signs, levels in zip(*(r[1:] for r in results), strict=True):
        np.testing.assert_allclose(signs, levels, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("backend")
def test_centred_weights_have_centred_gradients(layer, rng):
    x, weight, _ = layer
    y = convolve(x, weight, center=True, bits=(2, 2))
    mean = weight.data.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(y.data, naive_kbit_conv2d(x.data, weight.data - mean, 2, 2), rtol=1e-4, atol=1e-5)
    y.backward(rng.standard_normal(y.shape).astype(np.float32))
    np.testing.assert_allclose(weight.grad.sum(axis=-1), 0, atol=1e-4)


@pytest.mark.usefixtures("backend")
def test_linear(leaf):
    x, weight = leaf(3, 65), leaf(4, 65)
    y = ops.xnor_linear(x, weight, weights=WeightQuantiser(bits=3), inputs=InputQuantiser(use_k=True, bits=2))
    np.testing.assert_allclose(y.data, naive_kbit_linear(x.data, weight.data, 3, 2, use_k=True), rtol=1e-4, atol=1e-5)
    y.backward(np.ones_like(y.data))
    assert x.grad.shape == (3, 65)
    assert weight.grad.shape == (4, 65)


@pytest.mark.usefixtures("backend")
def test_quantise(leaf):
    x = leaf(3, 40)
    x.data[0, :3] = [1.0, -1.0, -0.0]
    y = quantise(x, 3)
    np.testing.assert_array_equal(y.data, naive_quantise(x.data, 3))
    grad = np.full((3, 40), 2, np.float32)
    y.backward(grad)
    np.testing.assert_array_equal(x.grad, 2 * (np.abs(x.data) <= 1))


def test_what_need_no_gradient_gets_none(layer):
    x, weight, _ = layer
    convolve(x, Tensor(weight.data), bits=(2, 2)).backward(np.ones((2, 3, 5, 4), np.float32))
    assert x.grad is not None
    convolve(Tensor(x.data), weight, bits=(2, 2)).backward(np.ones((2, 3, 5, 4), np.float32))
    assert weight.grad is not None


@pytest.mark.parametrize(("kind", "name"), [(WeightQuantiser, "weight_bits"), (InputQuantiser, "act_bits")])
def test_bits_out_of_range(kind, name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1 to 8, got 9"):
        kind(bits=9)


@pytest.mark.parametrize("inputs", [RoundedGradient(), ops.InputBinariser()])
def test_signs_and_rounded_gradients_are_for_weights_of_one_bit(layer, inputs):
    with pytest.raises(ValueError, match="takes weights of 1 bit, got WeightQuantiser of 2"):
        ops.xnor_conv2d(*layer[:2], weights=WeightQuantiser(bits=2), inputs=inputs)
    with pytest.raises(ValueError, match="takes weights of 1 bit"):
        ops.bwn_conv2d(*layer[:2], weights=WeightQuantiser(bits=2))


def test_the_gradient_of_levels_is_clipped():
    with pytest.raises(ValueError, match="the gradient of levels is clipped, but ste is 'polynomial'"):
        InputQuantiser("polynomial", bits=2)
