"""Gradients of few levels, and the backward convolutions with them: whole numbers, so nothing is left to rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config

import binnet_kernels as bk
import naive
import naive_packed
from binnet_kernels import reference
from naive import pair
from naive_quantised import naive_quantised, naive_uniform

from .strategies import PURE_PYTHON, SIGN_SPECIALS, Geometry, each_backend, geometries, seeds, values

SMALL = geometries(depths=[1, 3, 31, 32, 33, 64, 65])
WAYS = [("ternary", 1), ("ternary", 2), ("ternary", 5), ("even", 1), ("even", 3), ("even", 8), ("paper", 1)]
each_way = pytest.mark.parametrize(("how", "bits"), WAYS)
some_way, pad_values = st.sampled_from(WAYS), st.sampled_from([0, 1, -1])


def draw_gradient(rng, g, specials=(0.0, -0.0), share=0.4):
    return values(rng, (g.n, *g.output_size, g.o), specials, share)


def arguments(g, seed):
    """A gradient with zeros, scales of both signs, and sometimes a map that a ReLU returned."""
    rng = np.random.default_rng(seed)
    grad, alpha = draw_gradient(rng, g), values(rng, g.o, [0.0])
    return rng, grad, alpha, values(rng, grad.shape, [0.0, -0.0, np.nan]) if rng.random() < 0.5 else None


def unpacked(gradient):
    """The levels that the planes of a gradient stand for, (N, OH, OW, O) each."""
    if isinstance(gradient, reference.QuantisedGradient):
        return gradient.rows, gradient.columns
    _, oh, ow, _ = gradient.shape
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
@given(SMALL, seeds, some_way, st.booleans())
def test_levels_are_the_oracles(backend, g, seed, way, stochastic):
    (how, bits), (_, grad, alpha, y) = way, arguments(g, seed)
    ours = backend.quantise_gradient(grad, alpha, y, how, bits, stochastic, seed)
    rows, row_unit, columns, column_unit = naive_quantised(grad, alpha, y, how, bits, stochastic, seed)
    np.testing.assert_array_equal(ours.row_unit, row_unit)
    np.testing.assert_array_equal(ours.column_unit, column_unit)
    for levels, expected in zip(unpacked(ours), (rows, columns), strict=True):
        np.testing.assert_array_equal(levels, expected)


@each_backend
@given(SMALL, seeds, some_way)
def test_gradient_of_the_input(backend, g, seed, way):
    """The float convolution of the same levels, to the last bit."""
    rng, grad, alpha, y = arguments(g, seed)
    weight = values(rng, g.weight_shape, SIGN_SPECIALS)
    gradient = backend.quantise_gradient(grad, alpha, y, *way, seed=seed)
    signs = naive.naive_pack_signs(weight)
    grad_x = backend.quantised_grad_input(gradient, signs, g.x_shape, g.stride, g.padding)
    rows, unit, *_ = naive_quantised(grad, alpha, y, *way, True, seed)
    sums = naive.naive_conv2d_grad_input(rows, naive.naive_sign(weight), g.x_shape, g.stride, g.padding)
    assert grad_x.dtype == np.float32
    np.testing.assert_array_equal(grad_x, sums.astype(np.float32) * unit[:, None, None, None])


@each_backend
@given(SMALL, seeds, some_way, pad_values)
def test_gradient_of_the_weights(backend, g, seed, way, pad_value):
    """The float sums of the same levels, to the last bit; the border counts as what it holds."""
    rng, grad, alpha, y = arguments(g, seed)
    x = values(rng, g.x_shape, SIGN_SPECIALS)
    gradient = backend.quantise_gradient(grad, alpha, y, *way, seed=seed)
    bits = packed_signs(x, g.padding, pad_value)
    grad_weight = backend.quantised_grad_weight(bits, gradient, g.weight_shape, g.stride, g.padding, pad_value)
    *_, columns, unit = naive_quantised(grad, alpha, y, *way, True, seed)
    bordered = naive.pad_image(naive.naive_sign(x), g.padding, pad_value)
    sums = naive.naive_conv2d_grad_weight(bordered, columns, g.weight_shape, g.stride, 0)
    assert grad_weight.dtype == np.float32
    np.testing.assert_array_equal(grad_weight, sums.astype(np.float32) * unit[:, None, None, None])


LARGE = [
    Geometry(2, 11, 10, 66, 40, 3, 1, 1),
    Geometry(1, 15, 13, 35, 65, 5, (2, 1), 2),
    Geometry(3, 6, 7, 1100, 65, 1, 1, 0),
    Geometry(1, 16, 16, 32, 33, (6, 7), 2, 3),
    Geometry(70, 1, 1, 40, 300, 1, 1, 0),
    Geometry(33, 8, 9, 8, 8, 1, 1, 0),
]


@pytest.mark.compiled
@pytest.mark.parametrize("g", LARGE)
@each_way
def test_backends_agree_where_tiles_are_full(g, how, bits):
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


@pytest.mark.compiled
@pytest.mark.skipif(config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_threads_do_not_matter():
    rng, before = np.random.default_rng(0), bk.get_num_threads()
    grad, x, weight = values(rng, (5, 9, 8, 70)), values(rng, (5, 9, 8, 33)), values(rng, (70, 3, 3, 33))
    results = []
    try:
        for threads in (1, 2):
            bk.set_num_threads(threads)
            gradient = bk.quantise_gradient(grad, bits=2, seed=9)
            grad_x = bk.quantised_grad_input(gradient, bk.pack_signs(weight), x.shape, 1, 1)
            grad_weight = bk.quantised_grad_weight(packed_signs(x, 1, 0), gradient, weight.shape, 1, 1)
            results.append([a.tobytes() for a in (gradient.rows, gradient.columns, grad_x, grad_weight)])
    finally:
        bk.set_num_threads(before)
    assert results[0] == results[1]


# ---------------------------------------------------------------------------------------------- rounding


@each_backend
@pytest.mark.parametrize(("how", "bits"), [("ternary", 1), ("ternary", 3), ("even", 2)])
def test_unbiased(backend, how, bits):
    """The mean over many pixels of one value is that value, within five standard errors."""
    share, pixels = np.float32(0.3), 400 if PURE_PYTHON else 40_000
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
@pytest.mark.parametrize("x", [[1e-30, -1e-30, 1.0], [-1e-7, 1e-7, -1.0], [0.0, -0.0, 1.0]])
def test_one_even_bit_that_is_not_random_is_the_sign(backend, x):
    """q_1 = sign, with sign(0) = +1."""
    gradient = backend.quantise_gradient(np.array([[[x]]]), how="even", bits=1, stochastic=False)
    np.testing.assert_array_equal(unpacked(gradient)[0].ravel(), naive.naive_sign(np.array(x)))


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
def test_memory_layout_does_not_matter(backend):
    rng = np.random.default_rng(0)
    grad, x, weight = values(rng, (2, 4, 3, 9)), values(rng, (2, 4, 3, 40)), values(rng, (9, 1, 1, 40))
    bits, signs = packed_signs(x, 0, 0), naive.naive_pack_signs(weight)
    results = []
    for change in (np.array, lambda a: np.ascontiguousarray(a.T).T, read_only):
        gradient = backend.quantise_gradient(change(grad), seed=1)
        results.append(
            (
                backend.quantised_grad_input(gradient, change(signs), x.shape),
                backend.quantised_grad_weight(change(bits), gradient, weight.shape),
            )
        )
    for result in results[1:]:
        for ours, theirs in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy
