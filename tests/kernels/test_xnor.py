"""XNOR-popcount convolution and dense layer (Eq. 10 and 11)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive import naive_scale_map, naive_sign, naive_xnor_conv2d, naive_xnor_linear, pad_image, pair

from .strategies import BACKENDS, SIGN_SPECIALS, assert_close, each_backend, geometries, rounding, seeds, values

pad_values = st.sampled_from([0, 1, -1])


def draw(g, seed, specials=SIGN_SPECIALS):
    rng = np.random.default_rng(seed)
    return values(rng, g.x_shape, specials), values(rng, g.weight_shape, [0.0, -0.0])


@given(geometries(), seeds, pad_values, st.sampled_from([True, False, "given"]), st.booleans())
def test_all_options_together(g, seed, pad_value, alpha, use_k):
    x, weight = draw(g, seed, [0.0, -0.0])
    if alpha == "given":
        alpha = values(np.random.default_rng(seed + 1), g.o, [0.0, -1.0])
    exact = naive_xnor_conv2d(x, weight, g.stride, g.padding, pad_value, alpha, use_k)
    terms = g.c + np.prod(pair(g.kernel_size)) + 2 if use_k else 1
    for backend in BACKENDS.values():
        plan = backend.XnorConv2d(weight, g.stride, g.padding, pad_value, alpha, use_k)
        assert_close(plan(x), exact, rounding(terms) * np.abs(exact))


@each_backend
@given(geometries(), seeds, st.sampled_from([1, -1]))
def test_border_of_ones_is_an_explicit_border(backend, g, seed, pad_value):
    x, weight = draw(g, seed)
    y = backend.XnorConv2d(weight, g.stride, g.padding, pad_value)(x)
    bordered = pad_image(naive_sign(x), g.padding, pad_value)
    np.testing.assert_array_equal(y, backend.XnorConv2d(weight, g.stride, 0)(bordered))


@each_backend
@given(geometries(), seeds)
def test_border_of_zero_is_half_way_between_the_others(backend, g, seed):
    x, weight = draw(g, seed)
    zero, plus, minus = (backend.XnorConv2d(weight, g.stride, g.padding, v, alpha=False)(x) for v in (0, 1, -1))
    np.testing.assert_array_equal(2 * zero, plus + minus)


@each_backend
@pytest.mark.parametrize(("c", "kernel_size"), [(31 * 32, 1), (32 * 32, 1), (2400, 1), (160, 3), (130, (3, 9))])
def test_long_sums_of_signs_that_all_differ(backend, c, kernel_size):
    """Counts that are kept in bytes have to be added up before one is above 255."""
    weight, x = np.ones((3, *pair(kernel_size), c)), -np.ones((1, 3, 9, c))
    y = backend.XnorConv2d(weight, alpha=False)(x)
    assert (y == -weight[0].size).all()


@each_backend
@given(geometries(), seeds, pad_values)
def test_sums_are_whole_and_have_the_parity_of_n(backend, g, seed, pad_value):
    """n - 2 popcount, where n is the number of taps that are not 0."""
    x, weight = draw(g, seed)
    y = backend.XnorConv2d(weight, g.stride, g.padding, pad_value, alpha=False)(x)
    border = 0 if pad_value == 0 else 1
    n = backend.conv2d(pad_image(np.ones_like(x), g.padding, border), np.ones_like(weight), g.stride)
    assert (np.abs(y) <= n).all()
    np.testing.assert_array_equal(y % 2, n % 2)


@each_backend
@given(geometries(), seeds, pad_values)
def test_equals_float_convolution_of_signs(backend, g, seed, pad_value):
    """Sums of at most 2^24 signs are exact in float32 too."""
    x, weight = draw(g, seed)
    y = backend.XnorConv2d(weight, g.stride, g.padding, pad_value, alpha=False)(x)
    bordered = pad_image(naive_sign(x), g.padding, pad_value)
    np.testing.assert_array_equal(y, backend.conv2d(bordered, naive_sign(weight), g.stride))


@each_backend
@given(geometries(), seeds)
def test_only_k_sees_the_size_of_the_input(backend, g, seed):
    x, weight = draw(g, seed, [0.0, -0.0])
    plain, scaled = (backend.XnorConv2d(weight, g.stride, g.padding, use_k=k) for k in (False, True))
    np.testing.assert_array_equal(plain(x * 4), plain(x))
    np.testing.assert_array_equal(scaled(x * 4), scaled(x) * 4)
    K = naive_scale_map(x, g.kernel_size, g.stride, g.padding)
    exact = plain(x).astype(np.float64) * K
    assert_close(scaled(x), exact, rounding(g.c + np.prod(pair(g.kernel_size)) + 2) * np.abs(exact))


@each_backend
@given(geometries(), seeds)
def test_alpha_multiplies_the_whole_number_once(backend, g, seed):
    """One float32 product: (dot * alpha), and then * K. Both backends keep this order, so their bits agree."""
    x, weight = draw(g, seed)
    alpha = values(np.random.default_rng(seed), g.o)
    dot = backend.XnorConv2d(weight, g.stride, g.padding, alpha=False)(x)
    np.testing.assert_array_equal(backend.XnorConv2d(weight, g.stride, g.padding, alpha=alpha)(x), dot * alpha)
    optimal = backend.XnorConv2d(weight, g.stride, g.padding)(x)
    np.testing.assert_array_equal(optimal, dot * backend.weight_alpha(weight))


@each_backend
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_k_carries_what_is_not_finite_only_to_windows_that_see_it(backend, special):
    rng = np.random.default_rng(0)
    x, weight = values(rng, (1, 5, 6, 65)), values(rng, (9, 3, 3, 65))
    x[0, 0, 0, 64] = special
    with np.errstate(invalid="ignore"):
        y = backend.XnorConv2d(weight, padding=1, use_k=True)(x)
    seen = np.zeros(y.shape, bool)
    seen[0, :2, :2] = True
    np.testing.assert_array_equal(~np.isfinite(y), seen)
    exact = naive_xnor_conv2d(x, weight, 1, 1, use_k=True)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(exact))
    np.testing.assert_array_equal(y[~np.isfinite(exact)], exact[~np.isfinite(exact)])


# ---------------------------------------------------------------------------------------------- the dense layer


@each_backend
@given(geometries(), seeds, st.sampled_from([True, False]), st.booleans())
def test_linear_is_a_convolution_of_one_pixel(backend, g, seed, alpha, use_k):
    x, weight = draw(g, seed, [0.0, -0.0])
    x, weight = x[:, 0, 0], weight[:, 0, 0]
    y = backend.XnorLinear(weight, alpha, use_k)(x)
    conv = backend.XnorConv2d(weight[:, None, None], alpha=alpha, use_k=use_k)(x[:, None, None])
    np.testing.assert_array_equal(y, conv[:, 0, 0])
    exact = naive_xnor_linear(x, weight, alpha, use_k)
    assert_close(y, exact, rounding(g.c + 3) * np.abs(exact))


@each_backend
@given(geometries(), seeds)
def test_linear_is_the_gemm_of_packed_rows(backend, g, seed):
    x, weight = draw(g, seed)
    x, weight = x[:, 0, 0], weight[:, 0, 0]
    dots = backend.xnor_gemm(backend.pack_signs(x), backend.pack_signs(weight), g.c)
    np.testing.assert_array_equal(backend.XnorLinear(weight, alpha=False)(x), dots)


@each_backend
def test_linear_deeper_than_16_bits(backend):
    x = np.ones((1, 70_001), np.float32)
    weight = np.stack([x[0], -x[0], x[0]])
    weight[2, 0] = -1
    assert backend.XnorLinear(weight, alpha=False)(x).tolist() == [[70_001, -70_001, 69_999]]


@pytest.mark.compiled
@each_backend
@pytest.mark.parametrize("pad_value", [0, 1, -1])
def test_convolution_deeper_than_16_bits(backend, pad_value):
    """3072 channels x 5 x 5 = 76800 taps (an accumulator of 16 bits overflows)."""
    x, weight = np.ones((1, 5, 5, 3072), np.float32), -np.ones((2, 5, 5, 3072), np.float32)
    y = backend.XnorConv2d(weight, padding=2, pad_value=pad_value, alpha=False)(x)
    assert y[0, 2, 2].tolist() == [-76_800, -76_800]
    assert y[0, 0, 0, 0] == -3072 * (9 + 16 * pad_value)


# ---------------------------------------------------------------------------------------------- plans


@each_backend
def test_a_plan_serves_images_of_any_size(backend):
    rng = np.random.default_rng(0)
    weight = values(rng, (9, 3, 2, 65))
    plan = backend.XnorConv2d(weight, (2, 1), (1, 2), use_k=True)
    for shape in [(1, 5, 6), (3, 2, 2), (0, 4, 4), (2, 7, 1), (1, 5, 6)]:
        x = values(rng, (*shape, 65))
        exact = naive_xnor_conv2d(x, weight, (2, 1), (1, 2), use_k=True)
        assert_close(plan(x), exact, rounding(80) * np.abs(exact))


@each_backend
@pytest.mark.parametrize("alpha", [True, False, "given"])
def test_a_plan_keeps_its_own_weights(backend, alpha):
    """Training changes weights in place; a plan made before must not move."""
    rng = np.random.default_rng(0)
    x, weight = values(rng, (1, 4, 4, 5)), values(rng, (7, 3, 3, 5))
    alpha = values(rng, 7) if alpha == "given" else alpha
    plan, dense = backend.XnorConv2d(weight, alpha=alpha), backend.XnorLinear(weight[:, 0, 0], alpha=alpha)
    before, before_dense = plan(x), dense(x[0, 0])
    weight *= -3
    if isinstance(alpha, np.ndarray):
        alpha += 1
    np.testing.assert_array_equal(plan(x), before)
    np.testing.assert_array_equal(dense(x[0, 0]), before_dense)


@each_backend
@pytest.mark.parametrize("use_k", [False, True])
def test_no_filters_give_no_channels(backend, use_k):
    weight = np.ones((0, 3, 3, 5), np.float32)
    assert backend.XnorConv2d(weight, padding=1, use_k=use_k)(np.ones((2, 4, 4, 5))).shape == (2, 4, 4, 0)
