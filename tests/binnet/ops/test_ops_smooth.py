"""Every smooth operation: values against NumPy, gradients against central differences, on both backends."""

import numpy as np
import pytest

from binnet import Tensor, cross_entropy, gradcheck, ops, squared_hinge
from naive import naive_conv2d, naive_softmax_cross_entropy


def distinct(rng, *shape):
    """Values at least 0.1 apart, so that no step of a central difference changes which is largest, or any sign."""
    count = int(np.prod(shape))
    return Tensor((rng.permutation(count) - count / 2 + 0.5).reshape(shape) / 5, requires_grad=True)


def test_add_and_mul_with_broadcasting(leaf):
    for shape in [(3, 4), (4,), (1, 4), (3, 1), (2, 3, 4), ()]:
        assert gradcheck(ops.add, leaf(3, 4), leaf(*shape))
        assert gradcheck(ops.mul, leaf(3, 4), leaf(*shape))
    x, y = leaf(3, 4), leaf(4)
    np.testing.assert_array_equal(ops.add(x, y).data, x.data + y.data)
    np.testing.assert_array_equal(ops.mul(x, y).data, x.data * y.data)


def test_relu(rng):
    x = distinct(rng, 4, 5)
    np.testing.assert_array_equal(ops.relu(x).data, np.where(x.data > 0, x.data, 0))
    assert gradcheck(ops.relu, x)


def test_the_derivative_of_relu_at_0_is_0():
    x = Tensor([0.0, -0.0, 1.0], requires_grad=True)
    ops.sum(ops.relu(x)).backward()
    np.testing.assert_array_equal(x.grad, [0, 0, 1])


def test_reshape_and_flatten(leaf):
    x = leaf(2, 3, 4, 5)
    np.testing.assert_array_equal(ops.flatten(x).data, x.data.reshape(2, 60))
    assert gradcheck(ops.flatten, x)
    assert gradcheck(lambda x: ops.reshape(x, (6, -1)), x)
    assert ops.flatten(Tensor(np.zeros((0, 3, 4)))).shape == (0, 12)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_sum_and_mean(leaf, name, axis, keepdims):
    x, op = leaf(2, 3, 4), getattr(ops, name)
    expected = getattr(np, name)(x.data.astype(np.float64), axis=axis, keepdims=keepdims)
    result = op(x, axis, keepdims)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result.data, expected, rtol=1e-6, atol=1e-7)
    assert gradcheck(lambda x: op(x, axis, keepdims), x)


def test_the_mean_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="mean of no elements"):
        ops.mean(Tensor(np.zeros((0, 3))), axis=0)


def test_global_average(leaf):
    x = leaf(2, 3, 4, 5)
    np.testing.assert_allclose(ops.global_average(x).data, x.data.mean((1, 2)), rtol=1e-5, atol=1e-7)
    assert gradcheck(ops.global_average, x)
    with pytest.raises(ValueError, match=r"\(N, H, W, C\), got shape \(2, 3\)"):
        ops.global_average(leaf(2, 3))


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), ((1, 2), (2, 0))])
def test_conv2d(backend, leaf, stride, padding):
    x, weight, bias = leaf(2, 5, 6, 3), leaf(4, 3, 2, 3), leaf(4)
    y = ops.conv2d(x, weight, bias, stride=stride, padding=padding)
    np.testing.assert_allclose(y.data, naive_conv2d(x.data, weight.data, stride, padding) + bias.data, atol=1e-4)

    def conv(x, weight, bias):
        return ops.conv2d(x, weight, bias, stride=stride, padding=padding)

    assert gradcheck(conv, x, weight, bias)
    assert gradcheck(lambda x, weight: ops.conv2d(x, weight, stride=stride, padding=padding), x, weight)


def test_conv2d_computes_only_the_gradients_that_are_wanted(monkeypatch, leaf):
    import binnet_kernels

    monkeypatch.delattr(binnet_kernels, "conv2d_grad_input")
    weight = leaf(2, 3, 3, 1)
    ops.sum(ops.conv2d(Tensor(np.ones((1, 4, 4, 1))), weight)).backward()
    assert weight.grad is not None


def test_linear(backend, leaf):
    x, weight, bias = leaf(5, 7), leaf(3, 7), leaf(3)
    np.testing.assert_allclose(ops.linear(x, weight, bias).data, x.data @ weight.data.T + bias.data, atol=1e-5)
    assert gradcheck(ops.linear, x, weight, bias)
    with pytest.raises(ValueError, match=r"\(N, I\), got shape \(5,\)"):
        ops.linear(leaf(5), weight)
    with pytest.raises(ValueError, match=r"bias must have shape \(3,\), got \(2,\)"):
        ops.linear(x, weight, leaf(2))


@pytest.mark.parametrize("window", [(2,), (3, 2, 1), ((2, 3), (1, 2), (0, 1))])
def test_pooling(backend, rng, window):
    x = distinct(rng, 2, 6, 7, 2)
    assert gradcheck(lambda x: ops.max_pool2d(x, *window), x)
    assert gradcheck(lambda x: ops.avg_pool2d(x, *window), x)


def test_pooling_by_hand(backend):
    x = Tensor(np.arange(16).reshape(1, 4, 4, 1))
    np.testing.assert_array_equal(ops.max_pool2d(x, 2).data.ravel(), [5, 7, 13, 15])
    np.testing.assert_array_equal(ops.avg_pool2d(x, 2).data.ravel(), [2.5, 4.5, 10.5, 12.5])


