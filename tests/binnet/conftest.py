"""Fixtures of the differentiable half."""

import numpy as np
import pytest

import binnet


@pytest.fixture(params=["fast", "reference"])
def backend(request):
    """Run the test with each of the two backends."""
    with binnet.use_backend(request.param):
        yield request.param


@pytest.fixture
def rng():
    """A generator of the test's own."""
    return np.random.default_rng(7)


@pytest.fixture
def leaf(rng):
    """Make a tensor that requires a gradient, from its shape."""

    def make(*shape, scale=1.0):
        return binnet.Tensor(scale * rng.standard_normal(shape), requires_grad=True)

    return make
