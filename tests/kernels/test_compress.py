"""Gradients of weights in few bits, with error feedback."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk
from binnet_kernels import reference
from naive_quantised import naive_compress

from .strategies import each_backend, seeds, values

shapes = st.one_of(
    st.tuples(st.integers(0, 4), st.sampled_from([1, 3]), st.sampled_from([1, 2]), st.sampled_from([1, 21, 33, 64])),
    st.tuples(st.integers(1, 4), st.sampled_from([1, 31, 32, 33, 65, 500])),
)
all_bits = st.integers(2, 9)


def whole_numbers(packed, n):
    """What the planes stand for (O, n), bit by bit."""
    levels = np.zeros((len(packed), n), np.int64)
    for o, i in np.ndindex(levels.shape):
        sign, *planes = (int(words[i // 64]) >> i % 64 & 1 for words in packed[o])
        levels[o, i] = (1 - 2 * sign) * sum(bit << j for j, bit in enumerate(planes))
    return levels


@each_backend
@given(shapes, seeds, all_bits)
def test_levels_units_and_the_rest_are_those_of_the_loops(backend, shape, seed, bits):
    rng = np.random.default_rng(seed)
    size = rng.choice(np.array([1, 1e-20, 1e-38, 1e30], np.float32), (shape[0], *(1,) * (len(shape) - 1)))
    grad, error = (values(rng, shape, [0.0, -0.0, 1.0]) * size for _ in range(2))
    rows = len(grad), math.prod(shape[1:])
    levels, units, left = naive_compress(grad.reshape(rows), error.reshape(rows), bits)
    packed, unit = backend.compress_gradient(grad, error, bits)
    assert (packed.dtype, packed.shape) == (np.uint64, (rows[0], bits, -(-rows[1] // 64)))
    np.testing.assert_array_equal(whole_numbers(packed, rows[1]), levels)
    np.testing.assert_array_equal(unit, units)
    np.testing.assert_array_equal(error.reshape(rows), left)
    out = np.full(shape, 7, np.float32)
    assert backend.expand_gradient(packed, unit, out) is out
    np.testing.assert_array_equal(out.reshape(rows), levels.astype(np.float32) * units[:, None])


@given(shapes, seeds, all_bits)
def test_both_backends_send_the_same_bits(shape, seed, bits):
    rng = np.random.default_rng(seed)
    grad, errors = values(rng, shape), [values(rng, shape)] * 2
    errors = [error.copy() for error in errors]
    ours, theirs = (k.compress_gradient(grad, e, bits) for k, e in zip((bk, reference), errors, strict=True))
    for mine, other in zip((*ours, errors[0]), (*theirs, errors[1]), strict=True):
        assert mine.tobytes() == other.tobytes()


@each_backend
@given(seeds, st.integers(1, 5))
def test_filters_do_not_depend_on_each_other(backend, seed, o):
    """A worker may compress all filters, or some of them."""
    rng = np.random.default_rng(seed)
    grad, error = values(rng, (o, 3, 3, 5)), values(rng, (o, 3, 3, 5))
    alone, cut = error.copy(), seed % (o + 1)
    packed, unit = backend.compress_gradient(grad, error)
    for part in (np.s_[:cut], np.s_[cut:]):
        some = backend.compress_gradient(grad[part], alone[part])
        np.testing.assert_array_equal(some[0], packed[part])
        np.testing.assert_array_equal(some[1], unit[part])
    np.testing.assert_array_equal(alone, error)


@each_backend
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_what_is_left_stays_small(backend, bits):
    """What was sent adds up to all gradients but for the rest, and the rest does not grow."""
    rng = np.random.default_rng(0)
    error, sent, given_ = np.zeros((3, 400), np.float32), np.zeros((3, 400)), np.zeros((3, 400))
    out, mean = np.empty_like(error), 0.5 * values(rng, error.shape)
    for _ in range(100):
        grad = mean + values(rng, error.shape)
        given_ += grad
        sent += backend.expand_gradient(*backend.compress_gradient(grad, error, bits), out)
    np.testing.assert_allclose(sent + error, given_, atol=1e-3)
    assert np.sqrt(np.square(error).mean()) < 1.5 / (2 ** (bits - 1) - 1)


@each_backend
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_spoils_its_filter(backend, bad):
    grad = values(np.random.default_rng(0), (3, 40))
    grad[1, 7] = bad
    with np.errstate(invalid="ignore"):
        packed, unit = backend.compress_gradient(grad, np.zeros_like(grad))
    out = backend.expand_gradient(packed, unit, np.zeros_like(grad))
    assert np.isnan(out).all(axis=1).tolist() == [False, True, False]
    assert np.isfinite(out[[0, 2]]).all()


@each_backend
def test_very_small_gradients_wait(backend):
    """Too small for a unit: nothing is sent, and all is left."""
    grad, error = np.full((1, 5), 1e-38, np.float32), np.zeros((1, 5), np.float32)
    packed, unit = backend.compress_gradient(grad, error)
    assert (packed[:, 1:].any(), unit.tolist()) == (False, [0])
    np.testing.assert_array_equal(error, grad)


@each_backend
@pytest.mark.parametrize("bits", [1, 10, 2.0, True, None])
def test_bits(backend, bits):
    with pytest.raises(ValueError, match=f"bits must be a whole number (from 2 to 9|of at least 2), got {bits!r}"):
        backend.compress_gradient(np.ones((2, 3)), np.zeros((2, 3), np.float32), bits)


@each_backend
def test_arguments(backend):
    grad, error = np.ones((2, 65), np.float32), np.zeros((2, 65), np.float32)
    with pytest.raises(TypeError, match="error is changed in place and must be a float32 array"):
        backend.compress_gradient(grad, error.astype(np.float64))
    with pytest.raises(ValueError, match=r"error must have shape \(2, 65\), got \(2, 64\)"):
        backend.compress_gradient(grad, error[:, 1:].copy())
    with pytest.raises(ValueError, match="error is changed in place and must be C-contiguous"):
        backend.compress_gradient(grad, np.zeros((2, 130), np.float32)[:, ::2])
    with pytest.raises(ValueError, match="weight must be"):
        backend.compress_gradient(grad[0], error[0])
    packed, unit = backend.compress_gradient(grad, error)
    with pytest.raises(ValueError, match=r"packed must end in ceil\(64/64\) = 1 words"):
        backend.expand_gradient(packed, unit, error[:, 1:].copy())
    with pytest.raises(
        ValueError, match=r"packed must be \(2, 2 to 9 bits, words\) for this out, got shape \(1, 2, 2\)"
    ):
        backend.expand_gradient(packed[:1], unit, error)
    with pytest.raises(ValueError, match=r"unit must have shape \(2,\), got \(1,\)"):
        backend.expand_gradient(packed, unit[:1], error)
