"""float32 convolution and its two gradients."""

import numpy as np
import pytest
from hypothesis import given
from numba import config

import binnet_kernels as bk
from naive import naive_conv2d, naive_conv2d_grad_input, naive_conv2d_grad_weight, pad_image, scipy_conv2d

from .strategies import assert_close, each_backend, geometries, rounding, seeds, values


def draw(g, seed):
    rng = np.random.default_rng(seed)
    return values(rng, g.x_shape), values(rng, g.weight_shape), values(rng, (g.n, *g.output_size, g.o))


def dot(a, b):
    return float((a.astype(np.float64) * b).sum())


@each_backend
@given(geometries(), seeds)
def test_equals_scipy(backend, g, seed):
    x, weight, _ = draw(g, seed)
    size = scipy_conv2d(np.abs(x), np.abs(weight), g.stride, g.padding)
    exact = scipy_conv2d(x, weight, g.stride, g.padding)
    assert_close(backend.conv2d(x, weight, g.stride, g.padding), exact, rounding(weight[0].size) * size)


@each_backend
@given(geometries(), seeds)
def test_whole_numbers_are_exact(backend, g, seed):
    x, weight, _ = (np.round(a * 4) for a in draw(g, seed))
    y = backend.conv2d(x, weight, g.stride, g.padding)
    np.testing.assert_array_equal(y, naive_conv2d(x, weight, g.stride, g.padding))


@each_backend
@given(geometries(), seeds)
def test_padding_is_a_border_of_zeros(backend, g, seed):
    x, weight, _ = (np.round(a * 4) for a in draw(g, seed))
    y = backend.conv2d(x, weight, g.stride, g.padding)
    np.testing.assert_array_equal(y, backend.conv2d(pad_image(x, g.padding), weight, g.stride))


@each_backend
@given(geometries(), seeds)
def test_gradients_are_adjoint(backend, g, seed):
    """<conv(x), grad> = <x, grad_input> = <weight, grad_weight>: the convolution is linear in both."""
    x, weight, grad = draw(g, seed)
    forward = dot(backend.conv2d(x, weight, g.stride, g.padding), grad)
    through_x = dot(backend.conv2d_grad_input(grad, weight, x.shape, g.stride, g.padding), x)
    through_weight = dot(backend.conv2d_grad_weight(x, grad, weight.shape, g.stride, g.padding), weight)
    size = dot(naive_conv2d(np.abs(x), np.abs(weight), g.stride, g.padding), np.abs(grad))
    terms = max(weight[0].size, weight[..., 0].size, grad[..., :1].size)
    assert abs(forward - through_x) <= 2 * rounding(terms) * size
    assert abs(forward - through_weight) <= 2 * rounding(terms) * size


@each_backend
@given(geometries(), seeds)
def test_gradients_of_whole_numbers_are_adjoint_exactly(backend, g, seed):
    """No rounding, so no tolerance: every tap of every output counts."""
    x, weight, grad = (np.round(a * 2) for a in draw(g, seed))
    forward = dot(backend.conv2d(x, weight, g.stride, g.padding), grad)
    assert dot(backend.conv2d_grad_input(grad, weight, x.shape, g.stride, g.padding), x) == forward
    assert dot(backend.conv2d_grad_weight(x, grad, weight.shape, g.stride, g.padding), weight) == forward


@each_backend
def test_filter_is_not_flipped(backend):
    """The name is convolution, the sum is a correlation, as in every network."""
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    weight = np.zeros((1, 2, 3, 1), np.float32)
    weight[0, 0, 2, 0] = 1
    assert backend.conv2d(x, weight)[0, :, :, 0].tolist() == [[2, 3], [6, 7]]


@each_backend
def test_pixels_that_no_window_sees_have_no_gradient(backend):
    grad_x = backend.conv2d_grad_input(np.ones((1, 2, 2, 3)), np.ones((3, 1, 1, 2)), (1, 5, 6, 2), stride=3)
    exact = np.zeros((1, 5, 6, 2))
    exact[:, ::3, ::3] = 3
    np.testing.assert_array_equal(grad_x, exact)


@each_backend
def test_an_empty_batch_has_weight_gradient_zero(backend):
    grad_weight = backend.conv2d_grad_weight(np.ones((0, 5, 5, 2)), np.ones((0, 3, 3, 9)), (9, 3, 3, 2))
    np.testing.assert_array_equal(grad_weight, np.zeros((9, 3, 3, 2)))


@each_backend
def test_no_filters(backend):
    x, weight, grad = np.ones((2, 4, 4, 5)), np.ones((0, 3, 3, 5)), np.ones((2, 2, 2, 0))
    assert backend.conv2d(x, weight).shape == (2, 2, 2, 0)
    np.testing.assert_array_equal(backend.conv2d_grad_input(grad, weight, x.shape), np.zeros(x.shape))
    assert backend.conv2d_grad_weight(x, grad, weight.shape).shape == weight.shape


@each_backend
def test_no_channels(backend):
    """A sum of nothing is 0."""
    x, weight = np.ones((2, 4, 4, 0)), np.ones((9, 3, 3, 0))
    np.testing.assert_array_equal(backend.conv2d(x, weight, 1, 1), np.zeros((2, 4, 4, 9)))


