"""The rules of optimisers: what they refuse. What they compute is in the table of all kernels."""

import numpy as np
import pytest

from .strategies import each_backend

SHAPE = (3, 5)
RULES = {
    "adam_update": ({"weight": 1, "grad": 1, "mean": 0, "square": 0}, {"step": 1, "lr": 0.1}),
    "sgd_update": ({"weight": 1, "grad": 1, "velocity": 0}, {"lr": 0.1}),
}
each_rule = pytest.mark.parametrize("name", RULES)
IN_PLACE = [(name, key) for name, (arrays, _) in RULES.items() for key in arrays if key != "grad"]


def call(backend, name, **spoilt):
    arrays, numbers = RULES[name]
    full = {key: np.full(SHAPE, value, np.float32) for key, value in arrays.items()}
    arguments = {**full, **numbers, **spoilt}
    getattr(backend, name)(**arguments)
    return arguments


@each_backend
@each_rule
def test_a_first_step_goes_against_the_gradient(backend, name):
    """Adam's first step is as long as the learning rate, whatever the gradient; descent's is lr times gradient."""
    weight = call(backend, name, grad=np.full(SHAPE, 4.0))["weight"]
    expected = 0.9 if name.startswith("adam") else 0.6
    np.testing.assert_allclose(weight, np.full(SHAPE, expected), rtol=1e-6)


@each_backend
@each_rule
def test_nan_stays(backend, name):
    grad = np.zeros(SHAPE)
    grad[1, 2] = np.nan
    weight = call(backend, name, grad=grad, clip=0.5)["weight"]
    np.testing.assert_array_equal(np.isnan(weight), np.isnan(grad))
    assert np.nanmax(weight) == 0.5


@each_backend
@pytest.mark.parametrize(("name", "key"), IN_PLACE)
def test_what_is_changed_must_be_a_float32_array(backend, name, key):
    for value in (np.ones(SHAPE), np.ones(SHAPE, int), [[1.0] * 5] * 3):
        with pytest.raises(TypeError, match=f"^{key} is changed in place and must be a float32 array, got "):
            call(backend, name, **{key: value})


@each_backend
@pytest.mark.parametrize(("name", "key"), IN_PLACE)
def test_what_is_changed_must_be_contiguous_and_writeable(backend, name, key):
    read_only = np.ones(SHAPE, np.float32)
    read_only.flags.writeable = False
    for value in (np.ones((3, 10), np.float32)[:, ::2], np.ones((5, 3), np.float32).T, read_only):
        with pytest.raises(ValueError, match=f"^{key} is changed in place and must be C-contiguous and writeable"):
            call(backend, name, **{key: value})


@each_backend
@pytest.mark.parametrize(("name", "key"), [(n, k) for n, k in IN_PLACE if k != "weight"])
def test_moments_have_the_shape_of_the_weights(backend, name, key):
    with pytest.raises(ValueError, match=rf"^{key} must have shape \(3, 5\), got \(3, 4\)"):
        call(backend, name, **{key: np.ones((3, 4), np.float32)})


@each_backend
@each_rule
def test_the_gradient_has_the_shape_of_the_weights(backend, name):
    with pytest.raises(ValueError, match=r"^grad must have shape \(3, 5\), got \(3, 4\)"):
        call(backend, name, grad=np.ones((3, 4)))


@each_backend
def test_steps_are_counted_from_one(backend):
    with pytest.raises(ValueError, match=r"^step must be at least 1, got 0"):
        call(backend, "adam_update", step=0)
