"""Softmax cross-entropy, one loss for each row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .cases import expect_cross_entropy
from .strategies import assert_close, each_backend, rounding, seeds, values

rows, classes = st.integers(0, 5), st.sampled_from([1, 2, 3, 10, 17, 100])
smoothings = st.sampled_from([0.0, 0.1, 0.5, 0.99])


def draw(n, k, seed, scale=1):
    rng = np.random.default_rng(seed)
    return values(rng, (n, k)) * np.float32(scale), rng.integers(0, k, n)


@each_backend
@given(rows, classes, seeds, smoothings, st.sampled_from([0.01, 1, 30]))
def test_loss_and_probabilities(backend, n, k, seed, smoothing, scale):
    logits, labels = draw(n, k, seed, scale)
    results = backend.softmax_cross_entropy(logits, labels, smoothing)
    for actual, (exact, bound) in zip(results, expect_cross_entropy(logits, labels, smoothing), strict=True):
        assert_close(actual, exact, bound)


@each_backend
@given(rows, classes, seeds)
def test_probabilities_sum_to_one(backend, n, k, seed):
    _, probabilities = backend.softmax_cross_entropy(*draw(n, k, seed))
    np.testing.assert_allclose(probabilities.sum(axis=1, dtype=np.float64), 1, atol=rounding(k + 8))
    assert (probabilities >= 0).all()


@each_backend
@given(rows, classes, seeds)
def test_a_shift_of_all_logits_changes_nothing(backend, n, k, seed):
    """Exactly: eighths and their sums with 256 are float32 numbers, and the maximum is taken away first."""
    logits, labels = draw(n, k, seed)
    logits = np.round(logits * 8) / 8
    for ours, theirs in zip(
        backend.softmax_cross_entropy(logits, labels), backend.softmax_cross_entropy(logits + 256, labels), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@each_backend
def test_huge_logits_do_not_overflow(backend):
    losses, probabilities = backend.softmax_cross_entropy([[1e30, 0.0, -1e30], [-1e4, 1e4, 0.0]], [0, 0])
    np.testing.assert_array_equal(probabilities, [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(losses, np.array([0, 2e4], np.float32))


@each_backend
def test_equal_logits_cost_the_logarithm_of_the_classes(backend):
    losses, probabilities = backend.softmax_cross_entropy(np.full((2, 10), -7.0), [3, 9], 0.1)
    np.testing.assert_allclose(losses, np.log(10), rtol=3e-7)
    np.testing.assert_allclose(probabilities, 0.1, rtol=3e-7)


@each_backend
@given(rows, classes, seeds, smoothings)
def test_gradient_is_probability_minus_target(backend, n, k, seed, smoothing):
    logits, labels = draw(n, k, seed)
    probabilities = backend.softmax_cross_entropy(logits, labels)[1]
    grad = backend.softmax_cross_entropy_grad(probabilities, labels, smoothing)
    target = np.full((n, k), smoothing / k)
    target[np.arange(n), labels] += 1 - smoothing
    assert_close(grad, probabilities - target, rounding(4))
    assert (np.abs(grad.sum(axis=1, dtype=np.float64)) <= rounding(k + 8)).all()


@each_backend
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint64, ">i4"])
def test_labels_of_any_integer_type(backend, dtype):
    logits, labels = draw(5, 10, 0)
    expected = backend.softmax_cross_entropy(logits, labels)
    other = np.repeat(labels, 2).astype(dtype)[::2]
    for ours, theirs in zip(backend.softmax_cross_entropy(logits, other), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    grad = backend.softmax_cross_entropy_grad(expected[1], other)
    np.testing.assert_array_equal(grad, backend.softmax_cross_entropy_grad(expected[1], labels))
