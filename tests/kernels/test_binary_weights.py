"""Signs and scales of real weights, and the weights that stand for them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk
import naive

from .strategies import each_backend, seeds, values

shapes = st.one_of(
    st.tuples(st.integers(0, 4), st.sampled_from([1, 3]), st.sampled_from([1, 2, 3]), st.sampled_from([1, 21, 33, 64])),
    st.tuples(st.integers(1, 4), st.sampled_from([1, 2, 31, 32, 33, 64, 65, 1000])),
)
# Sizes at which a sum of float32 numbers would round or overflow, and the mean may vanish.
SIZES = [1.0, 1e-45, 3e-45, 1e-39, 1e30, 3e38, 0.1]
SPECIALS = [0.0, -0.0, 1e-45, -1e-45, np.inf, -np.inf]


def weights(shape, seed):
    """Filters of very different sizes, some with mostly zeros, some with infinities."""
    rng = np.random.default_rng(seed)
    w = np.clip(values(rng, shape), -1, 1) * rng.choice(np.array(SIZES), (shape[0], *(1,) * (len(shape) - 1)))
    few = rng.random(shape) < rng.random()
    w[few] = rng.choice(np.array(SPECIALS[: 4 if seed % 3 else 6]), few.sum())
    return w.astype(np.float32)


@each_backend
@given(shapes, seeds)
def test_signs_and_scales_are_those_of_two_calls(backend, shape, seed):
    w = weights(shape, seed)
    signs, alpha = backend.binary_weights(w)
    assert (signs.dtype, alpha.dtype) == (np.uint64, np.float32)
    np.testing.assert_array_equal(signs, naive.naive_pack_signs(w.reshape(len(w), math.prod(shape[1:]))))
    assert alpha.tobytes() == backend.weight_alpha(w).tobytes()


@each_backend
@given(shapes, seeds)
def test_what_stands_in_has_the_same_signs_and_scales(backend, shape, seed):
    w = weights(shape, seed)
    signs, alpha = backend.binary_weights(w)
    out = np.full(shape, 7, np.float32)
    assert backend.stand_in(signs, alpha, out) is out
    again = backend.binary_weights(out)
    np.testing.assert_array_equal(again[0], signs)
    assert again[1].tobytes() == alpha.tobytes()
    # A layer that does not know reads the same from it, in either backend.
    assert bk.reference.weight_alpha(out).tobytes() == bk.weight_alpha(out).tobytes() == alpha.tobytes()
    usual = (alpha > 0) & np.isfinite(alpha)
    for o in np.flatnonzero(usual):
        np.testing.assert_array_equal(out[o], naive.naive_sign(w[o]) * alpha[o])


def trained(backend, first, last, w, grad, moments):
    """All that a step does with some of the filters."""
    w, grad, mean, square = (a[first:last].copy() for a in (w, grad, *moments))
    signs, alpha = backend.binary_weights(w)
    by_rule = backend.weight_gradient(grad, w, alpha)
    hat, of_alpha = backend.weight_hat(w, alpha), backend.grad_alpha(grad, w)
    backend.adam_update(w, by_rule, mean, square, 3, 0.01)
    backend.sgd_update(hat, by_rule, mean.copy(), 0.01)
    return signs, alpha, by_rule, hat, of_alpha, w, mean, square, backend.stand_in(signs, alpha, np.empty_like(w))


@each_backend
@given(shapes, seeds)
def test_filters_do_not_depend_on_each_other(backend, shape, seed):
    """A worker may update some of the filters, and gets the bits that one for all of them gets."""
    rng = np.random.default_rng(seed)
    arrays = values(rng, shape), values(rng, shape), (values(rng, shape), np.abs(values(rng, shape)))
    whole, cut = trained(backend, 0, shape[0], *arrays), seed % (shape[0] + 1)
    for first, last in ((0, cut), (cut, shape[0])):
        for ours, theirs in zip(trained(backend, first, last, *arrays), whole, strict=True):
            np.testing.assert_array_equal(ours, theirs[first:last])


@each_backend
def test_a_mean_that_vanishes_keeps_its_signs(backend):
    """Half of the smallest subnormal number rounds to 0."""
    w = np.zeros((2, 64), np.float32)
    w[0, ::2], w[1] = -(2.0**-149), -0.0
    signs, alpha = backend.binary_weights(w)
    assert alpha.tolist() == [0, 0]
    out = backend.stand_in(signs, alpha, np.ones_like(w))
    np.testing.assert_array_equal(out, w)
    np.testing.assert_array_equal(backend.binary_weights(out)[0], signs)


@each_backend
def test_weights_that_are_no_number(backend):
    """NaN counts as +1; the scale is NaN, and the signs of the others stay."""
    w = np.array([[np.nan, -2, 3], [1, -1, 1]], np.float32)
    signs, alpha = backend.binary_weights(w)
    again = backend.binary_weights(backend.stand_in(signs, alpha, np.ones_like(w)))
    np.testing.assert_array_equal(again[0], signs)
    np.testing.assert_array_equal(again[1], [np.nan, 1])


@each_backend
def test_arguments_of_a_stand_in(backend):
    signs, alpha = backend.binary_weights(np.ones((2, 3, 3, 8)))
    with pytest.raises(ValueError, match=r"signs must end in ceil\(64/64\) = 1 words"):
        backend.stand_in(signs, alpha, np.ones((2, 64), np.float32))
    out = np.ones((3, 72), np.float32)
    with pytest.raises(ValueError, match="signs must have 3 rows, one for each filter of out, got 2"):
        backend.stand_in(signs, alpha, out)
    with pytest.raises(ValueError, match=r"alpha must have shape \(2,\), got \(3,\)"):
        backend.stand_in(signs, np.ones(3), out[:2])
    with pytest.raises(TypeError, match="signs must be an array of uint64 words"):
        backend.stand_in(signs.astype(np.int64), alpha, out[:2])
    with pytest.raises(ValueError, match="out must be a writeable, C-contiguous float32 array"):
        backend.stand_in(signs, alpha, np.ones((2, 72)))