@each_backend
def test_a_plan_keeps_its_own_weights(backend):
    rng = np.random.default_rng(0)
    x, weight = values(rng, (1, 4, 4, 5)), values(rng, (7, 3, 3, 5))
    plan = backend.Conv2d(weight)
    before = plan(x)
    weight *= -3
    np.testing.assert_array_equal(plan(x), before)


@each_backend
@given(geometries(), seeds)
def test_a_plan_gives_the_same_bits(backend, g, seed):
    x, weight, _ = draw(g, seed)
    plan = backend.Conv2d(weight, g.stride, g.padding)
    np.testing.assert_array_equal(plan(x), backend.conv2d(x, weight, g.stride, g.padding))


@each_backend
@given(geometries(), seeds)
def test_nan_and_infinity(backend, g, seed):
    """They reach the windows that see them and nothing else, neither other channels nor the tail of a tile."""
    x, weight, _ = draw(g, seed)
    chosen = np.random.default_rng(seed).random(x.shape) < 2 / max(x.size, 1)
    x[chosen] = np.random.default_rng(seed).choice([np.nan, np.inf, -np.inf], chosen.sum())
    weight[weight == 0] = 1  # 0 * inf would be NaN
    exact = naive_conv2d(x, weight, g.stride, g.padding)
    finite = np.where(np.isfinite(x), x, 0)
    size = naive_conv2d(np.abs(finite), np.abs(weight), g.stride, g.padding)
    with np.errstate(invalid="ignore"):
        y = backend.conv2d(x, weight, g.stride, g.padding)
    assert_close(y, exact, rounding(weight[0].size) * size)


@pytest.mark.compiled
@each_backend
@pytest.mark.parametrize("c", [255, 256, 257, 600])
def test_deep_filters(backend, c):
    """Sums that a kernel takes in several blocks."""
    rng = np.random.default_rng(0)
    x, weight = np.round(4 * values(rng, (1, 6, 7, c))), np.round(4 * values(rng, (33, 3, 3, c)))
    grad = np.round(4 * values(rng, (1, 6, 7, 33)))
    y = backend.conv2d(x, weight, 1, 1)
    np.testing.assert_array_equal(y, naive_conv2d(x, weight, 1, 1))
    assert dot(backend.conv2d_grad_input(grad, weight, x.shape, 1, 1), x) == dot(y, grad)
    assert dot(backend.conv2d_grad_weight(x, grad, weight.shape, 1, 1), weight) == dot(y, grad)


@each_backend
@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "stride", "padding"),
    [
        ((1, 33, 32, 1), (3, 1, 1, 1), 1, 0),
        ((2, 47, 23, 3), (9, 2, 3, 3), 1, 1),
        ((2, 47, 46, 2), (3, 3, 1, 2), 2, (1, 0)),
        pytest.param((1, 23, 22, 70), (37, 3, 3, 70), 1, 1, marks=pytest.mark.compiled),
        pytest.param((9, 16, 15, 19), (17, 5, 5, 19), (2, 1), 2, marks=pytest.mark.compiled),
    ],
)
def test_many_pixels(backend, x_shape, weight_shape, stride, padding):
    """More than kernels take at once: several chunks of tiles, panels and slices of a sum, with tails."""
    rng = np.random.default_rng(0)
    x, weight = (rng.integers(-3, 4, shape).astype(np.float32) for shape in (x_shape, weight_shape))
    y = backend.conv2d(x, weight, stride, padding)
    np.testing.assert_array_equal(y, naive_conv2d(x, weight, stride, padding))
    np.testing.assert_array_equal(y, backend.Conv2d(weight, stride, padding)(x))
    grad = rng.integers(-3, 4, y.shape).astype(np.float32)
    grad_x = backend.conv2d_grad_input(grad, weight, x_shape, stride, padding)
    np.testing.assert_array_equal(grad_x, naive_conv2d_grad_input(grad, weight, x_shape, stride, padding))
    grad_weight = backend.conv2d_grad_weight(x, grad, weight_shape, stride, padding)
    np.testing.assert_array_equal(grad_weight, naive_conv2d_grad_weight(x, grad, weight_shape, stride, padding))


@pytest.mark.compiled
@pytest.mark.skipif(config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
@pytest.mark.parametrize(("c", "pixels"), [(3, (40, 41)), (9, (24, 47)), (64, (9, 9))])
def test_slices_do_not_depend_on_threads(c, pixels):
    """A weight gradient of many pixels is summed in as many slices on one thread as on several."""
    rng, before = np.random.default_rng(0), bk.get_num_threads()
    x, grad = values(rng, (1, pixels[0] + 2, pixels[1] + 2, c)), values(rng, (1, *pixels, 21))
    results = []
    try:
        for threads in (1, 2):
            bk.set_num_threads(threads)
            results.append(bk.conv2d_grad_weight(x, grad, (21, 3, 3, c)).tobytes())
    finally:
        bk.set_num_threads(before)
    assert results[0] == results[1]
