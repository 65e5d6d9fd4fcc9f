"""The oracles themselves: against second oracles, and gradients against central differences in float64."""

import numpy as np
import pytest
from hypothesis import given

import naive

from .strategies import geometries, pool_geometries, seeds


def central_difference(function, x, step=1e-5):
    """Gradient of a function from arrays to numbers."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


@given(geometries(), seeds)
def test_convolution_by_loops_is_scipys(g, seed):
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal(g.x_shape), rng.standard_normal(g.weight_shape)
    for pad_value in (0, 1, -1):
        ours = naive.naive_conv2d(x, weight, g.stride, g.padding, pad_value)
        np.testing.assert_allclose(ours, naive.scipy_conv2d(x, weight, g.stride, g.padding, pad_value), atol=1e-10)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), ((2, 1), (1, 2)), (3, 1)])
def test_convolution_gradients_are_derivatives(stride, padding):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 4, 5, 2)), rng.standard_normal((3, 2, 3, 2))
    grad = rng.standard_normal(naive.naive_conv2d(x, weight, stride, padding).shape)
    by_x = central_difference(lambda x: (naive.naive_conv2d(x, weight, stride, padding) * grad).sum(), x)
    np.testing.assert_allclose(naive.naive_conv2d_grad_input(grad, weight, x.shape, stride, padding), by_x, atol=1e-8)
    by_w = central_difference(lambda w: (naive.naive_conv2d(x, w, stride, padding) * grad).sum(), weight)
    np.testing.assert_allclose(naive.naive_conv2d_grad_weight(x, grad, weight.shape, stride, padding), by_w, atol=1e-8)


@given(pool_geometries(), seeds)
def test_pooling_gradients_are_adjoint(g, seed):
    """Average pooling is linear; maximum pooling too, as long as the winners stay."""
    rng = np.random.default_rng(seed)
    x, window = rng.standard_normal((g.n, g.h, g.w, 2)), (g.kernel_size, g.stride, g.padding)
    for pool, gradient in (
        (naive.naive_avg_pool2d, lambda grad: naive.naive_avg_pool2d_grad(grad, x.shape, *window)),
        (naive.naive_max_pool2d, lambda grad: naive.naive_max_pool2d_grad(grad, x, *window)),
    ):
        y = pool(x, *window)
        grad = rng.standard_normal(y.shape)
        np.testing.assert_allclose((y * grad).sum(), (x * gradient(grad)).sum(), atol=1e-10)


def test_batch_norm_gradient_is_a_derivative():
    rng = np.random.default_rng(0)
    x, gamma, beta = rng.standard_normal((2, 3, 2, 2)) + 1, np.array([0.5, -2.0]), np.array([1.0, 2.0])
    grad = rng.standard_normal(x.shape)
    _, mean, var = naive.naive_batch_norm(x, gamma, beta)
    ours = naive.naive_batch_norm_grad(grad, x, gamma, mean, var)

    def loss(x, gamma, beta):
        return (naive.naive_batch_norm(x, gamma, beta)[0] * grad).sum()

    np.testing.assert_allclose(ours[0], central_difference(lambda x: loss(x, gamma, beta), x), atol=1e-8)
    np.testing.assert_allclose(ours[1], central_difference(lambda gamma: loss(x, gamma, beta), gamma), atol=1e-8)
    np.testing.assert_allclose(ours[2], central_difference(lambda beta: loss(x, gamma, beta), beta), atol=1e-8)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_gradient_is_a_derivative(smoothing):
    logits, labels = np.random.default_rng(0).standard_normal((3, 4)), [0, 3, 3]
    _, probabilities = naive.naive_softmax_cross_entropy(logits, labels, smoothing)
    ours = naive.naive_softmax_cross_entropy_grad(probabilities, labels, smoothing)
    loss = central_difference(lambda x: naive.naive_softmax_cross_entropy(x, labels, smoothing)[0].sum(), logits)
    np.testing.assert_allclose(ours, loss, atol=1e-8)
