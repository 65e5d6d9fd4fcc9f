"""Levels of k bits, and their convolutions as sums of popcounts (arXiv:1603.05279, end of section 3.2)."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk
import naive_kbit

from .strategies import (
    BACKENDS,
    BORDERS,
    SIGN_SPECIALS,
    Geometry,
    assert_close,
    each_backend,
    geometries,
    rounding,
    seeds,
    values,
)

bits = st.integers(1, 8)
pad_values = st.sampled_from([0, 1, -1])
SMALL = geometries(depths=[1, 31, 32, 33, 63, 64, 65])
BITS = range(1, 9)


def draw(g, seed, specials=SIGN_SPECIALS):
    rng = np.random.default_rng(seed)
    return values(rng, g.x_shape, [*specials, 1.0, -1.0]), 0.1 * values(rng, g.weight_shape, [0.0, -0.0])


# ---------------------------------------------------------------------------------------------- levels


@each_backend
@pytest.mark.parametrize("k", BITS)
def test_levels_are_the_nearest_to_halves_up(backend, k):
    """Between two levels the border itself belongs to the upper one; floats beside it may count as the border."""
    most = 2**k - 1
    borders = np.array([2 * m / most for m in range(-(most // 2), most // 2 + 1)], np.float32)
    beside = [np.nextafter(np.nextafter(borders, end), end) for end in np.float32([-9, 9])]
    below, above = (backend.quantise_input(x, k) for x in beside)
    np.testing.assert_array_equal(below, naive_kbit.naive_quantise(borders - 0.5 / most, k))
    np.testing.assert_array_equal(above, naive_kbit.naive_quantise(borders + 0.5 / most, k))
    assert backend.quantise_input([0.0, -0.0], k).tolist() == [np.float32(1 / most)] * 2


@each_backend
@given(seeds, bits)
def test_it_is_the_formula_of_the_paper(backend, seed, k):
    x, most = np.random.default_rng(seed).uniform(-1.2, 1.2, 50).astype(np.float32), 2**k - 1
    for value, level in zip(x, backend.quantise_input(x, k), strict=True):
        inside = min(max(Fraction(float(value)), Fraction(-1)), Fraction(1))
        exact = (most * (inside + 1) / 2 + Fraction(1, 2)).__floor__()
        assert level == np.float32(2 * (Fraction(exact, most) - Fraction(1, 2)))


@each_backend
@given(seeds, bits)
def test_levels_stay_where_they_are(backend, seed, k):
    x = values(np.random.default_rng(seed), (3, 65), SIGN_SPECIALS)
    once = backend.quantise_input(x, k)
    np.testing.assert_array_equal(backend.quantise_input(once, k), once)
    np.testing.assert_array_equal(backend.pack_planes(once, k), backend.pack_planes(x, k))


@each_backend
@given(seeds)
def test_one_bit_is_the_sign(backend, seed):
    x = values(np.random.default_rng(seed), (3, 65), SIGN_SPECIALS)
    np.testing.assert_array_equal(backend.quantise_input(x, 1), backend.sign(x))
    np.testing.assert_array_equal(backend.pack_planes(x, 1), backend.pack_signs(x)[None])
    np.testing.assert_array_equal(backend.quantise_weight(x[:, None] * 1e-44, 1), backend.sign(x * 1e-44)[:, None])


@each_backend
def test_each_bit_takes_the_error_of_gaussian_weights_to_less_than_two_fifths(backend):
    weight = values(np.random.default_rng(0), (4, 4096))
    errors = []
    for k in BITS:
        alpha = backend.weight_range(weight, k)[:, None]
        errors.append(np.square(weight - alpha * backend.quantise_weight(weight, k)).mean())
    np.testing.assert_array_equal(backend.weight_range(weight, 1), backend.weight_alpha(weight))
    assert (np.array(errors[1:]) < 0.4 * np.array(errors[:-1])).all()


@each_backend
def test_filters_of_zeros_have_levels_too(backend):
    weight = np.zeros((3, 2), np.float32)
    weight[1] = 1e-45
    weight[2] = np.nan
    with np.errstate(invalid="ignore"):  # as plain Python, lanes past the end are 0 times infinity
        levels = backend.quantise_weight(weight, 2)
    assert levels.tolist() == [[np.float32(1 / 3)] * 2, [1.0] * 2, [1.0] * 2]


# ---------------------------------------------------------------------------------------------- convolutions


@given(SMALL, seeds, bits, bits, pad_values, st.sampled_from([True, False, "given"]), st.booleans())
def test_all_options_together(g, seed, k, m, pad_value, alpha, use_k):
    x, weight = draw(g, seed, [0.0, -0.0])
    if alpha == "given":
        alpha = values(np.random.default_rng(seed + 1), g.o, [0.0, -1.0])
    options = (k, m, g.stride, g.padding, pad_value, alpha, use_k)
    exact = naive_kbit.naive_kbit_conv2d(x, weight, *options)
    results = [backend.KbitConv2d(weight, *options)(x) for backend in BACKENDS.values()]
    terms = weight[:1].size + 2 if use_k else 4
    for y in results:
        assert_close(y, exact, rounding(terms) * np.abs(exact))
    if not use_k:
        np.testing.assert_array_equal(*results)


@each_backend
@given(SMALL, seeds, bits, bits, pad_values)
def test_sums_are_the_whole_numbers_of_the_float_convolution(backend, g, seed, k, m, pad_value):
    """With the scale L L the sums come out themselves; in float64 the convolution of levels is exact too."""
    x, weight = draw(g, seed)
    most = (2**k - 1) * (2**m - 1)
    y = backend.KbitConv2d(weight, k, m, g.stride, g.padding, pad_value, np.full(g.o, most))(x)
    levels = backend.quantise_input(x, m), backend.quantise_weight(weight, k)
    inputs, weights = (np.rint(q.astype(np.float64) * (2**b - 1)) for q, b in zip(levels, (m, k), strict=True))
    sums = naive_kbit.naive_conv2d(inputs, weights, g.stride, g.padding, pad_value * (2**m - 1))
    np.testing.assert_array_equal(y, sums.astype(np.float32))


@each_backend
@given(SMALL, seeds, pad_values, st.booleans())
def test_one_bit_each_is_the_layer_of_signs(backend, g, seed, pad_value, use_k):
    x, weight = draw(g, seed, [0.0, -0.0])
    window = (g.stride, g.padding, pad_value)
    y = backend.KbitConv2d(weight, 1, 1, *window, use_k=use_k)(x)
    np.testing.assert_array_equal(y, backend.XnorConv2d(weight, *window, use_k=use_k)(x))


@each_backend
@given(SMALL, seeds, bits, bits)
def test_linear_is_a_convolution_of_one_pixel(backend, g, seed, k, m):
    x, weight = draw(g, seed)
    x, weight = x[:, 0, 0], weight[:, 0, 0]
    conv = backend.KbitConv2d(weight[:, None, None], k, m)(x[:, None, None])
    np.testing.assert_array_equal(backend.KbitLinear(weight, k, m)(x), conv[:, 0, 0])


@pytest.mark.compiled
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("k", "m"), [(2, 3), (8, 8), (1, 4)])
def test_large(k, m, threads):
    """Full tiles, several blocks of channels, and more values than one thread packs alone."""
    g = Geometry(3, 15, 13, 97, 70, 3, (2, 1), 1)
    x, weight = draw(g, 0)
    before = bk.get_num_threads()
    try:
        bk.set_num_threads(min(threads, before))
        y = bk.KbitConv2d(weight, k, m, g.stride, g.padding)(x)
    finally:
        bk.set_num_threads(before)
    np.testing.assert_array_equal(y, bk.reference.KbitConv2d(weight, k, m, g.stride, g.padding)(x))


@each_backend
def test_sums_fill_32_bits_and_no_more(backend):
    n = (2**31 - 1) // 255**2
    x, weight = np.ones((1, n), np.float32), np.ones((2, n), np.float32)
    x[0, 0], weight[1] = -1, -1
    y = backend.KbitLinear(weight * 9, 8, 8, alpha=np.full(2, 255.0**2))(x)
    level = round(float(backend.quantise_weight(weight[:1, :1], 8)[0, 0]) * 255) * 255
    assert y.tolist() == [[np.float32((n - 2) * level), np.float32(-(n - 2) * level)]]
    with pytest.raises(ValueError, match=f"^8-bit weights and 8-bit inputs allow {n} taps a filter, got {n + 1}$"):
        backend.KbitLinear(np.ones((2, n + 1)), 8, 8)


@each_backend
def test_a_plan_keeps_its_own_weights(backend):
    x, weight = draw(Geometry(2, 5, 5, 3, 7, 3, 1, 1), 0)
    plan = backend.KbitConv2d(weight, 3, 2, 1, 1)
    before = plan(x)
    weight *= -3
    np.testing.assert_array_equal(plan(x), before)


# ---------------------------------------------------------------------------------------------- fused


@given(SMALL, seeds, bits, bits, pad_values, st.booleans())
def test_fused_layers_agree(g, seed, k, m, pad_value, use_k):
    """Bound to arrays, with everything that may follow: steps on the sums of the plan, written as floats and bits."""
    x, weight = draw(g, seed, [0.0])
    rng, oh_ow = np.random.default_rng(seed), g.output_size
    shape, vectors = (g.n, *oh_ow, g.o), [values(rng, g.o) for _ in range(6)]
    window, alpha = (g.stride, g.padding, pad_value), np.abs(vectors[0])
    steps = [("norm", *vectors[1:4]), ("prelu", vectors[5]), ("add",)]
    epilogue = bk.Epilogue(steps, (vectors[4], vectors[4] + 1))
    residual, results = values(rng, shape), []
    for backend in BACKENDS.values():
        planes = backend.pack_planes(backend.quantise_weight(weight, k).ravel(), k)
        layer = backend.FusedKbitConv2d(planes, weight.shape, m, *window, alpha, use_k)
        out, packed = np.empty(shape, np.float32), bk.BitMap(shape, (1, 0, 2, 1), -1)
        run = layer.bind(x, epilogue, residual=residual, out=out, bits=packed)
        run()
        results.append((out, packed))
        y = backend.KbitConv2d(weight, k, m, *window, alpha, use_k)(x)
        sums = (y - vectors[1]) * vectors[2] + vectors[3]
        np.testing.assert_array_equal(out, np.where(sums < 0, sums * vectors[5], sums) + residual)
        between = (out >= vectors[4]) & (out <= vectors[4] + 1)
        written = np.unpackbits(packed.inside.copy().view(np.uint8), axis=-1, bitorder="little")
        np.testing.assert_array_equal(written[..., : g.o], between)
    if not use_k:
        np.testing.assert_array_equal(results[0][1].words, results[1][1].words)


@each_backend
@given(geometries(depths=[1, 31, 33, 64], paddings=BORDERS), seeds, bits, bits, pad_values, st.booleans())
def test_fused_layers_with_any_border(backend, g, seed, k, m, pad_value, use_k):
    """With the scale L L the sums come out themselves, whole numbers."""
    x, weight = draw(g, seed, [0.0])
    levels = naive_kbit.naive_levels(x, m), naive_kbit.naive_levels(weight, k)
    sums = naive_kbit.naive_conv2d(*levels, g.stride, g.padding, pad_value * (2**m - 1)).astype(np.float32)
    alpha = np.full(g.o, (2**k - 1) * (2**m - 1))
    planes = bk.pack_planes(weight.ravel(), k)
    layer = backend.FusedKbitConv2d(planes, weight.shape, m, g.stride, g.padding, pad_value, alpha, use_k)
    out = np.empty(sums.shape, np.float32)
    layer.bind(x, bk.Epilogue(), out=out)()
    K = backend.scale_map(x, g.kernel_size, g.stride, g.padding) if use_k else np.float32(1)
    np.testing.assert_array_equal(out, sums * K)


@each_backend
def test_bound_layers_read_their_arrays_again(backend):
    g = Geometry(2, 6, 5, 33, 9, 3, 1, 1)
    x, weight = draw(g, 0)
    layer = backend.FusedKbitConv2d(bk.pack_planes(bk.quantise_weight(weight, 2).ravel(), 2), weight.shape, 3, 1, 1)
    out = np.empty((2, 6, 5, 9), np.float32)
    run = layer.bind(x, bk.Epilogue(), out=out)
    for sign in (1, -1):
        x *= sign
        run()
        np.testing.assert_array_equal(out, backend.KbitConv2d(weight, 2, 3, 1, 1, alpha=False)(x))


@each_backend
def test_arrays_that_do_not_fit(backend):
    g = Geometry(1, 5, 5, 3, 4, 3, 1, 0)
    x, weight = draw(g, 0)
    planes = bk.pack_planes(weight.ravel(), 2)
    layer = backend.FusedKbitConv2d(planes, weight.shape, 2)
    with pytest.raises(ValueError, match="x has 4 channels"):
        layer.bind(np.ones((1, 5, 5, 4), np.float32), bk.Epilogue(), out=np.empty((1, 3, 3, 4), np.float32))
    with pytest.raises(ValueError, match=r"^out must be"):
        layer.bind(x, bk.Epilogue(), out=np.empty((1, 5, 5, 4), np.float32))
    with pytest.raises(ValueError, match=r"^planes must end in"):
        backend.FusedKbitConv2d(planes[:, :1], weight.shape, 2)
    with pytest.raises(ValueError, match=r"^x must be a writeable"):
        layer.bind(x.astype(np.float64), bk.Epilogue(), out=np.empty((1, 3, 3, 4), np.float32))


@each_backend
@pytest.mark.parametrize("g", [Geometry(0, 5, 5, 3, 4, 3, 1, 0), Geometry(2, 5, 5, 3, 0, 3, 1, 0)])
def test_nothing_to_do(backend, g):
    y = backend.KbitConv2d(np.ones(g.weight_shape), 2, 3)(np.ones(g.x_shape))
    assert y.shape == (g.n, 3, 3, g.o)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64])
def test_numpy_integers_as_numbers_of_bits(kind):
    rng = np.random.default_rng(0)
    weight, grad = (rng.standard_normal((4, 3, 3, 5)).astype(np.float32) for _ in range(2))
    alpha = bk.weight_range(weight, 8)
    for run in (
        lambda bits: bk.quantise_weight(weight, bits),
        lambda bits: bk.level_weight_hat(weight, alpha, bits),
        lambda bits: bk.level_grad_alpha(grad, weight, bits),
        lambda bits: bk.level_weight_gradient(grad, weight, alpha, "exact", True, bits),
        lambda bits: bk.weight_range(weight, bits),
        lambda bits: bk.level_planes(weight, bits)[0],
    ):
        np.testing.assert_array_equal(run(kind(8)), run(8))
