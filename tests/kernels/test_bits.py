"""Packed signs: bit 1 is a negative number, least significant bit first, unused bits are 0."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive import naive_pack_signs, naive_sign, naive_xnor_gemm

from .strategies import DEPTHS, SIGN_SPECIALS, each_backend, seeds, values

shapes = st.tuples(st.lists(st.integers(0, 3), max_size=4), st.sampled_from(DEPTHS)).map(lambda s: (*s[0], s[1]))


@each_backend
@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([-1.0], [1]),
        ([1.0], [0]),
        ([1.0, -1.0, -1.0], [0b110]),
        ([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45], [0b10100000]),
        ([1.0] * 63 + [-1.0], [1 << 63]),
        ([-1.0] * 64, [2**64 - 1]),
        ([-1.0] * 65, [2**64 - 1, 1]),
        ([1.0] * 64 + [-1.0], [0, 1]),
    ],
)
def test_layout_of_the_bits(backend, x, words):
    packed = backend.pack_signs(np.array(x, np.float32))
    assert packed.dtype == np.uint64
    assert packed.tolist() == words


@each_backend
@given(shapes, seeds)
def test_pack_any_number_of_axes(backend, shape, seed):
    x = values(np.random.default_rng(seed), shape, SIGN_SPECIALS, 0.5)
    packed = backend.pack_signs(x)
    assert packed.shape == (*shape[:-1], -(-shape[-1] // 64))
    np.testing.assert_array_equal(packed, naive_pack_signs(x))


@each_backend
@given(shapes, seeds)
def test_unpack_undoes_pack(backend, shape, seed):
    x = values(np.random.default_rng(seed), shape, SIGN_SPECIALS)
    signs = backend.unpack_signs(backend.pack_signs(x), shape[-1])
    assert signs.dtype == np.float32
    np.testing.assert_array_equal(signs, naive_sign(x))
    np.testing.assert_array_equal(backend.pack_signs(signs), backend.pack_signs(x))


@each_backend
@given(st.sampled_from(DEPTHS))
def test_unused_bits_are_zero(backend, n):
    last = int(backend.pack_signs(np.full((2, n), -1, np.float32))[1, -1])
    assert last == (1 << ((n - 1) % 64 + 1)) - 1


@each_backend
@given(st.sampled_from(DEPTHS), seeds)
def test_unpack_ignores_unused_bits(backend, n, seed):
    words = np.random.default_rng(seed).integers(0, 2**64, (3, -(-n // 64)), np.uint64, endpoint=False)
    signs = backend.unpack_signs(words, n)
    packed_again = backend.pack_signs(signs)
    mask = backend.pack_signs(np.full(n, -1, np.float32))
    np.testing.assert_array_equal(packed_again, words & mask)


@each_backend
def test_no_signs_need_no_words(backend):
    packed = backend.pack_signs(np.empty((3, 0), np.float32))
    assert packed.shape == (3, 0)
    assert backend.unpack_signs(packed, 0).shape == (3, 0)
    np.testing.assert_array_equal(backend.xnor_gemm(packed, packed, 0), np.zeros((3, 3)))


@each_backend
def test_float64_is_rounded_before_its_sign_is_taken(backend):
    """-1e-60 is -0.0 in float32, the type in which everything is computed."""
    assert backend.pack_signs(np.array([-1e-60, -1e-40])).tolist() == [0b10]


@each_backend
@given(st.sampled_from(DEPTHS), st.integers(0, 5), st.sampled_from([0, 1, 2, 7, 8, 9, 17, 33]), seeds)
def test_gemm_is_n_minus_twice_the_differing_bits(backend, n, rows, columns, seed):
    rng = np.random.default_rng(seed)
    x, y = values(rng, (rows, n)), values(rng, (columns, n))
    a, b = backend.pack_signs(x), backend.pack_signs(y)
    dots = backend.xnor_gemm(a, b, n)
    assert dots.dtype == np.int32
    differing = np.bitwise_count(a[:, None] ^ b[None]).sum(axis=-1, dtype=np.int64)
    np.testing.assert_array_equal(dots, n - 2 * differing)
    np.testing.assert_array_equal(dots, naive_sign(x) @ naive_sign(y).T)
    np.testing.assert_array_equal(backend.xnor_gemm(b, a, n), dots.T)
    np.testing.assert_array_equal(np.diag(backend.xnor_gemm(a, a, n)), n)


@each_backend
@pytest.mark.parametrize("n", [32_768, 65_536, 70_001])
def test_gemm_counts_beyond_16_bits(backend, n):
    """3072 channels x 5 x 5 are 76800 taps."""
    ones = backend.pack_signs(np.ones((1, n), np.float32))
    minus = backend.pack_signs(-np.ones((9, n), np.float32))
    np.testing.assert_array_equal(backend.xnor_gemm(ones, minus, n), np.full((1, 9), -n))
    np.testing.assert_array_equal(backend.xnor_gemm(minus, minus, n), np.full((9, 9), n))


@pytest.mark.compiled
@each_backend
def test_gemm_large(backend):
    rng = np.random.default_rng(0)
    x, y = values(rng, (131, 1153)), values(rng, (67, 1153))
    dots = backend.xnor_gemm(backend.pack_signs(x), backend.pack_signs(y), 1153)
    np.testing.assert_array_equal(dots, np.where(x < 0, -1, 1) @ np.where(y < 0, -1, 1).T)


@each_backend
def test_gemm_of_all_small_words(backend):
    """Every pair of bytes: a popcount that is wrong anywhere shows."""
    words = np.arange(256, dtype=np.uint64)[:, None] * np.uint64(0x0101010101010101)
    np.testing.assert_array_equal(backend.xnor_gemm(words[:16], words, 64), naive_xnor_gemm(words[:16], words, 64))
