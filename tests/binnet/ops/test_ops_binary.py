"""Binary operations: forward against loops, straight-through gradients against closed forms."""

import numpy as np
import pytest

from binnet import Tensor, cross_entropy, ops
from naive import (
    naive_bwn_conv2d,
    naive_conv2d_grad_input,
    naive_conv2d_grad_weight,
    naive_scale_map,
    naive_sign,
    naive_xnor_conv2d,
    pad_image,
    pair,
)

WINDOWS = [(1, 0), (1, 1), (2, 1), ((1, 2), (2, 0))]
RULES = ["exact", "paper", "plain"]


def loop_grad_weight(g, weight, alpha, rule, mean_alpha):
    """∂C/∂W from g = ∂C/∂W̃, weight by weight (arXiv:1603.05279, section 3.1)."""
    result = np.zeros(weight.shape)
    n = weight[0].size
    for o in range(len(weight)):
        taps = list(np.ndindex(weight[o].shape))
        s = {i: 1.0 if weight[o][i] >= 0 else -1.0 for i in taps}
        through_alpha = sum(g[o][j] * s[j] for j in taps) / n
        for i in taps:
            inside = 1.0 if abs(weight[o][i]) <= 1 else 0.0
            if rule == "plain":
                result[o][i] = g[o][i]
            elif rule == "paper":
                result[o][i] = g[o][i] * ((1 / n if mean_alpha else 0) + alpha[o] * inside)
            else:
                result[o][i] = (s[i] * through_alpha if mean_alpha else 0) + alpha[o] * inside * g[o][i]
    return result


def loop_ste(x, ste):
    """The stand-in for the derivative of the sign, element by element."""
    result = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        v = float(x[i])
        if ste == "clip":
            result[i] = 1.0 if abs(v) <= 1 else 0.0
        elif -1 <= v < 0:
            result[i] = 2 + 2 * v
        elif 0 <= v < 1:
            result[i] = 2 - 2 * v
    return result


def loop_xnor_grads(x, weight, alpha, grad, *, stride, padding, pad_value, use_k, rule, mean_alpha, ste):
    """(grad_x, grad_weight, grad_alpha) of an XNOR convolution, K being a constant."""
    if use_k:
        grad = grad * naive_scale_map(x, weight.shape[1:3], stride, padding)
    weight_hat = naive_sign(weight) * np.reshape(alpha, (-1, 1, 1, 1))
    grad_x = naive_conv2d_grad_input(grad, weight_hat, x.shape, stride, padding) * loop_ste(x, ste)
    padded = pad_image(naive_sign(x), pair(padding), pad_value)
    grad_hat = naive_conv2d_grad_weight(padded, grad, weight.shape, stride, 0)
    grad_alpha = [
        sum(grad_hat[o][j] * (1.0 if weight[o][j] >= 0 else -1.0) for j in np.ndindex(weight[o].shape))
        for o in range(len(weight))
    ]
    return grad_x, loop_grad_weight(grad_hat, weight, alpha, rule, mean_alpha), np.array(grad_alpha)


@pytest.fixture
def layer(leaf):
    """(x, weight, alpha) whose values lie on both sides of ±1 and include zeros."""
    x, weight = leaf(2, 5, 6, 3, scale=0.8), leaf(4, 3, 2, 3, scale=0.8)
    x.data[0, 0, :2, 0] = [0.0, -0.0]
    weight.data[0, 0, 0, :2] = [0.0, -0.0]
    x.data[0, 1, :2, 0] = [1.0, -1.0]
    weight.data[0, 1, 0, :2] = [1.0, -1.0]
    return x, weight, Tensor([0.5, 1.5, -0.25, 2.0], requires_grad=True)


def xnor(x, weight, alpha=None, *, stride=1, padding=0, scale="mean", weight_gradient="exact", center=False, **inputs):
    """xnor_conv2d with flat options."""
    how = {"weights": ops.WeightBinariser(scale, weight_gradient, center), "inputs": ops.InputBinariser(**inputs)}
    return ops.xnor_conv2d(x, weight, alpha, stride=stride, padding=padding, **how)


def bwn(x, weight, alpha=None, *, scale="mean", weight_gradient="exact", center=False, **window):
    """bwn_conv2d with flat options."""
    return ops.bwn_conv2d(x, weight, alpha, weights=ops.WeightBinariser(scale, weight_gradient, center), **window)


def backward(y, rng):
    grad = rng.standard_normal(y.shape).astype(np.float32)
    y.backward(grad)
    return grad


@pytest.mark.parametrize("ste", ["clip", "polynomial"])
def test_sign(ste):
    values = [-2, -1, -0.75, -0.25, -0.0, 0.0, 0.25, 0.75, 1, 2]
    x = Tensor(values, requires_grad=True)
    y = ops.sign(x, ste)
    np.testing.assert_array_equal(y.data, [-1, -1, -1, -1, 1, 1, 1, 1, 1, 1])
    y.backward(np.full(10, 3))
    expected = {"clip": [0, 1, 1, 1, 1, 1, 1, 1, 1, 0], "polynomial": [0, 0, 0.5, 1.5, 2, 2, 1.5, 0.5, 0, 0]}[ste]
    np.testing.assert_allclose(x.grad, 3 * np.array(expected))
    np.testing.assert_allclose(loop_ste(x.data, ste), expected)


