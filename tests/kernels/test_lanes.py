"""Vectors of 32 lanes: each operation against NumPy, and no byte touched outside the lanes that are chosen."""

import numpy as np
import pytest

from binnet_kernels.simd import lanes
from binnet_kernels.simd.jit import helper
from binnet_kernels.simd.vector import sum_lanes

X = np.random.default_rng(0).standard_normal(80).astype(np.float32)
X[::7], X[3], X[20], X[30:34] = -0.0, np.nan, -np.inf, [1, -1, np.inf, np.nextafter(np.float32(1), np.float32(2))]
KEEP = [1, 2, 31, 32, 33, 100]


@helper
def _copy(source, target, keep):
    some = lanes.first_lanes(keep)
    lanes.store_lanes(target, 2, lanes.load_lanes(source, 3, some), some)


@helper
def _arithmetic(x, out):
    a, b = lanes.load_lanes(x, 0, lanes.ALL), lanes.load_lanes(x, 32, lanes.ALL)
    c = lanes.all_lanes(np.float32(2)) * (a - b)
    lanes.store_lanes(out, 0, lanes.multiply_add(lanes.widened(c), lanes.widened(a), lanes.widened(b)), lanes.ALL)


@helper
def _roots(x, out):
    a, b = lanes.load_lanes(x, 0, lanes.ALL), lanes.load_lanes(x, 32, lanes.ALL)
    turned = lanes.negated_where(lanes.square_root(lanes.magnitude(a)) / b, lanes.negative(a))
    lanes.store_lanes(out, 0, lanes.clamped(turned, lanes.all_lanes(np.float32(0.75))), lanes.ALL)


@helper
def _sum_of_magnitudes(x, n):
    total = lanes.all_lanes(np.float64(0))
    for i in range(0, n, lanes.WIDTH):
        total = total + lanes.widened(lanes.magnitude(lanes.load_lanes(x, i, lanes.first_lanes(n - i))))
    return sum_lanes(total)


@helper
def _questions(x, start):
    a = lanes.load_lanes(x, start, lanes.ALL)
    return lanes.negative(a), lanes.positive(a), lanes.within_one(a)


@helper
def _zero_unless(x, out, chosen):
    lanes.store_lanes(out, 0, lanes.zero_unless(lanes.load_lanes(x, 0, lanes.ALL), chosen), lanes.ALL)


@helper
def _compare(x, out, numbers):
    a, b = lanes.load_all(x, 0), lanes.load_all(x, 32)
    better = lanes.beats(a, b)
    lanes.store_all(out, 1, lanes.either(a, b, better))
    chosen = lanes.either(lanes.all_lanes(np.uint16(40000)), lanes.load_all(numbers, 3), better)
    lanes.store_all(numbers, 3, chosen)
    return better, lanes.equal(chosen, np.uint16(40000))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keep", KEEP)
def test_only_the_chosen_lanes_are_copied(keep, dtype):
    source, target = X.astype(dtype), np.full(40, 9, dtype)
    _copy(source, target, keep)
    expected = np.full(40, 9, dtype)
    expected[2 : 2 + min(keep, 32)] = source[3 : 3 + min(keep, 32)]
    assert target.tobytes() == expected.tobytes()


def test_arithmetic():
    x, out = np.round(np.nan_to_num(X, posinf=5, neginf=-5) * 8), np.zeros(32)
    _arithmetic(x, out)
    np.testing.assert_array_equal(out, 2 * (x[:32] - x[32:64]) * x[:32] + x[32:64])


def test_roots_and_limits():
    """NaN is within no limits and stays."""
    x, out = np.where(np.isinf(X), 3, X), np.zeros(32, np.float32)
    x[32:64] = np.where(x[32:64] == 0, 1, x[32:64])
    _roots(x, out)
    a, b = x[:32], x[32:64]
    expected = np.clip(np.where(a < 0, -1, 1) * (np.sqrt(np.abs(a)) / b), -0.75, 0.75)
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 163])
def test_sums_lose_nothing(n):
    mixed = np.where(np.arange(199) % 2, np.arange(199), -(2**25)).astype(np.float32)
    assert _sum_of_magnitudes(mixed, n) == np.abs(mixed[:n].astype(np.float64)).sum()


@pytest.mark.parametrize("start", [0, 5, 40])
def test_questions(start):
    """NaN answers no, and so does a zero of either sign when it is asked for its sign."""
    a = X[start : start + 32]
    for bits, truth in zip(_questions(X, start), (a < 0, a > 0, np.abs(a) <= 1), strict=True):
        assert int(bits) == sum(1 << i for i in np.flatnonzero(truth).tolist())


@pytest.mark.parametrize("chosen", [0, 1, 0x80000000, 0xFFFFFFFF, 0x12345678])
def test_zero_unless(chosen):
    out = np.full(32, 9, np.float32)
    _zero_unless(X, out, np.uint32(chosen))
    kept = np.array([chosen >> i & 1 for i in range(32)], bool)
    np.testing.assert_array_equal(out, np.where(kept, X[:32], 0))


def test_the_first_nan_beats_all():
    """And nothing beats it; a zero does not beat a zero of the other sign."""
    x, out, numbers = X[:64].copy(), np.full(34, 9, np.float32), np.arange(38, dtype=np.uint16)
    x[5:8], x[37:40] = [np.nan, np.nan, 1], [1, np.nan, np.nan]
    better, again = _compare(x, out, numbers)
    a, b = x[:32], x[32:]
    truth = (a > b) | (np.isnan(a) & ~np.isnan(b))
    assert truth[5:8].tolist() == [True, False, False]
    assert int(better) == int(again) == sum(1 << i for i in np.flatnonzero(truth).tolist())
    assert out.tobytes() == np.concatenate([[9], np.where(truth, a, b), [9]]).astype(np.float32).tobytes()
    expected = np.arange(38)
    expected[3:35][truth] = 40000
    np.testing.assert_array_equal(numbers, expected)
