"""Convolutions of packed signs and their float gradients: nothing but the bits may differ from the float ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk
from binnet_kernels.checks import Window, fresh
from binnet_kernels.compiled.backward.gather import FIELDS, strips
from binnet_kernels.compiled.backward.grad_input import _parts
from naive import naive_pack_map, naive_sign, output_size, pad_image, pair

from .strategies import SIGN_SPECIALS, each_backend, geometries, seeds, values

pad_values = st.sampled_from([0, 1, -1])


def draw(g, seed, pad_value=0):
    """x, weights, whole gradients of the output, and x as a map of bits."""
    rng = np.random.default_rng(seed)
    x, weight = values(rng, g.x_shape, SIGN_SPECIALS), values(rng, g.weight_shape, [0.0, -0.0])
    grad = rng.integers(-3, 4, (g.n, *g.output_size, g.o)).astype(np.float32)
    return x, weight, grad, naive_pack_map(x, g.padding, pad_value)


@each_backend
@given(geometries(), seeds, pad_values, st.booleans())
def test_bits_convolve_like_the_images_they_come_from(backend, g, seed, pad_value, relu):
    x, weight, _, bits = draw(g, seed, pad_value)
    plan = backend.XnorConv2d(weight, g.stride, g.padding, pad_value, bias=values(np.random.default_rng(seed), g.o))
    y = plan(x)
    expected = np.where(y < 0, 0, y) if relu else y
    np.testing.assert_array_equal(plan.convolve_bits(bits, g.x_shape, relu), expected)


@given(geometries(), seeds, pad_values)
def test_bits_are_what_a_plan_packs(g, seed, pad_value):
    x, weight, _, bits = draw(g, seed, pad_value)
    plan = bk.XnorConv2d(weight, g.stride, g.padding, pad_value)
    np.testing.assert_array_equal(plan._form.pack(x, *g.output_size)[0], bits.ravel())


@each_backend
@given(geometries(), seeds, pad_values)
def test_weight_gradient_is_that_of_the_signs(backend, g, seed, pad_value):
    x, _, grad, bits = draw(g, seed, pad_value)
    signs = pad_image(naive_sign(x), g.padding, pad_value)
    result = backend.sign_grad_weight(bits, grad, g.weight_shape, g.x_shape, g.stride, g.padding, pad_value)
    np.testing.assert_array_equal(result, backend.conv2d_grad_weight(signs, grad, g.weight_shape, g.stride))


@each_backend
@given(geometries(), seeds)
def test_input_gradient_is_that_of_weight_hat(backend, g, seed):
    _, weight, grad, _ = draw(g, seed)
    alpha = np.random.default_rng(seed).integers(-3, 4, g.o)
    result = backend.sign_grad_input(grad, backend.pack_signs(weight), alpha, g.x_shape, g.stride, g.padding)
    hat = backend.weight_hat(weight, alpha)
    np.testing.assert_array_equal(result, backend.conv2d_grad_input(grad, hat, g.x_shape, g.stride, g.padding))


@each_backend
@given(geometries(), seeds)
def test_a_border_of_zero_has_no_bits(backend, g, seed):
    """They may be anything."""
    _, _, grad, bits = draw(g, seed)
    ph, pw = pair(g.padding)
    spoilt = np.random.default_rng(seed).integers(0, 2**32, bits.shape, np.uint32)
    inside = np.s_[:, ph : ph + g.h, pw : pw + g.w]
    spoilt[inside] = bits[inside]
    shapes = g.weight_shape, g.x_shape, g.stride, g.padding
    results = [backend.sign_grad_weight(b, grad, *shapes) for b in (bits, spoilt)]
    np.testing.assert_array_equal(*results)


@each_backend
@given(geometries(), seeds)
def test_written_where_asked(backend, g, seed):
    x, weight, grad, bits = draw(g, seed)
    steps = {"stride": g.stride, "padding": g.padding}
    plan, signs, ones = backend.XnorConv2d(weight, **steps), backend.pack_signs(weight), np.ones(g.o)
    for call, shape in (
        (lambda **o: plan.convolve_bits(bits, g.x_shape, **o), grad.shape),
        (lambda **o: backend.sign_grad_weight(bits, grad, g.weight_shape, g.x_shape, **steps, **o), weight.shape),
        (lambda **o: backend.sign_grad_input(grad, signs, ones, g.x_shape, **steps, **o), x.shape),
        (lambda **o: backend.conv2d_grad_weight(np.ones_like(x), grad, g.weight_shape, **steps, **o), weight.shape),
        (lambda **o: backend.conv2d_grad_input(grad, np.ones_like(weight), g.x_shape, **steps, **o), x.shape),
    ):
        out = np.full(shape, np.nan, np.float32)
        assert call(out=out) is out
        np.testing.assert_array_equal(out, call())


@each_backend
def test_bits_do_not_tell_k(backend):
    plan = backend.XnorConv2d(np.ones((2, 1, 1, 3)), use_k=True)
    with pytest.raises(ValueError, match=r"^K cannot be computed from signs"):
        plan.convolve_bits(np.zeros((1, 2, 2, 1), np.uint32), (1, 2, 2, 3))


@each_backend
def test_what_are_no_planes(backend):
    x_shape, plan = (1, 2, 2, 3), backend.KbitConv2d(np.ones((7, 3, 3, 3)), 2, 2, padding=1)
    with pytest.raises(ValueError, match=r"^bits must have shape \(2, 1, 4, 4, 1\), got"):
        plan.convolve_bits(np.zeros((3, 1, 4, 4, 1), np.uint32), x_shape)
    for number in (0, 9):
        planes = np.zeros((number, 1, 4, 4, 1), np.uint32)
        with pytest.raises(ValueError, match=rf"^number of planes must be a whole number from 1 to 8, got {number}"):
            backend.level_grad_weight(planes, np.ones((1, 2, 2, 7)), (7, 3, 3, 3), x_shape, 1, 1)
    with pytest.raises(ValueError, match=r"^K cannot be computed from signs"):
        backend.KbitConv2d(np.ones((2, 1, 1, 3)), 1, 2, use_k=True).convolve_bits(planes, x_shape)
    for bits in (0, 9, True):
        with pytest.raises(ValueError, match=r"^bits must be a whole number from 1 to 8"):
            backend.level_planes(np.ones(x_shape), bits)


@each_backend
@pytest.mark.parametrize(
    ("bits", "x_shape", "error", "message"),
    [
        (
            np.zeros((1, 4, 4, 1), np.int32),
            (1, 2, 2, 3),
            TypeError,
            r"^bits must be an array of uint32 half words, got",
        ),
        (np.zeros((1, 4, 4, 2), np.uint32), (1, 2, 2, 3), ValueError, r"^bits must have shape \(1, 4, 4, 1\), got"),
        (np.zeros((1, 2, 2, 1), np.uint32), (1, 2, 2, 3), ValueError, r"^bits must have shape \(1, 4, 4, 1\), got"),
        (np.zeros((1, 4, 4, 1), np.uint32), (2, 2, 3), ValueError, r"^x_shape must be \(N, H, W, C\), got"),
        (np.zeros((1, 4, 4, 1), np.uint32), (1, 2, 2, 4), ValueError, r"channels|must be \(N, H, W, C\)"),
    ],
)
def test_what_is_no_map_of_bits(backend, bits, x_shape, error, message):
    with pytest.raises(error, match=message):
        backend.XnorConv2d(np.ones((7, 3, 3, 3)), padding=1).convolve_bits(bits, x_shape)
    if len(x_shape) == 4:
        with pytest.raises(error, match=message):
            backend.sign_grad_weight(bits, np.ones((1, 2, 2, 7)), (7, 3, 3, 3), x_shape, 1, 1)


@each_backend
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weight_signs": np.zeros((7, 3, 3, 1))}, TypeError, "^weight_signs must be an array of uint64 words"),
        ({"weight_signs": np.zeros((7, 3, 3), np.uint64)}, ValueError, "^weight_signs must have 4 dimensions"),
        ({"weight_signs": np.zeros((7, 3, 3, 2), np.uint64)}, ValueError, r"^weight_signs must end in"),
        ({"alpha": np.ones(6)}, ValueError, r"^alpha must have shape \(7,\)"),
        ({"grad": np.ones((1, 2, 3, 7))}, ValueError, "^grad must have shape"),
        ({"x_shape": (2, 2, 3)}, ValueError, r"^x_shape must be \(N, H, W, C\)"),
    ],
)
def test_what_is_no_gradient_of_signs(backend, change, error, message):
    good = {"grad": np.ones((1, 2, 2, 7)), "weight_signs": np.zeros((7, 3, 3, 1), np.uint64), "alpha": np.ones(7)}
    with pytest.raises(error, match=message):
        backend.sign_grad_input(**{**good, "x_shape": (1, 2, 2, 3), "padding": 1, **change})


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@each_backend
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_with_its_filter(backend, value):
    """And with the pixels that its window sees. Places on the border may be 0 times it, or left out."""
    grad, bits = np.ones((1, 4, 4, 9), np.float32), np.zeros((1, 6, 6, 1), np.uint32)
    grad[0, 0, 0, 3] = value
    weights = backend.sign_grad_weight(bits, grad, (9, 3, 3, 5), (1, 4, 4, 5), 1, 1)
    assert np.isfinite(np.delete(weights, 3, axis=0)).all()
    assert not np.isfinite(weights[3, 1:, 1:]).any()
    grad_x = backend.sign_grad_input(grad, np.zeros((9, 3, 3, 1), np.uint64), np.ones(9), (1, 4, 4, 5), 1, 1)
    assert not np.isfinite(grad_x[0, :2, :2]).any()
    assert np.isfinite(grad_x).sum() == (16 - 4) * 5


# ---------------------------------------------------------------------------------------------- the ways through


@pytest.mark.compiled
@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize(
    ("n", "h", "c", "o", "k"),
    [(8, 1, 1056, 1003, 1), (33, 1, 1024, 1030, 1), (6, 2, 352, 333, 3), (8, 1, 1050, 1003, 1)],
)
def test_large_results_of_few_pixels(n, h, c, o, k, shift):
    """Written past the caches where whole vectors start with cache lines, and otherwise not: the same numbers."""
    rng = np.random.default_rng(0)
    x, grad = rng.standard_normal((n, h, h, c)), rng.integers(-3, 4, (n, h, h, o)).astype(np.float32)
    out = fresh((o * k * k * c + shift,))[shift:].reshape(o, k, k, c)
    bits, shapes = naive_bits(x, k // 2), (out.shape, x.shape, 1, k // 2)
    exact = bk.reference.sign_grad_weight(bits, grad, *shapes)
    np.testing.assert_array_equal(bk.sign_grad_weight(bits, grad, *shapes, out=out), exact)
    np.testing.assert_array_equal(bk.conv2d_grad_weight(bk.sign(x), grad, out.shape, 1, k // 2, out=out), exact)


def naive_bits(x, padding):
    """A map of bits by the reference: the oracle is slow."""
    signs = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return np.ascontiguousarray(bk.reference.pack_signs(signs).view(np.uint32)[..., : -(-x.shape[3] // 32)])


@pytest.mark.parametrize("pixels", [1, 3, 8, 9])
@pytest.mark.parametrize("o", [5, 600])
def test_dense_layers_of_few_pixels(pixels, o):
    rng = np.random.default_rng(0)
    grad, weight = rng.integers(-3, 4, (pixels, 1, 1, o)), rng.standard_normal((o, 1, 1, 70))
    alpha = rng.integers(-3, 4, o)
    expected = (grad[:, 0, 0] * alpha) @ naive_sign(weight[:, 0, 0])
    result = bk.sign_grad_input(grad, bk.pack_signs(weight), alpha, (pixels, 1, 1, 70))
    np.testing.assert_array_equal(result[:, 0, 0], expected)


# ---------------------------------------------------------------------------------------------- tables


def windows_of(g):
    return Window.of(g.kernel_size, g.stride, g.padding)


@given(geometries())
def test_strips_are_the_pixels_whose_window_has_the_place_on_the_image(g):
    (oh, ow), (sh, sw), (ph, pw) = g.output_size, pair(g.stride), pair(g.padding)
    rows = strips(g.h, g.w, windows_of(g), (-ph, -pw), True).reshape(*pair(g.kernel_size), FIELDS)
    for r, s in np.ndindex(rows.shape[:2]):
        top, high, left, wide, y, x = rows[r, s].tolist()
        assert (y, x) == (r - ph, s - pw)
        assert list(range(top, top + high)) == [i for i in range(oh) if 0 <= i * sh + y < g.h] or high == 0
        assert list(range(left, left + wide)) == [j for j in range(ow) if 0 <= j * sw + x < g.w] or wide == 0
        inside = sum(0 <= i * sh + y < g.h and 0 <= j * sw + x < g.w for i in range(oh) for j in range(ow))
        assert high * wide == inside


@given(geometries())
def test_parts_hold_every_pixel_that_meets_the_filter_once(g):
    parts = _parts(g.x_shape, g.o, windows_of(g))
    seen = np.zeros(g.x_shape[:3], bool)
    (kh, kw), (sh, sw), (ph, pw) = pair(g.kernel_size), pair(g.stride), pair(g.padding)
    oh, ow = output_size((g.h, g.w), g.kernel_size, g.stride, g.padding)
    for i, j, r, s in np.ndindex(oh, ow, kh, kw):
        y, x = i * sh + r - ph, j * sw + s - pw
        if 0 <= y < g.h and 0 <= x < g.w:
            seen[:, y, x] = True
    assert set(parts.targets.tolist()) == set(np.flatnonzero(seen).tolist())
    assert parts.complete == seen.all()
