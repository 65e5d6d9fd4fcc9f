"""Signs as maps of bits, of a map and of a normalised one; most of it is in the table of all kernels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .strategies import DEPTHS, each_backend, seeds, values


def unpacked(bits, c):
    return np.unpackbits(bits.view(np.uint8), axis=-1, bitorder="little")[..., :c].astype(bool)


@each_backend
@given(st.integers(1, 9), st.sampled_from(DEPTHS), seeds)
def test_the_signs_are_those_of_the_normalised_map(backend, width, c, seed):
    """To the last bit: a packed model normalises with the same roundings."""
    rng = np.random.default_rng(seed)
    x, gamma, beta, mean = values(rng, (2, 3, width, c)), values(rng, c), values(rng, c), values(rng, c)
    var = np.square(values(rng, c))
    y = backend.batch_norm_inference(x, gamma, beta, mean, var, 1e-3)
    bits, within = backend.norm_signs(x, gamma, beta, mean, var, 1e-3)
    np.testing.assert_array_equal(unpacked(bits, c), y < 0)
    np.testing.assert_array_equal(unpacked(within, c), np.abs(y) <= 1)


@each_backend
@pytest.mark.parametrize("pad_value", [0, 1, -1])
def test_the_border_is_the_sign_of_the_pad_value(backend, pad_value):
    bits = backend.signs(np.ones((1, 2, 3, 33)), (2, 1), pad_value)[0]
    assert bits.shape == (1, 6, 5, 2)
    border = np.ones((6, 5), bool)
    border[2:4, 1:4] = False
    expected = [0xFFFFFFFF, 1] if pad_value == -1 else [0, 0]
    np.testing.assert_array_equal(bits[0, border], np.tile(np.array(expected, np.uint32), (24, 1)))
    np.testing.assert_array_equal(bits[0, ~border], np.zeros((6, 2), np.uint32))


@each_backend
@given(st.sampled_from(DEPTHS), seeds)
def test_no_gradient_passes_where_no_bit_is_set(backend, c, seed):
    rng = np.random.default_rng(seed)
    x, grad, ones = values(rng, (2, 3, 4, c)), values(rng, (2, 3, 4, c)), np.ones(c)
    mean, var = backend.batch_statistics(x)
    nothing = np.zeros((2, 3, 4, -(-c // 32)), np.uint32)
    for result in backend.norm_signs_grad(grad, nothing, x, ones, mean, var):
        np.testing.assert_array_equal(result, np.zeros(result.shape))
    everything = ~nothing  # the unused bits too: they mean nothing
    expected = backend.batch_norm_grad(grad, x, ones, mean, var)
    for ours, theirs in zip(backend.norm_signs_grad(grad, everything, x, ones, mean, var), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@each_backend
def test_a_gradient_that_does_not_pass_may_be_anything(backend):
    """What is not a number there does not spread."""
    x = values(np.random.default_rng(0), (1, 2, 2, 3))
    within = np.array([7, 5, 7, 7], np.uint32).reshape(1, 2, 2, 1)
    results = []
    for hidden in (0.0, np.nan, np.inf):
        grad = np.ones_like(x)
        grad[0, 0, 1, 1] = hidden
        results.append(backend.norm_signs_grad(grad, within, x, np.ones(3), np.zeros(3), np.ones(3)))
    for other in results[1:]:
        for ours, theirs in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(ours, theirs)
