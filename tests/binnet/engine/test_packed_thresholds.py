"""Thresholds: comparing with them says for every number what the whole chain of steps would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet.engine.thresholds import cut, is_rising, limits
from binnet.graph import BatchNorm, Relu, Sign

C = 24
VALUES = [0.0, -0.0, np.inf, -np.inf, np.nan, 3.4e38, -3.4e38, 1e-45, -1e-45, 1.0, -1.0]
NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 1e-42, -1e-30, 1e-3, 0.7, -5.0, 300.0, 1e20, -3e38, 3e38])
VECTORS = st.lists(NUMBERS, min_size=C, max_size=C).map(np.float32)
NORMS = st.builds(BatchNorm, st.just("n"), st.just(("x",)), VECTORS, VECTORS, VECTORS)
# A sign comes last, if at all: it makes +1 of NaN.
CHAINS = st.builds(
    lambda steps, last: [*steps, *last],
    st.lists(st.one_of(NORMS, st.just(Relu("r", ("x",)))), max_size=4),
    st.sampled_from([[], [Sign("s", ("x",))]]),
)


def run(chain, x):
    with np.errstate(all="ignore"):
        for step in chain:
            x = step.compute(x)
    return x


def applied(chain):
    return [step.compute for step in chain]


@given(CHAINS, st.integers(0, 2**32 - 1))
def test_every_float_is_on_the_right_side(chain, seed):
    low, high = limits(applied(chain), C)
    assert low.dtype == high.dtype == np.float32
    bits = np.random.default_rng(seed).integers(0, 2**32, (50, C), dtype=np.uint32)
    tests = [*bits.view(np.float32), *(np.full(C, v, np.float32) for v in VALUES)]
    for limit in (low, high):  # and the neighbours of the limits themselves
        with np.errstate(over="ignore"):
            tests += [limit, *(np.nextafter(limit, np.float32(end)) for end in (np.inf, -np.inf))]
    for x in tests:
        np.testing.assert_array_equal((low <= x) & (x <= high), run(chain, x) < 0, err_msg=str(x))


def test_without_steps_it_is_the_sign():
    low, high = limits([], 2)
    np.testing.assert_array_equal(low, np.float32([-np.inf] * 2))
    np.testing.assert_array_equal(high, np.float32([-1e-45] * 2))


def test_a_factor_of_zero_is_its_shift_for_all_finite_numbers():
    zero = np.zeros(3, np.float32)
    low, high = limits([BatchNorm("n", ("x",), zero, zero, np.float32([-1, 0, 1])).compute], 3)
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(low, np.float32([-largest, np.inf, np.inf]))
    np.testing.assert_array_equal(high, np.float32([largest, -np.inf, -np.inf]))


SMALL = st.lists(st.sampled_from([0.0, 1.0, -1.0, 0.3, -0.3, 7.0, -40.0, 1e-3]), min_size=C, max_size=C).map(np.float32)
SMALL_NORMS = st.builds(BatchNorm, st.just("n"), st.just(("x",)), SMALL, SMALL, SMALL)
SMALL_CHAINS = st.lists(st.one_of(SMALL_NORMS, st.just(Relu("r", ("x",))), st.just(Sign("s", ("x",)))), max_size=4)


@given(SMALL_CHAINS, st.sampled_from([1, 2, 9, 40]))
def test_every_dot_product_is_on_the_right_side(chain, n):
    threshold = cut(applied(chain), n, C)
    assert threshold is not None
    for d in range(-n, n + 1):
        negative = np.where(threshold.below, d <= threshold.most, d > threshold.most)
        np.testing.assert_array_equal(negative, run(chain, np.full(C, d, np.float32)) < 0, err_msg=str(d))


@given(SMALL_CHAINS, st.sampled_from([1, 9]))
def test_chains_rise_or_fall(chain, n):
    results = np.stack([run(chain, np.full(C, d, np.float32)) for d in range(-n, n + 1)])
    rising = is_rising(applied(chain), n, C)
    steps = np.diff(results, axis=0)
    assert ((steps >= 0) | ~rising).all()
    assert ((steps <= 0) | rising).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e37])
def test_no_threshold_where_a_value_is_not_finite(bad):
    ones = np.ones(2, np.float32)
    chain = [BatchNorm("n", ("x",), ones, np.float32([1, bad]), ones)]
    assert cut(applied(chain), 100, 2) is None
