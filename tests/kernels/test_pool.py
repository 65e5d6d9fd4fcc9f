"""Maximum and average pooling and their gradients."""

import numpy as np
import pytest
from hypothesis import given

import binnet_kernels as bk
import naive

from .strategies import check_within, each_backend, pool_geometries, rounding, seeds, values

TIES = [-0.5, -0.0, 0.0, 0.5]


def window(g):
    return g.kernel_size, g.stride, g.padding


@each_backend
@given(pool_geometries(), seeds)
def test_max_gradient_is_adjoint(backend, g, seed):
    """<max_pool(x), grad> = <x, gradient>: the winner of each window carries its gradient."""
    rng = np.random.default_rng(seed)
    x = np.round(values(rng, g.x_shape))
    y = backend.max_pool2d(x, *window(g))
    grad = np.round(4 * values(rng, y.shape))
    assert (backend.max_pool2d_grad(grad, x, *window(g)) * x).sum() == (y * grad).sum()


@each_backend
@given(pool_geometries(), seeds)
def test_the_first_of_equal_maxima_wins(backend, g, seed):
    rng = np.random.default_rng(seed)
    x = values(rng, g.x_shape, TIES, 1.0)
    grad = np.round(4 * values(rng, (g.n, *g.output_size, g.c)))
    exact = naive.naive_max_pool2d_grad(grad, x, *window(g))
    np.testing.assert_array_equal(backend.max_pool2d_grad(grad, x, *window(g)), exact)


@each_backend
def test_the_first_maximum_is_first_row_by_row(backend):
    x = np.array([[0, 0, 1], [1, 1, 1], [1, 0, 1]], np.float32)[None, :, :, None]
    grad_x = backend.max_pool2d_grad(np.full((1, 1, 1, 1), 5.0), x, 3)
    assert grad_x[0, :, :, 0].tolist() == [[0, 0, 5], [0, 0, 0], [0, 0, 0]]
    grad_x = backend.max_pool2d_grad(np.array([1.0, 2, 4, 8]).reshape(1, 2, 2, 1), x, 2, stride=1)
    assert grad_x[0, :, :, 0].tolist() == [[0, 0, 2], [1 + 4, 8, 0], [0, 0, 0]]


@each_backend
def test_both_zeros_tie(backend):
    x = np.array([-0.0, 0.0], np.float32).reshape(1, 1, 2, 1)
    assert backend.max_pool2d_grad(np.ones((1, 1, 1, 1)), x, (1, 2)).ravel().tolist() == [1, 0]


@each_backend
def test_the_first_nan_wins(backend):
    x = np.array([[5, 1, np.nan, np.nan], [7, 9, np.inf, 9]], np.float32)[None, :, :, None]
    np.testing.assert_array_equal(backend.max_pool2d(x, 2)[0, :, :, 0], [[9, np.nan]])
    np.testing.assert_array_equal(backend.max_pool2d(x, (2, 4)), np.full((1, 1, 1, 1), np.nan))
    grad_x = backend.max_pool2d_grad(np.full((1, 1, 1, 1), 3.0), x, (2, 4))
    assert grad_x[0, :, :, 0].tolist() == [[0, 0, 3, 0], [0, 0, 0, 0]]


@each_backend
@pytest.mark.parametrize("channel", [0, 7, 16])
def test_nan_stays_in_its_channel_and_windows(backend, channel):
    x = np.zeros((2, 6, 6, 17), np.float32)
    x[1, 2, 3, channel] = np.nan
    y = backend.max_pool2d(x, 2)
    seen = np.zeros(y.shape, bool)
    seen[1, 1, 1, channel] = True
    np.testing.assert_array_equal(np.isnan(y), seen)
    y = backend.avg_pool2d(x, 2)
    np.testing.assert_array_equal(np.isnan(y), seen)


@each_backend
def test_the_border_never_wins(backend):
    """Not even against -inf: the gradient must land on a pixel."""
    x = np.full((1, 2, 2, 1), -np.inf, np.float32)
    np.testing.assert_array_equal(backend.max_pool2d(x, 3, 1, 1), np.full((1, 2, 2, 1), -np.inf))
    grad_x = backend.max_pool2d_grad(np.ones((1, 2, 2, 1)), x, 3, 1, 1)
    assert grad_x[0, :, :, 0].tolist() == [[4, 0], [0, 0]]
    x = np.full((1, 1, 1, 9), -2, np.float32)
    np.testing.assert_array_equal(backend.max_pool2d(x, 3, 1, 1), x)


@each_backend
def test_average_divides_by_the_whole_window(backend):
    y = backend.avg_pool2d(np.full((1, 2, 2, 3), 9.0), 3, 1, 1)
    np.testing.assert_allclose(y, np.full((1, 2, 2, 3), 4.0), rtol=3e-7)
    grad_x = backend.avg_pool2d_grad(np.ones((1, 2, 2, 3)), (1, 2, 2, 3), 3, 1, 1)
    np.testing.assert_allclose(grad_x, np.full((1, 2, 2, 3), 4 / 9), rtol=3e-7)


@each_backend
@given(pool_geometries(), seeds)
def test_average_gradient_is_adjoint(backend, g, seed):
    rng = np.random.default_rng(seed)
    x = values(rng, g.x_shape)
    y = backend.avg_pool2d(x, *window(g))
    grad = values(rng, y.shape)
    grad_x = backend.avg_pool2d_grad(grad, x.shape, *window(g))
    size = (naive.naive_avg_pool2d(np.abs(x), *window(g)) * np.abs(grad)).sum()
    forward, backward = ((a.astype(np.float64) * b).sum() for a, b in ((y, grad), (x, grad_x)))
    check_within(np.array(forward), np.array(backward), 2 * rounding(26) * size)


@each_backend
def test_stride_is_the_window_unless_given(backend):
    x = values(np.random.default_rng(0), (1, 7, 6, 2))
    np.testing.assert_array_equal(backend.max_pool2d(x, (3, 2)), backend.max_pool2d(x, (3, 2), (3, 2)))
    np.testing.assert_array_equal(backend.avg_pool2d(x, (3, 2)), backend.avg_pool2d(x, (3, 2), (3, 2)))
    assert backend.max_pool2d(x, (3, 2)).shape == (1, 2, 3, 2)


@each_backend
def test_global_average_is_the_mean(backend):
    x = np.round(8 * values(np.random.default_rng(0), (2, 4, 8, 17)))
    np.testing.assert_array_equal(backend.avg_pool2d(x, (4, 8))[:, 0, 0], x.mean(axis=(1, 2)))


@pytest.mark.parametrize("shape", [(1, 0, 5, 3), (1, 5, 0, 3)])
def test_images_without_pixels_are_refused(shape):
    x = np.zeros(shape, np.float32)
    for pool in (bk.max_pool2d, bk.max_pool2d_winners, bk.avg_pool2d, bk.reference.max_pool2d):
        with pytest.raises(ValueError, match="at least one pixel"):
            pool(x, 3, 1, 2)
