"""Ranges of inputs and whole weights: what they are for plain cases, and that they are no worse than plain rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet.quantise.rounding import input_range, whole_weights


def test_the_whole_range_is_used_for_values_that_are_not_negative():
    step, zero, error = input_range(np.linspace(0, 51, 1000, dtype=np.float32))
    assert zero == 0
    assert step == pytest.approx(0.2, rel=1e-3)
    assert error < 2e-3


def test_a_zero_in_the_middle_for_values_of_both_signs():
    step, zero, _ = input_range(np.linspace(-1, 2, 1000, dtype=np.float32))
    assert step == pytest.approx(3 / 255, rel=0.01)
    assert zero == 85


def test_values_far_from_all_others_are_clipped():
    values = np.append(np.linspace(0, 1, 1 << 20), np.full(2, 100)).astype(np.float32)
    step, zero, _ = input_range(values)
    assert (step, zero) == (pytest.approx(20 / 255), 0)  # the smallest share that is tried


@pytest.mark.parametrize("values", [[], [0, 0], [np.nan, np.inf], [1e-38, 2e-38], [3e38, -3e38], [1e-45]])
def test_values_without_a_range_and_at_the_ends_of_float32(values):
    step, zero, error = input_range(np.float32(values))
    assert 0 < step < np.inf
    assert 0 <= zero <= 255
    assert error >= 0


@given(st.integers(1, 5), st.integers(1, 30), st.integers(0, 200), st.integers(0, 999))
def test_whole_weights(o, n, m, seed):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((o, 1, 1, n)) * rng.choice([0, 1e-30, 1, 1e30], (o, 1, 1, 1))
    q, scale, error = whole_weights(weight, rng.standard_normal((m, n)))
    assert q.dtype == np.int8
    assert np.abs(q.astype(int)).max() <= 127
    assert (scale > 0).all()
    assert 0 <= error < 0.05
    np.testing.assert_allclose(q[..., 0] * scale[:, None, None], weight[..., 0], atol=np.abs(weight).max() / 20)


def test_errors_of_correlated_inputs_make_up_for_each_other():
    """Neighbouring pixels are almost equal, so that the sum of the weights matters most."""
    rng = np.random.default_rng(0)
    weight, level = rng.standard_normal((8, 3, 3, 3)), rng.standard_normal((2000, 1))
    windows = level + 0.05 * rng.standard_normal((2000, 27))
    _, _, error = whole_weights(weight, windows)
    rows = weight.reshape(8, 27)
    step = np.abs(rows).max(axis=1, keepdims=True) / 127
    y, nearest = windows @ rows.T, windows @ (np.rint(rows / step) * step).T
    assert error < 0.3 * np.sqrt(np.square(y - nearest).sum() / np.square(y).sum())


def test_windows_that_are_not_finite_are_left_out():
    windows = np.ones((3, 2))
    windows[1] = np.nan
    q, scale, error = whole_weights(np.float64([[127, 1]]), windows)
    assert q.tolist() == [[127, 1]]
    assert scale == pytest.approx([1])
    assert error == pytest.approx(0, abs=1e-12)
