"""Batch normalisation over all axes but the last."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive

from .cases import expect_batch_norm, expect_batch_norm_grad
from .strategies import DEPTHS, assert_close, each_backend, seeds, values

shapes = st.tuples(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.sampled_from(DEPTHS)).map(
    lambda s: (*s[0], s[1])
)


@each_backend
@given(shapes, seeds)
def test_any_number_of_axes(backend, shape, seed):
    rng = np.random.default_rng(seed)
    x, gamma, beta, grad = values(rng, shape), values(rng, shape[-1]), values(rng, shape[-1]), values(rng, shape)
    results = backend.batch_norm(x, gamma, beta, 1e-2)
    for actual, (exact, bound) in zip(results, expect_batch_norm(x, gamma, beta, 1e-2), strict=True):
        assert_close(actual, exact, bound)
    gradients = backend.batch_norm_grad(grad, x, gamma, *results[1:], 1e-2)
    expected = expect_batch_norm_grad(grad, x, gamma, *results[1:], 1e-2)
    for actual, (exact, bound) in zip(gradients, expected, strict=True):
        assert_close(actual, exact, bound)


@each_backend
@given(shapes, seeds)
def test_training_is_inference_with_the_batch_statistics(backend, shape, seed):
    rng = np.random.default_rng(seed)
    x, gamma, beta = values(rng, shape), values(rng, shape[-1]), values(rng, shape[-1])
    y, mean, var = backend.batch_norm(x, gamma, beta)
    size = np.abs(gamma) / np.sqrt(var + 1e-5) * (np.abs(x) + np.abs(mean)) + np.abs(beta)
    inference = backend.batch_norm_inference(x, gamma, beta, mean, var)
    assert_close(y, inference.astype(np.float64), 4 * 2.0**-23 * size)


@each_backend
@pytest.mark.parametrize("offset", [0.0, 100.0, -3000.0])
def test_variance_survives_a_large_mean(backend, offset):
    """E[x^2] - E[x]^2 in float32 loses all its digits here."""
    x = values(np.random.default_rng(0), (4, 5, 6, 9)) + np.float32(offset)
    y, mean, var = backend.batch_norm(x, np.ones(9), np.zeros(9))
    exact_y, exact_mean, exact_var = naive.naive_batch_norm(x, np.ones(9), np.zeros(9))
    rounding_of_mean = 2.0**-22 * (abs(offset) + 1)
    assert_close(mean, exact_mean, rounding_of_mean)
    assert_close(var, exact_var, 1e-5 * exact_var + rounding_of_mean**2)
    assert_close(y, exact_y, 1e-5 * (1 + np.abs(exact_y)) + 3 * rounding_of_mean)


@each_backend
def test_variance_is_biased(backend):
    _, mean, var = backend.batch_norm([[1.0], [3.0]], [1.0], [0.0])
    assert (mean.tolist(), var.tolist()) == ([2.0], [1.0])


@each_backend
def test_a_constant_channel_gives_beta(backend):
    """Variance 0, here and with one row: eps keeps the division finite."""
    for rows in (1, 8):
        y, mean, var = backend.batch_norm(np.full((rows, 17), 0.1), np.full(17, 3.0), np.full(17, -0.5))
        np.testing.assert_array_equal(var, np.zeros(17))
        np.testing.assert_array_equal(mean, np.full(17, np.float32(0.1)))
        np.testing.assert_array_equal(y, np.full((rows, 17), np.float32(-0.5)))


@each_backend
@given(shapes, seeds)
def test_gradient_is_orthogonal_to_what_does_not_matter(backend, shape, seed):
    """Adding a constant to a channel changes nothing, so the gradients of a channel sum to 0."""
    rng = np.random.default_rng(seed)
    x, gamma, grad = values(rng, shape), values(rng, shape[-1]), values(rng, shape)
    mean, var = backend.batch_norm(x, gamma, gamma)[1:]
    grad_x = backend.batch_norm_grad(grad, x, gamma, mean, var, 1e-2)[0]
    axes = tuple(range(x.ndim - 1))
    bound = expect_batch_norm_grad(grad, x, gamma, mean, var, 1e-2)[0][1].sum(axis=axes)
    assert (np.abs(grad_x.sum(axis=axes, dtype=np.float64)) <= 2 * bound + 1e-30).all()


@each_backend
def test_each_channel_has_its_own_statistics(backend):
    """A NaN in one channel stays there."""
    x = values(np.random.default_rng(0), (3, 2, 2, 17))
    x[1, 0, 1, 16] = np.nan
    y, mean, var = backend.batch_norm(x, np.ones(17), np.zeros(17))
    for result in (y, mean, var):
        assert np.isnan(result[..., 16]).all()
        assert np.isfinite(result[..., :16]).all()


@each_backend
def test_inference_of_an_empty_batch(backend):
    """Nothing to do; a mean of nothing, on the other hand, is refused (test_checks.py)."""
    x, c = np.ones((0, 4, 4, 3)), np.ones(3)
    assert backend.batch_norm_inference(x, c, c, c, c).shape == x.shape
