"""The rules of optimisers: what they refuse. What they compute is in the table of all kernels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .strategies import each_backend, seeds, values

SHAPE = (3, 5)
RULES = {
    "adam_update": ({"weight": 1, "grad": 1, "mean": 0, "square": 0}, {"step": 1, "lr": 0.1}),
    "sgd_update": ({"weight": 1, "grad": 1, "velocity": 0}, {"lr": 0.1}),
    "adam_update_filters": (
        {"weight": 1, "grad_hat": 1, "mean": 0, "square": 0},
        {"alpha": np.ones(3), "step": 1, "lr": 0.1, "rule": "plain"},
    ),
    "sgd_update_filters": (
        {"weight": 1, "grad_hat": 1, "velocity": 0},
        {"alpha": np.ones(3), "lr": 0.1, "rule": "plain"},
    ),
}
FILTERS = [name for name in RULES if name.endswith("filters")]
each_rule = pytest.mark.parametrize("name", RULES)
IN_PLACE = [(name, key) for name, (arrays, _) in RULES.items() for key in arrays if not key.startswith("grad")]


def gradient(name):
    return "grad_hat" if name in FILTERS else "grad"


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
    weight = call(backend, name, **{gradient(name): np.full(SHAPE, 4.0)})["weight"]
    expected = 0.9 if name.startswith("adam") else 0.6
    np.testing.assert_allclose(weight, np.full(SHAPE, expected), rtol=1e-6)


@each_backend
@each_rule
def test_nan_stays(backend, name):
    grad = np.zeros(SHAPE)
    grad[1, 2] = np.nan
    weight = call(backend, name, **{gradient(name): grad}, clip=0.5)["weight"]
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
    with pytest.raises(ValueError, match=rf"^{gradient(name)} must have shape \(3, 5\), got \(3, 4\)"):
        call(backend, name, **{gradient(name): np.ones((3, 4))})


@each_backend
@pytest.mark.parametrize("name", ["adam_update", "adam_update_filters"])
def test_steps_are_counted_from_one(backend, name):
    with pytest.raises(ValueError, match=r"^step must be at least 1, got 0"):
        call(backend, name, step=0)


@each_backend
@pytest.mark.parametrize("name", FILTERS)
@given(st.sampled_from([(1, 1), (7, 31), (3, 2, 3, 65), (9, 3, 3, 33), (5, 1, 1, 64)]), seeds)
def test_scales_and_signs_are_those_of_the_new_weights(backend, name, shape, seed):
    """To the last bit, so that a packed model computes with the same ones."""
    rng = np.random.default_rng(seed)
    arrays, numbers = RULES[name]
    arguments = {key: np.abs(values(rng, shape, [0.0])) for key in arrays}
    arguments["weight"] = values(rng, shape, [0.0, -0.0, 0.1])
    alpha, signs = getattr(backend, name)(**arguments, **{**numbers, "alpha": values(rng, shape[0])})
    np.testing.assert_array_equal(alpha, backend.weight_alpha(arguments["weight"]))
    np.testing.assert_array_equal(signs, backend.pack_signs(arguments["weight"]))
    assert (alpha.dtype, signs.dtype) == (np.float32, np.uint64)


@each_backend
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("rule", ["exact", "paper", "plain"])
def test_the_rule_is_applied_on_the_way(backend, name, rule):
    """As if the gradient of the real weights had been written down."""
    rng, (arrays, numbers) = np.random.default_rng(0), RULES[name]
    arguments = {key: np.abs(values(rng, (6, 3, 3, 40))) for key in arrays}
    arguments |= {key: values(rng, (6, 3, 3, 40)) for key in ("weight", "grad_hat")}
    alpha = backend.weight_alpha(arguments["weight"])
    apart = {key: array.copy() for key, array in arguments.items()}
    apart["grad_hat"] = backend.weight_gradient(apart["grad_hat"], apart["weight"], alpha, rule)
    getattr(backend, name)(**arguments, **{**numbers, "alpha": alpha, "rule": rule})
    getattr(backend, name)(**apart, **{**numbers, "alpha": alpha, "rule": "plain"})
    for key in set(arrays) - {"grad_hat"}:
        np.testing.assert_array_equal(arguments[key], apart[key])


@each_backend
@pytest.mark.parametrize("name", FILTERS)
def test_what_filters_are_asked(backend, name):
    with pytest.raises(ValueError, match=r"^alpha must have shape \(3,\), got \(5,\)"):
        call(backend, name, alpha=np.ones(5))
    with pytest.raises(ValueError, match=r"^unknown weight_gradient 'best';"):
        call(backend, name, rule="best")


@each_backend
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("rule", ["exact", "paper", "plain"])
def test_the_gradient_of_the_real_weights_can_be_kept(backend, name, rule):
    rng = np.random.default_rng(4)
    arrays, numbers = RULES[name]
    arguments = {key: np.abs(values(rng, (5, 3, 2, 33), [0.0])) for key in arrays}
    arguments |= {"weight": values(rng, (5, 3, 2, 33), [0.0, -0.0, 1.5]), **numbers, "rule": rule}
    arguments["alpha"] = values(rng, 5)
    both = [{k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()} for _ in range(2)]
    results = [getattr(backend, name)(**one, keep=keep) for one, keep in zip(both, (False, True), strict=True)]
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(both[0]["weight"], both[1]["weight"])
    np.testing.assert_array_equal(both[0]["grad_hat"], arguments["grad_hat"])
    expected = backend.weight_gradient(*(arguments[key] for key in ("grad_hat", "weight", "alpha", "rule")))
    np.testing.assert_array_equal(both[1]["grad_hat"], expected)
    with pytest.raises(TypeError, match=r"^grad_hat is changed in place"):
        getattr(backend, name)(**{**arguments, "grad_hat": np.ones((5, 3, 2, 33))}, keep=True)
