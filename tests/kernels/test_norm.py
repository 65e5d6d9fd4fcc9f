"""Batch normalisation over all axes but the last."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk
import naive

from .cases import expect_batch_norm, expect_batch_norm_grad
from .strategies import DEPTHS, assert_close, check_within, each_backend, seeds, values

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


# ---------------------------------------------------------------------------------------------- parts of a batch


def drawn(shape, seed, masked):
    """Input, gradient, bits or None, gamma, mean and variance."""
    rng = np.random.default_rng(seed)
    x, grad = values(rng, shape) + 3 * values(rng, shape[-1]), values(rng, shape)
    within = naive.naive_signs(x.reshape(-1, 1, 1, shape[-1]))[1].reshape(*shape[:-1], -1) if masked else None
    return x, grad, within, values(rng, shape[-1])


def part(array, first, last):
    return None if array is None else array[first:last]


@each_backend
@given(shapes, seeds, st.booleans())
def test_moments_are_those_of_the_loops(backend, shape, seed, empty):
    x = drawn(shape, seed, False)[0][: 0 if empty else None]
    expected = naive.naive_batch_moments(x)
    size = (x.astype(np.float64) ** 2).sum(tuple(range(x.ndim - 1)))
    for actual, exact, bound in zip(backend.batch_moments(x), expected, (np.sqrt(size), size), strict=True):
        assert actual.dtype == np.float64
        check_within(actual, exact, 1e-13 * bound)


@each_backend
@given(shapes, seeds, st.booleans(), st.booleans())
def test_gradient_sums_are_those_of_the_loops(backend, shape, seed, masked, empty):
    x, grad, within, mean = (part(a, 0, 0) if empty and i < 3 else a for i, a in enumerate(drawn(shape, seed, masked)))
    everywhere = None if within is None else np.full_like(within, 0xFFFFFFFF)
    size = naive.naive_batch_norm_grad_sums(np.abs(grad), everywhere, np.abs(x), -np.abs(mean))
    expected = naive.naive_batch_norm_grad_sums(grad, within, x, mean)
    for actual, exact, bound in zip(backend.batch_norm_grad_sums(grad, within, x, mean), expected, size, strict=True):
        assert actual.dtype == np.float64
        check_within(actual, exact, 2.0**-22 * bound)


@each_backend
@given(shapes, seeds, st.booleans())
def test_two_passes_are_the_gradient(backend, shape, seed, masked):
    """Bit for bit, and a part of the rows gets what it gets in the whole batch."""
    x, grad, within, gamma = drawn(shape, seed, masked)
    mean, var = backend.batch_statistics(x)
    sums, rows = backend.batch_norm_grad_sums(grad, within, x, mean), x.size // x.shape[-1]
    whole = backend.batch_norm_grad_apply(grad, within, x, gamma, mean, var, sums, rows)
    if masked:
        once = backend.norm_signs_grad(grad, within, x, gamma, mean, var)
    else:
        once = backend.batch_norm_grad(grad, x, gamma, mean, var)
    for ours, theirs in zip(whole, once, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    expected = naive.naive_batch_norm_grad_apply(grad, within, x, gamma, mean, var, sums, rows)
    bounds = expect_batch_norm_grad(grad, x, gamma, mean, var, 1e-5)
    for actual, exact, (_, bound) in zip(whole, expected, bounds, strict=True):
        assert_close(actual, exact, bound)
    cut = seed % (len(x) + 1)
    for first, last in ((0, cut), (cut, len(x))):
        some = (part(a, first, last) for a in (grad, within, x))
        results = backend.batch_norm_grad_apply(*some, gamma, mean, var, sums, rows)
        for ours, theirs in zip(results, (whole[0][first:last], *whole[1:]), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.compiled
def test_a_part_of_a_large_batch():
    """Large enough for threads to share; each part alone is small."""
    x, grad, within, gamma = drawn((8, 30, 30, 33), 0, True)
    mean, var = bk.batch_statistics(x)
    sums = bk.batch_norm_grad_sums(grad, within, x, mean)
    whole = bk.batch_norm_grad_apply(grad, within, x, gamma, mean, var, sums, 7200)[0]
    np.testing.assert_array_equal(whole, bk.norm_signs_grad(grad, within, x, gamma, mean, var)[0])
    for i in range(8):
        one = np.s_[i : i + 1]
        alone = bk.batch_norm_grad_apply(grad[one], within[one], x[one], gamma, mean, var, sums, 7200)[0]
        np.testing.assert_array_equal(alone, whole[one])
    moments, exact = bk.batch_moments(x), naive.naive_batch_moments(x)
    np.testing.assert_allclose(moments, exact, rtol=1e-12, atol=1e-12)
