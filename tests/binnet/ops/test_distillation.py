"""The loss against a teacher's scores: values against loops, gradients against central differences, and its edges."""

import numpy as np
import pytest

from binnet import Tensor, cross_entropy, distillation, gradcheck
from naive_ops import naive_distillation


@pytest.mark.parametrize("temperature", [0.5, 1, 2.0, 4.0, 20.0])
def test_values_and_gradients(leaf, rng, temperature):
    logits, scores = leaf(5, 4, scale=2), rng.standard_normal((5, 4)) * 3
    loss = distillation(logits, scores, temperature)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(np.mean(naive_distillation(logits.data, scores, temperature)), rel=1e-5)
    assert gradcheck(lambda x: distillation(x, scores, temperature), logits)


def test_the_gradient_in_closed_form(leaf, rng):
    """T (softmax(logits / T) − softmax(scores / T)) / N, times what comes from above."""
    logits, scores = leaf(6, 3), rng.standard_normal((6, 3)).astype(np.float32)
    (distillation(logits, scores, 3.0) * 0.5).backward()
    q, p = (np.exp(x / 3) / np.exp(x / 3).sum(axis=1, keepdims=True) for x in (logits.data, scores))
    np.testing.assert_allclose(logits.grad, 0.5 * 3 * (q - p) / 6, rtol=1e-4, atol=1e-7)


def test_equal_scores_cost_nothing(rng):
    x = rng.standard_normal((4, 7)).astype(np.float32)
    logits = Tensor(x, requires_grad=True)
    loss = distillation(logits, x + np.float32(0), 2.0)
    assert loss.item() == 0
    loss.backward()
    np.testing.assert_array_equal(logits.grad, 0)


def test_a_sure_teacher_is_a_label():
    """With all probability on one class and T = 1 it is the cross-entropy."""
    scores = np.array([[0, -np.inf, -np.inf], [-np.inf, -np.inf, 5]])
    one, other = (Tensor([[0.5, 1, -2], [3, 0, 0.25]], requires_grad=True) for _ in range(2))
    taught, labelled = distillation(one, scores), cross_entropy(other, np.array([0, 2]))
    assert taught.item() == pytest.approx(labelled.item(), rel=1e-6)
    taught.backward()
    labelled.backward()
    np.testing.assert_allclose(one.grad, other.grad, rtol=1e-5)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_large_scores_do_not_overflow(size):
    logits = Tensor([[size, 0, -size], [1.0, 2, 3]], requires_grad=True)
    loss = distillation(logits, [[size, 0, -size], [-size, 0, size]], 2.0)
    expected = naive_distillation([[1.0, 2, 3]], [[-1e4, 0, 1e4]], 2.0)[0] / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert np.isfinite(logits.grad).all()


def test_classes_without_probability():
    gone = Tensor([[0.0, -np.inf, 1.0]], requires_grad=True)
    shut_out = distillation(gone, [[2.0, -np.inf, 0.0]], 2.0)
    rest = distillation(Tensor([[0.0, 1.0]]), [[2.0, 0.0]], 2.0)
    assert shut_out.item() == pytest.approx(rest.item(), rel=1e-6)
    shut_out.backward()
    assert np.isfinite(gone.grad).all()
    assert gone.grad[0, 1] == 0
    assert distillation(gone, [[2.0, 1.0, 0.0]], 2.0).item() == np.inf


@pytest.mark.parametrize("row", [[np.nan, 0, 0], [np.inf, 0, 0], [-np.inf] * 3])
def test_nan_is_not_hidden(row):
    bad, good = np.array([row, [0, 1, 2]]), np.array([[-np.inf, 0, 1], [0, 1, 2]])
    assert np.isnan(distillation(Tensor(bad), good).item())
    assert np.isnan(distillation(Tensor(good), bad).item())


def test_what_does_not_fit_is_refused(leaf):
    with pytest.raises(ValueError, match=r"scores must have shape \(2, 3\), got \(2, 4\)"):
        distillation(leaf(2, 3), np.zeros((2, 4)))
    with pytest.raises(TypeError, match="scores must be an array of real numbers"):
        distillation(leaf(2, 3), leaf(2, 3))
    with pytest.raises(ValueError, match="at least one row"):
        distillation(leaf(0, 3), np.zeros((0, 3)))
    for temperature in (0, 0.09, -1.0, np.nan, np.inf, 1001):
        with pytest.raises(ValueError, match=r"temperature must be from 0\.1 to 1000"):
            distillation(leaf(2, 3), np.zeros((2, 3)), temperature)
