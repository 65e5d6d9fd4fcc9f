"""Binary weights on real input (Eq. 1)."""

import numpy as np
import pytest
from hypothesis import given

from naive import naive_bwn_conv2d, naive_sign, naive_weight_alpha

from .strategies import assert_close, each_backend, geometries, rounding, seeds, values


def draw(g, seed):
    rng = np.random.default_rng(seed)
    return values(rng, g.x_shape, [0.0]), values(rng, g.weight_shape, [0.0, -0.0])


@each_backend
@given(geometries(), seeds)
def test_equals_convolution_with_alpha_sign_w(backend, g, seed):
    x, weight = draw(g, seed)
    weight_hat = (naive_weight_alpha(weight)[:, None, None, None] * naive_sign(weight)).astype(np.float32)
    y = backend.BwnConv2d(weight, g.stride, g.padding)(x)
    float_y = backend.conv2d(x, weight_hat, g.stride, g.padding).astype(np.float64)
    size = naive_bwn_conv2d(np.abs(x), np.abs(weight), g.stride, g.padding)
    assert_close(y, float_y, 2 * rounding(weight[0].size + 1) * size)


@each_backend
@given(geometries(), seeds)
def test_whole_numbers_are_exact(backend, g, seed):
    """Small integers times ±1 have no rounding at all, whatever the order of summation."""
    x, weight = draw(g, seed)
    x = np.round(x * 8)
    y = backend.BwnConv2d(weight, g.stride, g.padding, alpha=False)(x)
    np.testing.assert_array_equal(y, naive_bwn_conv2d(x, weight, g.stride, g.padding, alpha=False))


@each_backend
@given(geometries(), seeds)
def test_signs_as_input_give_the_xnor_convolution(backend, g, seed):
    x, weight = draw(g, seed)
    signs = naive_sign(x)
    y = backend.BwnConv2d(weight, g.stride, g.padding, alpha=False)(signs)
    np.testing.assert_array_equal(y, backend.XnorConv2d(weight, g.stride, g.padding, alpha=False)(x))


@each_backend
@given(geometries(), seeds)
def test_linear_is_a_convolution_of_one_pixel(backend, g, seed):
    x, weight = draw(g, seed)
    x, weight = x[:, 0, 0], weight[:, 0, 0]
    y = backend.BwnLinear(weight)(x)
    size = naive_weight_alpha(weight) * np.abs(x).sum(axis=1, keepdims=True, dtype=np.float64)
    conv = backend.BwnConv2d(weight[:, None, None])(x[:, None, None])[:, 0, 0]
    assert_close(y, conv.astype(np.float64), 2 * rounding(g.c + 1) * size)


@each_backend
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 11, 500])
@pytest.mark.parametrize("depth", [1, 3, 4, 67, pytest.param(600, marks=pytest.mark.compiled)])
def test_any_number_of_rows(backend, n, depth):
    """Few pixels, one tile, several chunks of tiles and slabs of weights: each has its own way."""
    rng = np.random.default_rng(0)
    x, weight = rng.integers(-9, 10, (n, depth)), values(rng, (37, depth))
    y = backend.BwnLinear(weight, alpha=False)(x)
    np.testing.assert_array_equal(y, x @ naive_sign(weight).T)
    alpha = np.arange(37) / 4
    np.testing.assert_array_equal(backend.BwnLinear(weight, alpha=alpha)(x), y * alpha.astype(np.float32))


@each_backend
def test_nan_reaches_only_the_windows_that_see_it(backend):
    rng = np.random.default_rng(0)
    x, weight = values(rng, (2, 5, 6, 17)), values(rng, (9, 3, 3, 17))
    x[1, 0, 0, 16] = np.nan
    y = backend.BwnConv2d(weight, padding=1)(x)
    seen = np.zeros(y.shape, bool)
    seen[1, :2, :2] = True
    np.testing.assert_array_equal(np.isnan(y), seen)


@each_backend
@pytest.mark.parametrize("alpha", [True, False, "given"])
def test_a_plan_keeps_its_own_weights(backend, alpha):
    rng = np.random.default_rng(0)
    x, weight = values(rng, (1, 4, 4, 5)), values(rng, (7, 3, 3, 5))
    alpha = values(rng, 7) if alpha == "given" else alpha
    plan, dense = backend.BwnConv2d(weight, alpha=alpha), backend.BwnLinear(weight[:, 0, 0], alpha=alpha)
    before, before_dense = plan(x), dense(x[0, 0])
    weight *= -3
    if isinstance(alpha, np.ndarray):
        alpha += 1
    np.testing.assert_array_equal(plan(x), before)
    np.testing.assert_array_equal(dense(x[0, 0]), before_dense)


@each_backend
def test_no_filters_give_no_channels(backend):
    weight = np.ones((0, 3, 3, 5), np.float32)
    assert backend.BwnConv2d(weight, padding=1)(np.ones((2, 4, 4, 5))).shape == (2, 4, 4, 0)
