"""The grouped convolution and its gradients; the table of kernels compares them with their oracles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk

from .strategies import each_backend, geometries, seeds, values

CALLS = {
    "conv2d": lambda k, x, w, y, groups: k.conv2d(x, w, groups=groups),
    "conv2d_grad_input": lambda k, x, w, y, groups: k.conv2d_grad_input(y, w, x.shape, groups=groups),
    "conv2d_grad_weight": lambda k, x, w, y, groups: k.conv2d_grad_weight(x, y, w.shape, groups=groups),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


@each_backend
@given(geometries(depths=[4, 6, 64]), seeds, st.integers(1, 2), st.sampled_from([1, 2, 5, 40]))
def test_gradients_of_whole_numbers_are_adjoint(backend, g, seed, wide, filters):
    """<conv(x), grad> = <x, grad_input> = <weight, grad_weight>, exactly."""
    rng, groups = np.random.default_rng(seed), g.c // wide
    shape = groups * filters, *g.weight_shape[1:3], wide
    shapes = g.x_shape, shape, (g.n, *g.output_size, shape[0])
    x, weight, grad = (rng.integers(-2, 3, shape).astype(np.float32) for shape in shapes)
    window = g.stride, g.padding, groups
    forward = np.vdot(backend.conv2d(x, weight, *window), grad)
    assert np.vdot(backend.conv2d_grad_input(grad, weight, x.shape, *window), x) == forward
    assert np.vdot(backend.conv2d_grad_weight(x, grad, weight.shape, *window), weight) == forward


@each_backend
@each_call
@pytest.mark.parametrize(
    ("groups", "weight_shape", "message"),
    [
        (0, (6, 3, 3, 2), "groups must be a whole number, at least 1, got 0"),
        (True, (6, 3, 3, 6), "groups must be a whole number, at least 1, got True"),
        (1.0, (6, 3, 3, 6), "groups must be a whole number, at least 1, got 1.0"),
        (3, (7, 3, 3, 2), "7 filters cannot be divided into 3 groups"),
        (3, (6, 3, 3, 6), r"x has 6 channels \(shape \(2, 5, 5, 6\)\), the weights expect 3 groups of 6"),
    ],
)
def test_what_is_refused(backend, call, groups, weight_shape, message):
    x, weight = np.ones((2, 5, 5, 6), np.float32), np.ones(weight_shape, np.float32)
    with pytest.raises(ValueError, match=f"^{message}$"):
        call(backend, x, weight, np.ones((2, 3, 3, weight_shape[0]), np.float32), groups)


@each_backend
@pytest.mark.parametrize("filters", [1, 2, 9])
def test_it_writes_where_it_is_told(backend, filters):
    rng = np.random.default_rng(0)
    x, weight = values(rng, (2, 5, 4, 8)), values(rng, (4 * filters, 3, 3, 2))
    out = np.full((2, 5, 4, 4 * filters), np.nan, np.float32)
    assert backend.conv2d(x, weight, 1, 1, 4, out) is out
    np.testing.assert_array_equal(out, backend.conv2d(x, weight, 1, 1, 4))


@each_backend
@pytest.mark.parametrize(("c", "o"), [(0, 4), (4, 0), (0, 0)])
def test_no_channels_and_no_filters(backend, c, o):
    """A sum of nothing is 0."""
    x, weight = np.ones((2, 4, 4, c), np.float32), np.ones((o, 3, 3, c // 2), np.float32)
    y = backend.conv2d(x, weight, groups=2)
    np.testing.assert_array_equal(y, np.zeros((2, 2, 2, o)))
    np.testing.assert_array_equal(backend.conv2d_grad_input(y, weight, x.shape, groups=2), np.zeros(x.shape))
    assert backend.conv2d_grad_weight(x, y, weight.shape, groups=2).shape == weight.shape


@pytest.mark.compiled
def test_weight_gradients_do_not_lose_a_slice():
    """More lines than slices, and a number that they do not divide."""
    rng = np.random.default_rng(0)
    x, grad = (rng.integers(-3, 4, (3, 13, 11, 37)).astype(np.float32) for _ in range(2))
    ours = bk.conv2d_grad_weight(x, grad, (37, 3, 3, 1), 1, 1, 37)
    np.testing.assert_array_equal(ours, bk.reference.conv2d_grad_weight(x, grad, (37, 3, 3, 1), 1, 1, 37))
