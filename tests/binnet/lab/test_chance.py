"""What chance can do to the accuracies of a table: the images, the seeds, and both."""

import math

import numpy as np
import pytest

from binnet.lab.reproduce import Accuracy, Claim, chance


def test_mean_and_sample_deviation():
    accuracy = Accuracy((56.5, 57.1, 57.7), 1000)
    assert accuracy.mean == pytest.approx(57.1)
    assert accuracy.deviation == pytest.approx(0.6)
    assert str(accuracy) == "57.1 ± 0.6"


def test_a_single_run_has_no_deviation():
    assert Accuracy((57.14,), 1000).deviation is None
    assert str(Accuracy((57.14,), 1000)) == "57.1"


def test_the_images_alone_when_there_is_one_seed():
    assert chance.limit(Accuracy((61.0,), 1000), Accuracy((59.0,), 1000)) == pytest.approx(
        200 * math.sqrt(2 * 0.6 * 0.4 / 1000)
    )


def test_the_seeds_by_welch():
    """So many images that only the seeds are left; degrees of freedom of Welch and Satterthwaite."""
    one, other = (50.0, 52.0, 54.0, 51.0), (49.0, 50.5, 48.0)
    parts = [np.var(x, ddof=1) / len(x) for x in (one, other)]
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 2)
    assert 4 < freedom < 5
    limit = chance.limit(Accuracy(one, 10**12), Accuracy(other, 10**12))
    assert limit == pytest.approx(2.87 * math.sqrt(sum(parts)), rel=1e-6)


def test_variances_of_images_and_seeds_add():
    one, other = Accuracy((60.0, 62.0), 1000), Accuracy((58.0, 60.0), 1000)
    seeds = 4.53 * math.sqrt(2 / 2 + 2 / 2)  # both have the variance 2, and one degree of freedom each makes two
    assert chance.limit(one, other) == pytest.approx(math.hypot(chance.noise(0.6, 1000), seeds))


@pytest.mark.parametrize("values", [(60.0, 60.0), (60.0,) * 20, (55.0, 65.0)])
def test_seeds_never_make_the_limit_smaller_than_that_of_the_images(values):
    assert chance.limit(Accuracy(values, 1000), Accuracy(values, 1000)) >= chance.noise(0.6, 1000)


def test_a_single_run_is_taken_to_spread_like_the_other_row():
    one, other = Accuracy((50.0, 52.0, 54.0), 10**12), Accuracy((50.0,), 10**12)
    limit = 4.53 * 2 * math.sqrt(1 / 3 + 1)
    assert chance.limit(one, other) == pytest.approx(limit, rel=1e-6)
    assert chance.limit(other, one) == pytest.approx(limit, rel=1e-6)


@pytest.mark.parametrize("freedom", range(1, 11))
def test_quantiles_leave_as_much_outside_as_two_standard_deviations(freedom):
    """Student's density, integrated numerically."""
    t = np.linspace(0, chance._student(freedom), 200_001)
    factor = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) / math.sqrt(freedom * math.pi)
    density = factor * (1 + t**2 / freedom) ** (-(freedom + 1) / 2)
    inside = 2 * np.sum((density[1:] + density[:-1]) / 2 * np.diff(t))
    assert inside == pytest.approx(math.erf(math.sqrt(2)), abs=3e-4)


@pytest.mark.parametrize(("freedom", "quantile"), [(1.0, 13.97), (2.99, 4.53), (10.5, 2.28), (1000.0, 2.28)])
def test_degrees_of_freedom_are_rounded_down(freedom, quantile):
    assert chance._student(freedom) == quantile


@pytest.mark.parametrize(
    ("values", "words"),
    [((62.0, 62.1, 61.9), "agrees"), ((59.0, 62.0, 65.0), "cannot tell"), ((58.0, 58.1, 57.9), "disagrees")],
)
def test_the_spread_over_seeds_changes_the_verdict(values, words):
    rows = {"a": Accuracy(values, 100_000), "b": Accuracy((60.0, 60.1, 59.9), 100_000)}
    assert Claim("", "a", "b").verdict(rows).words == words