def test_sign_of_nan_is_plus_one():
    assert ops.sign(Tensor([np.nan])).item() == 1


@pytest.mark.parametrize(("stride", "padding"), WINDOWS)
@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize("use_k", [False, True])
@pytest.mark.parametrize("scale", ["mean", "learned", "none"])
def test_xnor_forward_is_equation_11(backend, layer, stride, padding, pad_value, use_k, scale):
    x, weight, alpha = layer
    options = {"stride": stride, "padding": padding, "pad_value": pad_value, "use_k": use_k}
    y = xnor(x, weight, alpha, scale=scale, **options)
    expected = naive_xnor_conv2d(
        x.data, weight.data, alpha={"mean": True, "learned": alpha.data, "none": False}[scale], **options
    )
    np.testing.assert_allclose(y.data, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("stride", "padding"), WINDOWS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", ["mean", "learned", "none"])
@pytest.mark.parametrize(
    ("use_k", "pad_value", "ste"), [(False, 0, "clip"), (True, 1, "polynomial"), (True, -1, "clip")]
)
def test_xnor_backward(backend, layer, rng, stride, padding, rule, scale, use_k, pad_value, ste):
    x, weight, alpha = layer
    options = {"stride": stride, "padding": padding, "pad_value": pad_value, "use_k": use_k, "ste": ste}
    grad = backward(xnor(x, weight, alpha, scale=scale, weight_gradient=rule, **options), rng)
    scales = {"mean": np.abs(weight.data).mean((1, 2, 3)), "learned": alpha.data, "none": np.ones(4)}[scale]
    grad_x, grad_weight, grad_alpha = loop_xnor_grads(
        x.data, weight.data, scales, grad, rule=rule, mean_alpha=scale == "mean", **options
    )
    np.testing.assert_allclose(x.grad, grad_x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(weight.grad, grad_weight, rtol=1e-4, atol=1e-4)
    if scale == "learned":
        np.testing.assert_allclose(alpha.grad, grad_alpha, rtol=1e-4, atol=1e-4)
    else:
        assert alpha.grad is None


@pytest.mark.parametrize(("stride", "padding"), WINDOWS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", ["mean", "learned", "none"])
def test_bwn(backend, layer, rng, stride, padding, rule, scale):
    x, weight, alpha = layer
    y = bwn(x, weight, alpha, stride=stride, padding=padding, scale=scale, weight_gradient=rule)
    scales = {"mean": np.abs(weight.data).mean((1, 2, 3)), "learned": alpha.data, "none": np.ones(4)}[scale]
    np.testing.assert_allclose(
        y.data, naive_bwn_conv2d(x.data, weight.data, stride, padding, scales), rtol=1e-4, atol=1e-4
    )
    grad = backward(y, rng)
    weight_hat = naive_sign(weight.data) * scales.reshape(-1, 1, 1, 1)
    expected_x = naive_conv2d_grad_input(grad, weight_hat, x.shape, stride, padding)
    np.testing.assert_allclose(x.grad, expected_x, rtol=1e-4, atol=1e-4)
    grad_hat = naive_conv2d_grad_weight(x.data, grad, weight.shape, stride, padding)
    expected = loop_grad_weight(grad_hat, weight.data, scales, rule, scale == "mean")
    np.testing.assert_allclose(weight.grad, expected, rtol=1e-4, atol=1e-4)


def test_the_rules_differ_and_scale_none_makes_exact_and_paper_equal(rng):
    g, weight = rng.standard_normal((2, 3, 9)).astype(np.float32)
    alpha = ops.weight_alpha(weight)
    results = [ops.grad_weight(g, weight, alpha, rule) for rule in RULES]
    assert not np.allclose(results[0], results[1])
    assert not np.allclose(results[1], results[2])
    one = np.ones(3, np.float32)
    exact, paper = (ops.grad_weight(g, weight, one, rule, mean_alpha=False) for rule in RULES[:2])
    np.testing.assert_array_equal(exact, paper)
    np.testing.assert_array_equal(exact, g * (np.abs(weight) <= 1))


def test_exact_is_the_derivative_through_alpha(rng):
    """Where all |W| > 1 only α has a derivative, and that one is smooth: a difference quotient must agree."""
    weight = rng.choice([-1, 1], (2, 5)) * (1.5 + rng.random((2, 5)))
    g = rng.standard_normal((2, 5))
    step = rng.standard_normal((2, 5))

    def cost(w):
        return np.sum(g * np.sign(w) * np.abs(w).mean(1, keepdims=True))

    numeric = (cost(weight + 1e-4 * step) - cost(weight - 1e-4 * step)) / 2e-4
    weight32 = weight.astype(np.float32)
    exact = ops.grad_weight(g.astype(np.float32), weight32, ops.weight_alpha(weight32), "exact")
    assert np.sum(exact * step) == pytest.approx(numeric, rel=1e-4)


@pytest.mark.parametrize("op", [xnor, bwn])
@pytest.mark.parametrize("rule", RULES)
def test_centring_is_functional_and_differentiated(layer, rng, op, rule):
    x, weight, _ = layer
    weight.data += 0.3
    before = weight.data.copy()
    plain = Tensor(weight.data - weight.data.mean(3, keepdims=True), requires_grad=True)
    y = op(x, weight, center=True, weight_gradient=rule)
    np.testing.assert_allclose(y.data, op(x, plain).data, rtol=1e-5, atol=1e-5)
    grad = backward(y, rng)
    op(x, plain, weight_gradient=rule).backward(grad)
    # d(w − mean w)/dw: every output channel position subtracts its share.
    expected = plain.grad.copy()
    for o, r, s in np.ndindex(expected.shape[:3]):
        expected[o, r, s] -= sum(plain.grad[o, r, s]) / 3
    np.testing.assert_allclose(weight.grad, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(weight.data, before)


@pytest.mark.parametrize("scale", ["mean", "learned", "none"])
def test_linear_is_the_convolution_of_single_pixels(backend, leaf, rng, scale):
    x, weight, alpha = leaf(6, 70), leaf(5, 70), Tensor(rng.random(5), requires_grad=True)
    x4, w4, a4 = (
        Tensor(d, requires_grad=True) for d in (x.data[:, None, None], weight.data[:, None, None], alpha.data)
    )
    for linear, conv in ((ops.xnor_linear, ops.xnor_conv2d), (ops.bwn_linear, ops.bwn_conv2d)):
        weights = ops.WeightBinariser(scale)
        y, y4 = linear(x, weight, alpha, weights=weights), conv(x4, w4, a4, weights=weights)
        np.testing.assert_array_equal(y.data, y4.data[:, 0, 0])
        grad = backward(y, rng)
        y4.backward(grad[:, None, None])
        np.testing.assert_allclose(x.grad, x4.grad[:, 0, 0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(weight.grad, w4.grad[:, 0, 0], rtol=1e-5, atol=1e-6)


def test_k_of_a_linear_layer_is_beta(backend, leaf):
    x, weight = leaf(3, 40), leaf(5, 40)
    y = ops.xnor_linear(x, weight, inputs=ops.InputBinariser(use_k=True))
    beta = np.abs(x.data).mean(1, keepdims=True)  # Eq. (10)
    expected = beta * (naive_sign(x.data) @ naive_sign(weight.data).T) * np.abs(weight.data).mean(1)
    np.testing.assert_allclose(y.data, expected, rtol=1e-5, atol=1e-5)


def test_algorithm_1(leaf):
    """Binarised weights forward, W̃ backward, and the real weights are what an update moves."""
    x, weight = leaf(8, 12), leaf(3, 12, scale=0.3)
    labels = np.arange(8) % 3
    before = weight.data.copy()
    cross_entropy(ops.bwn_linear(x, weight), labels).backward()
    np.testing.assert_array_equal(weight.data, before)
    # The same with the binarised weight written out as a real one.
    alpha = np.abs(before).mean(1)
    hat = Tensor(naive_sign(before) * alpha[:, None], requires_grad=True)
    cross_entropy(ops.linear(Tensor(x.data), hat), labels).backward()
    expected = loop_grad_weight(hat.grad, before, alpha, "exact", True)
    np.testing.assert_allclose(weight.grad, expected, rtol=1e-4, atol=1e-6)
    # Half a step that crosses no zero leaves the signs, and so the output but for α, as they were.
    weight.data -= 1e-4 * weight.grad
    assert (weight.data != before).any()
    np.testing.assert_array_equal(naive_sign(weight.data), naive_sign(before))


@pytest.mark.parametrize("op", [xnor, bwn])
def test_wrong_words_list_the_words(layer, op):
    x, weight, _ = layer
    with pytest.raises(ValueError, match="'no'; there are: exact, paper, plain"):
        op(x, weight, weight_gradient="no")
    with pytest.raises(ValueError, match="'no'; there are: mean, learned, none"):
        op(x, weight, scale="no")
    with pytest.raises(ValueError, match="needs alpha_param"):
        op(x, weight, scale="learned")


def test_wrong_words_of_activations(layer):
    x, weight, _ = layer
    for call in (lambda: ops.sign(x, "no"), lambda: xnor(x, weight, ste="no")):
        with pytest.raises(ValueError, match="'no'; there are: clip, polynomial"):
            call()
    with pytest.raises(ValueError, match="pad_value must be 0"):
        xnor(x, weight, pad_value=2)
    with pytest.raises(ValueError, match="'no'; there are: exact"):
        ops.grad_weight(weight.data, weight.data, ops.weight_alpha(weight.data), "no")
    with pytest.raises(ValueError, match="'no'; there are: mean"):
        ops.WeightBinariser("no")