@pytest.mark.parametrize("shape", [(6, 4), (3, 2, 3, 4)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(backend, leaf, rng, shape, training):
    x, gamma, beta = leaf(*shape), leaf(4), leaf(4)
    mean, var = rng.standard_normal(4).astype(np.float32), rng.random(4).astype(np.float32) + 1

    def norm(x, gamma, beta):
        return ops.batch_norm(x, gamma, beta, ops.Statistics(mean.copy(), var.copy(), training))

    rows = x.data.reshape(-1, 4).astype(np.float64)
    m, v = (rows.mean(0), rows.var(0)) if training else (mean, var)
    expected = gamma.data * (rows - m) / np.sqrt(v + 1e-5) + beta.data
    np.testing.assert_allclose(norm(x, gamma, beta).data.reshape(-1, 4), expected, atol=1e-5)
    assert gradcheck(norm, x, gamma, beta)
    assert gradcheck(norm, Tensor(x.data), Tensor(gamma.data), beta)


def test_batch_norm_moves_the_running_statistics_in_training_only(backend, leaf):
    x, gamma, beta = leaf(8, 2), leaf(2), leaf(2)
    mean, var = np.zeros(2, np.float32), np.ones(2, np.float32)
    ops.batch_norm(x, gamma, beta, ops.Statistics(mean, var, False))
    np.testing.assert_array_equal([mean, var], [[0, 0], [1, 1]])
    ops.batch_norm(x, gamma, beta, ops.Statistics(mean, var, True, momentum=0.25))
    np.testing.assert_allclose(mean, 0.25 * x.data.mean(0), rtol=1e-5)
    np.testing.assert_allclose(var, 0.75 + 0.25 * x.data.var(0, ddof=1), rtol=1e-5)


def test_cross_entropy_of_an_impossible_class(backend):
    logits = Tensor([[0.0, -np.inf, 1.0], [2.0, 0.0, -np.inf]], requires_grad=True)
    loss = cross_entropy(logits, np.array([0, 0]))
    assert loss.item() == pytest.approx((np.log(1 + np.e) + np.log(1 + np.exp(-2))) / 2, rel=1e-6)
    loss.backward()
    assert np.isfinite(logits.grad).all()
    assert logits.grad[0, 1] == logits.grad[1, 2] == 0
    assert cross_entropy(logits, np.array([1, 0])).item() == np.inf


def test_constants_are_operands(backend):
    x = Tensor([1.0, 2.0], requires_grad=True)
    for y, expected in ((ops.add(x, 3.0), [4, 5]), (ops.mul(2, x), [2, 4]), (ops.add(np.array([1, 0]), x), [2, 2])):
        np.testing.assert_array_equal(y.data, expected)
    ops.sum(ops.mul(x, 2.5)).backward()
    np.testing.assert_array_equal(x.grad, [2.5, 2.5])
    with pytest.raises(TypeError, match="must be real numbers"):
        ops.add(x, "3")


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy(backend, leaf, smoothing):
    logits, labels = leaf(5, 4, scale=2), np.array([0, 3, 2, 2, 1])
    expected = naive_softmax_cross_entropy(logits.data, labels, smoothing)[0].mean()
    loss = cross_entropy(logits, labels, smoothing)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert gradcheck(lambda x: cross_entropy(x, labels, smoothing), logits)


def test_label_smoothing_by_hand():
    loss = cross_entropy(Tensor([[np.log(3), 0.0]]), np.array([0]), label_smoothing=0.2)
    assert loss.item() == pytest.approx(-(0.9 * np.log(0.75) + 0.1 * np.log(0.25)), rel=1e-6)


def test_squared_hinge(leaf):
    scores = Tensor([[0.5, -2, 3], [2, 0, -0.5]], requires_grad=True)
    loss = squared_hinge(scores, np.array([0, 1]))
    # t·y: row 0 is (0.5, 2, −3), row 1 (−2, 0, 0.5)
    assert loss.item() == pytest.approx((0.25 + 0 + 16 + 9 + 1 + 0.25) / 2)
    assert gradcheck(lambda x: squared_hinge(x, np.array([0, 1])), scores)


@pytest.mark.parametrize("loss", [cross_entropy, squared_hinge])
def test_losses_refuse_what_does_not_fit(loss, leaf):
    with pytest.raises(ValueError, match="0…2"):
        loss(leaf(2, 3), np.array([0, 3]))
    with pytest.raises(ValueError, match=r"\(2,\)"):
        loss(leaf(2, 3), np.array([0]))
    with pytest.raises(TypeError, match="integers"):
        loss(leaf(2, 3), np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match="at least one row"):
        loss(leaf(0, 3), np.array([], np.int64))


def test_cross_entropy_refuses_a_wrong_smoothing(leaf):
    with pytest.raises(ValueError, match="label_smoothing"):
        cross_entropy(leaf(2, 3), np.array([0, 1]), 1.0)


def test_dropout(leaf):
    x = leaf(200, 50)
    y = ops.dropout(x, 0.25, np.random.default_rng(0))
    kept = y.data != 0
    assert abs(kept.mean() - 0.75) < 0.02
    np.testing.assert_allclose(y.data[kept], x.data[kept] / 0.75, rtol=1e-6)
    ops.sum(y).backward()
    np.testing.assert_allclose(x.grad, kept / 0.75, rtol=1e-6)
    assert ops.dropout(x, 0, np.random.default_rng(0)) is x
    for p in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="dropout"):
            ops.dropout(x, p, np.random.default_rng(0))
