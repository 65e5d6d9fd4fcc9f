"""Gradients of few levels, and the backward convolutions with them: whole numbers, so nothing is left to rounding."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet_kernels as bk
import naive
import naive_packed
from binnet_kernels import reference
from binnet_kernels.compiled.lowbit import gradient as compiled
from binnet_kernels.compiled.lowbit import lookup
from binnet_kernels.compiled.lowbit.lookup import sums
from binnet_kernels.compiled.lowbit.transposed_conv import parts_of_input
from naive import pair
from naive_quantised import naive_quantised, naive_uniform

from .strategies import Geometry, each_backend, geometries, seeds, values

SMALL = geometries(depths=[1, 3, 31, 32, 33, 64, 65])
WAYS = [
    *(("ternary", bits) for bits in (1, 2, 4, 5)),
    *(("even", bits) for bits in (1, 3, 4, 8)),
    ("paper", 1),
]
each_way = pytest.mark.parametrize(("how", "bits"), WAYS)
some_way = st.sampled_from(WAYS)


def draw_gradient(rng, g, specials=(0.0, -0.0), share=0.4):
    return values(rng, (g.n, *g.output_size, g.o), specials, share)


def arguments(g, seed):
    """A gradient with zeros, scales of both signs, and sometimes a map that a ReLU returned."""
    rng = np.random.default_rng(seed)
    grad, alpha = draw_gradient(rng, g), values(rng, g.o, [0.0])
    return rng, grad, alpha, values(rng, grad.shape, [0.0, -0.0, np.nan]) if rng.random() < 0.5 else None


def unpacked(gradient):
    """The levels that the planes or bytes of a gradient stand for, (N, OH, OW, O) each."""
    if gradient.in_numpy:
        return gradient.rows, gradient.columns
    n, oh, ow, o = gradient.shape
    if gradient.in_bytes:
        by_pixel = gradient.columns.swapaxes(1, 2).reshape(-1, gradient.columns.shape[1])
        for outside in (gradient.rows[..., o:], by_pixel[:, o:], by_pixel[n * oh * ow :]):
            assert not outside.any()
        return gradient.rows[..., :o], by_pixel[: n * oh * ow, :o].reshape(gradient.shape)
    rows, columns = np.zeros((2, *gradient.shape), np.int64)
    for plane in range(gradient.planes):
        for i, row, col, c in np.ndindex(gradient.shape):
            pair_of_words = gradient.rows[plane, i, row, col, c // 32]
            rows[i, row, col, c] += value_of(pair_of_words, c % 32) << plane
            q = (i * oh + row) * ow + col
            pair_of_words = gradient.columns[plane, c // 4, q // 32, :, c % 4]
            columns[i, row, col, c] += value_of(pair_of_words, q % 32) << plane
    return rows, columns


def value_of(words, bit):
    """-1, 0 or 1 from a half word of signs and one of masks."""
    sign, mask = (int(word) >> bit & 1 for word in words)
    return mask * (1 - 2 * sign)


def packed_signs(x, padding, pad_value):
    return naive_packed.naive_bits(x < 0, pair(padding), pad_value == -1)


@each_backend
@given(SMALL, seeds, some_way)
def test_levels_are_the_oracles(backend, g, seed, way):
    (how, bits), (_, grad, alpha, y) = way, arguments(g, seed)
    ours = backend.quantise_gradient(grad, alpha, y, how, bits, seed)
    rows, row_unit, columns, column_unit = naive_quantised(grad, alpha, y, how, bits, seed)
    np.testing.assert_array_equal(ours.row_unit, row_unit)
    np.testing.assert_array_equal(ours.column_unit, column_unit)
    for levels, expected in zip(unpacked(ours), (rows, columns), strict=True):
        np.testing.assert_array_equal(levels, expected)


LARGE = [
    Geometry(3, 6, 7, 1100, 65, 1, 1, 0),
    Geometry(1, 16, 16, 32, 33, (6, 7), 2, 3),
    Geometry(70, 1, 1, 40, 300, 1, 1, 0),
    Geometry(9, 2, 3, 64, 70, (2, 3), 1, 0),
    Geometry(33, 8, 9, 8, 8, 1, 1, 0),
]


@pytest.mark.compiled
@pytest.mark.parametrize("g", LARGE)
@each_way
def test_many_words(g, how, bits):
    """Several words and panels in each sum, as many as three sizes of the table do not have."""
    rng, grad, alpha, y = arguments(g, 1)
    signs, x = bk.pack_signs(values(rng, g.weight_shape)), values(rng, g.x_shape)
    map_of_bits = packed_signs(x, g.padding, 0)
    results = []
    for backend in (bk, reference):
        gradient = backend.quantise_gradient(grad, alpha, y, how, bits, seed=3)
        grad_x = backend.quantised_grad_input(gradient, signs, g.x_shape, g.stride, g.padding)
        grad_weight = backend.quantised_grad_weight(map_of_bits, gradient, g.weight_shape, g.stride, g.padding)
        results.append((gradient.row_unit, gradient.column_unit, grad_x, grad_weight))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@each_backend
@each_way
@pytest.mark.parametrize("sign", [1, -1])
def test_long_sums_of_products_of_one_sign(backend, how, bits, sign):
    """Counts in bytes, and sums in 16 bits, have to be added up before they overflow."""
    x, weight, few = np.full((1, 35, 37, 3), sign), np.full((2300, 1, 1, 3), sign), (1, 2, 3, 2300)
    gradient = backend.quantise_gradient(np.ones(few), how=how, bits=bits)
    grad_x = backend.quantised_grad_input(gradient, naive.naive_pack_signs(weight), (*few[:3], 3))
    np.testing.assert_allclose(grad_x, np.full(grad_x.shape, 2300 * sign), rtol=1e-6)
    gradient = backend.quantise_gradient(np.ones((1, 35, 37, 5)), how=how, bits=bits)
    grad_weight = backend.quantised_grad_weight(packed_signs(x, 0, 0), gradient, (5, 1, 1, 3))
    np.testing.assert_allclose(grad_weight, np.full(grad_weight.shape, 35 * 37 * sign), rtol=1e-6)


@pytest.mark.compiled
@pytest.mark.skipif(not sums.PSHUFB, reason="there is no instruction that looks up")
@pytest.mark.parametrize("g", LARGE)
@pytest.mark.parametrize(("how", "bits", "near"), [("ternary", 2, 0), ("ternary", 4, 1 << 20), ("even", 3, 0)])
def test_popcounts_and_tables_agree(g, how, bits, near, monkeypatch):
    """Each CPU takes the faster way; here both are taken, with tables of few images and pixels at a time.

    The tiles of the input run in chunks and one after the other, as with many signs and with few.
    """
    monkeypatch.setattr(lookup.grad_input, "_CACHED", 1 << 15)
    monkeypatch.setattr(lookup.grad_input, "_NEAR", near)
    monkeypatch.setattr(lookup.grad_weight, "_CACHED", 1 << 13)
    rng, grad, alpha, y = arguments(g, 2)
    signs, map_of_bits = bk.pack_signs(values(rng, g.weight_shape)), packed_signs(values(rng, g.x_shape), g.padding, 0)
    results = []
    for tables in (False, True):
        monkeypatch.setattr(compiled, "by_table", lambda rounding, chosen=tables: chosen)
        gradient = bk.quantise_gradient(grad, alpha, y, how, bits, seed=3)
        assert gradient.in_bytes == tables
        grad_x = bk.quantised_grad_input(gradient, signs, g.x_shape, g.stride, g.padding)
        grad_weight = bk.quantised_grad_weight(map_of_bits, gradient, g.weight_shape, g.stride, g.padding)
        results.append((*unpacked(gradient), grad_x, grad_weight))
    for popcounts, looked_up in zip(*results, strict=True):
        np.testing.assert_array_equal(popcounts, looked_up)


# ---------------------------------------------------------------------------------------------- rounding


@each_backend
@pytest.mark.parametrize(("how", "bits"), [("ternary", 1), ("ternary", 3), ("even", 2)])
def test_unbiased(backend, how, bits):
    """The mean over many pixels of one value is that value, within five standard errors."""
    share, pixels = np.float32(0.3), 4_000
    grad = np.full((1, 1, pixels, 2), share)
    grad[0, 0, 0, 0] = -1  # the peak, of a channel of its own
    gradient = backend.quantise_gradient(grad, how=how, bits=bits, seed=4)
    top = 2**bits - 1
    mean = unpacked(gradient)[0][..., 1].mean() / top
    assert abs(mean - share) < 5 * (1 if how == "ternary" else 2) / top / 2 / np.sqrt(pixels)


@each_backend
@each_way
def test_zeros_of_ternary_stay_zeros(backend, how, bits):
    gradient = backend.quantise_gradient(np.array([[[[0.0, -0.0, 1.0]]]]), how=how, bits=bits)
    rows, columns = unpacked(gradient)
    assert rows[0, 0, 0, 2] == columns[0, 0, 0, 2] == 2**bits - 1
    assert (how == "ternary") == (not rows[..., :2].any() and not columns[..., :2].any())


@each_backend
def test_what_meets_no_tap_of_a_bad_sample_is_no_number(backend):
    grad = np.ones((2, 1, 1, 1))
    grad[1] = np.nan
    gradient = backend.quantise_gradient(grad, bits=2)
    grad_x = backend.quantised_grad_input(gradient, np.zeros((1, 1, 1, 1), np.uint64), (2, 2, 2, 1), stride=2)
    np.testing.assert_array_equal(grad_x[0, ..., 0], [[1, 0], [0, 0]])
    assert np.isnan(grad_x[1]).all()


@each_backend
@pytest.mark.parametrize("bits", [1, 2])
def test_no_filters(backend, bits):
    gradient = backend.quantise_gradient(np.ones((1, 2, 2, 0)), bits=bits)
    grad_x = backend.quantised_grad_input(gradient, np.zeros((0, 1, 1, 1), np.uint64), (1, 2, 2, 5))
    np.testing.assert_array_equal(grad_x, np.zeros((1, 2, 2, 5)))


@pytest.mark.compiled
def test_tables_of_a_transposed_convolution_are_made_once():
    gradient = bk.quantise_gradient(np.ones((2, 5, 5, 3)))
    calls = []
    for _ in range(2):
        bk.quantised_grad_input(gradient, np.zeros((3, 3, 3, 1), np.uint64), (2, 5, 5, 4), padding=1)
        calls.append(parts_of_input.cache_info().misses)
    assert calls[0] == calls[1]


def test_planes_are_counted_where_there_are_planes():
    with pytest.raises(ValueError, match="must be in bit planes"):
        _ = reference.quantise_gradient(np.ones((1, 1, 1, 1))).planes


@each_backend
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@each_way
def test_what_is_no_number_spoils_its_sample_and_its_filter(backend, bad, how, bits):
    rng = np.random.default_rng(0)
    grad, x, weight = values(rng, (2, 3, 3, 5)), values(rng, (2, 3, 3, 4)), values(rng, (5, 1, 1, 4))
    grad[1, 2, 0, 3] = bad
    gradient = backend.quantise_gradient(grad, how=how, bits=bits)
    grad_x = backend.quantised_grad_input(gradient, naive.naive_pack_signs(weight), x.shape)
    grad_weight = backend.quantised_grad_weight(packed_signs(x, 0, 0), gradient, weight.shape)
    assert np.isnan(grad_x).all(axis=(1, 2, 3)).tolist() == [False, True]
    assert np.isfinite(grad_x[0]).all()
    assert np.isnan(grad_weight).all(axis=(1, 2, 3)).tolist() == [False, False, False, True, False]
    assert np.isfinite(np.delete(grad_weight, 3, axis=0)).all()


@each_backend
@each_way
def test_very_small_gradients_are_none(backend, how, bits):
    gradient = backend.quantise_gradient(np.full((1, 2, 2, 3), 1e-40, np.float32), how=how, bits=bits)
    grad_x = backend.quantised_grad_input(gradient, np.zeros((3, 1, 1, 1), np.uint64), (1, 2, 2, 4))
    np.testing.assert_array_equal(grad_x, np.zeros((1, 2, 2, 4)))


@each_backend
@given(seeds, st.integers(0, 40))
def test_numbers_belong_to_their_place(backend, seed, i):
    """The share that is kept of element i follows from number i of the seed alone."""
    u = naive_uniform(seed, i)
    for share, kept in ((1 - u + 2**-20, 1), (1 - u - 2**-20, 0)):
        grad = np.full((1, 1, 1, 42), 1.0, np.float32)
        grad[0, 0, 0, i] = np.clip(share, 0, 1)
        expected = int(np.float32(grad[0, 0, 0, i]) + np.float32(u) >= 1)
        rows, _ = unpacked(backend.quantise_gradient(grad, seed=seed))
        assert rows[0, 0, 0, i] == expected
        assert expected == kept or not 2**-19 < u < 1 - 2**-19


# ---------------------------------------------------------------------------------------------- parts of a batch


@each_backend
@given(geometries(depths=[1], paddings=[0]), seeds, some_way, st.integers(1, 20))
def test_a_part_rounds_as_the_whole_batch(backend, g, seed, way, n):
    """The same whole numbers and units, given the number of the first image and the peaks of all."""
    (how, bits), (_, grad, alpha, y) = way, arguments(replace(g, n=n), seed)
    whole = backend.quantise_gradient(grad, alpha, y, how, bits, seed)
    cut = seed % (n + 1)
    parts = [(grad[at], None if y is None else y[at]) for at in (np.s_[:cut], np.s_[cut:])]
    peaks = np.maximum(*(backend.gradient_peaks(*part) for part in parts))
    np.testing.assert_array_equal(peaks, naive_peaks(grad, y))
    np.testing.assert_array_equal(peaks, backend.gradient_peaks(grad, y))
    for (of_part, of_y), first in zip(parts, (0, cut), strict=True):
        ours, at = backend.quantise_gradient(of_part, alpha, of_y, how, bits, seed, first=first, peaks=peaks), first
        images = np.s_[at : at + len(of_part)]
        np.testing.assert_array_equal(ours.row_unit, whole.row_unit[images])
        np.testing.assert_array_equal(ours.column_unit, whole.column_unit)
        for levels, expected in zip(unpacked(ours), unpacked(whole), strict=True):
            np.testing.assert_array_equal(levels, expected[images])


def naive_peaks(grad, y):
    peaks = np.zeros(grad.shape[3], np.float32)
    for place, g in np.ndenumerate(grad):
        if y is None or y[place] > 0:
            peaks[place[3]] = max(peaks[place[3]], abs(g))
    return peaks


@each_backend
@given(seeds, st.integers(1, 6), some_way)
def test_sums_over_parts_add_up(backend, seed, n, way):
    """With units of 1 the gradients of the weights are whole numbers: parts add up to the whole batch, to the bit."""
    rng, (how, bits) = np.random.default_rng(seed), way
    grad, x = values(rng, (n, 3, 3, 6)), packed_signs(values(rng, (n, 3, 3, 33)), 1, 0)
    gradient = backend.quantise_gradient(grad, how=how, bits=bits, seed=seed)
    whole = backend.quantised_grad_weight(x, gradient, (6, 3, 3, 33), padding=1)
    total, peaks, cut = np.zeros_like(whole), backend.gradient_peaks(grad), seed % (n + 1)
    for first, last in ((0, cut), (cut, n)):
        part = backend.quantise_gradient(grad[first:last], None, None, how, bits, seed, first=first, peaks=peaks)
        counted = replace(part, column_unit=np.ones_like(part.column_unit))
        total += backend.quantised_grad_weight(x[first:last], counted, whole.shape, padding=1)
    np.testing.assert_array_equal(total * gradient.column_unit[:, None, None, None], whole)


@each_backend
def test_peaks_keep_what_is_no_number(backend):
    grad = np.ones((2, 2, 2, 40), np.float32)
    grad[0, 1, 0, 3], grad[1, 0, 0, 35], grad[1, 1, 1, 36] = np.nan, -np.inf, np.nan
    y = np.ones_like(grad)
    y[1, 1, 1, 36] = 0
    peaks = backend.gradient_peaks(grad, y)
    expected = np.ones(40, np.float32)
    expected[3], expected[35] = np.nan, np.inf
    np.testing.assert_array_equal(peaks, expected)
    np.testing.assert_array_equal(backend.gradient_peaks(grad[:0]), np.zeros(40))


@each_backend
def test_counters_past_32_bits(backend):
    """Random numbers repeat after 2^32 elements, in both forms."""
    grad = values(np.random.default_rng(0), (1, 2, 2, 4))
    here, later = (unpacked(backend.quantise_gradient(grad, first=first)) for first in (3, 3 + 2**28))
    np.testing.assert_array_equal(here, later)


# ---------------------------------------------------------------------------------------------- arguments


@each_backend
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"how": "binary"}, "unknown way 'binary' to quantise a gradient; there are: ternary, even, paper"),
        ({"bits": 0}, "bits must be a whole number from 1 to 8, got 0"),
        ({"bits": 9}, "bits must be a whole number from 1 to 8, got 9"),
        ({"bits": True}, "bits must be a whole number from 1 to 8, got True"),
        ({"seed": -1}, "seed must be a whole number of 64 bits, got -1"),
        ({"alpha": np.ones(4)}, r"alpha must have shape \(3,\)"),
        ({"y": np.ones((1, 2, 2, 4))}, "y must have shape"),
        ({"first": -1}, "first must be a whole number of at least 0, got -1"),
        ({"first": 1.0}, "first must be a whole number of at least 0, got 1.0"),
        ({"peaks": np.ones(4)}, r"peaks must have shape \(3,\), got \(4,\)"),
    ],
)
def test_wrong_options(backend, options, message):
    with pytest.raises(ValueError, match=message):
        backend.quantise_gradient(np.ones((1, 2, 2, 3)), **options)


@each_backend
def test_shapes_that_do_not_fit(backend):
    gradient = backend.quantise_gradient(np.ones((1, 4, 4, 3), np.float32))
    signs, bits = np.zeros((3, 3, 3, 1), np.uint64), np.zeros((1, 6, 6, 1), np.uint32)
    with pytest.raises(ValueError, match=r"the gradient must have shape \(1, 3, 4, 3\), got \(1, 4, 4, 3\)"):
        backend.quantised_grad_input(gradient, signs, (1, 5, 6, 7))
    with pytest.raises(ValueError, match="weight_signs end in"):
        backend.quantised_grad_input(gradient, signs, (1, 6, 6, 65))
    with pytest.raises(TypeError, match="weight_signs must be an array of uint64"):
        backend.quantised_grad_input(gradient, bits, (1, 6, 6, 7))
    with pytest.raises(ValueError, match="the gradient must have shape"):
        backend.quantised_grad_weight(bits, gradient, (2, 3, 3, 32))
    with pytest.raises(ValueError, match=r"bits \(N, H, W, ceil\(C/32\)\)"):
        backend.quantised_grad_weight(bits, gradient, (3, 3, 3, 33))
    with pytest.raises(TypeError, match="bits must be an array of uint32"):
        backend.quantised_grad_weight(signs, gradient, (3, 3, 3, 32))
    with pytest.raises(ValueError, match="must hold a border"):
        backend.quantised_grad_weight(bits, gradient, (3, 3, 3, 32), 1, 3)
    with pytest.raises(ValueError, match="pad_value must be 0, "):
        backend.quantised_grad_weight(bits, gradient, (3, 3, 3, 32), pad_value=2)


@each_backend
@pytest.mark.parametrize("name", ["quantised_grad_input", "quantised_grad_weight"])
def test_where_to_write(backend, name):
    gradient = backend.quantise_gradient(np.ones((2, 3, 3, 5), np.float32))
    arguments, shape = {
        "quantised_grad_input": ((gradient, np.zeros((5, 1, 1, 1), np.uint64)), (2, 3, 3, 4)),
        "quantised_grad_weight": ((np.zeros((2, 3, 3, 1), np.uint32), gradient), (5, 1, 1, 4)),
    }[name]
    out = np.full(shape, np.nan, np.float32)
    assert getattr(backend, name)(*arguments, shape, out=out) is out
    np.testing.assert_array_equal(out, getattr(backend, name)(*arguments, shape))
    with pytest.raises(ValueError, match="out must be a writeable, C-contiguous float32 array of shape"):
        getattr(backend, name)(*arguments, shape, out=out[..., :1])
