"""The scales alpha (Eq. 6) and K (Eq. 11)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive import naive_sign, naive_weight_alpha, pair

from .strategies import DEPTHS, OUT_CHANNELS, assert_close, each_backend, geometries, rounding, seeds, values


@each_backend
@given(st.sampled_from(OUT_CHANNELS), st.sampled_from([(1, 1), (3, 2), ()]), st.sampled_from(DEPTHS), seeds)
def test_alpha_is_the_mean_of_absolute_weights(backend, o, taps, c, seed):
    weight = values(np.random.default_rng(seed), (o, *taps, c), [0.0, -0.0])
    exact = naive_weight_alpha(weight)
    assert_close(backend.weight_alpha(weight), exact, 2.0**-23 * exact)  # one unit in the last place


@each_backend
@given(st.sampled_from(DEPTHS), seeds)
def test_no_other_alpha_is_nearer(backend, n, seed):
    """J(alpha) = |W - alpha B|^2 is smallest at the mean of |W| (Eq. 3)."""
    weight = values(np.random.default_rng(seed), (1, n)).astype(np.float64)
    alpha = float(backend.weight_alpha(weight)[0])

    def distance(a):
        return ((weight - a * naive_sign(weight)) ** 2).sum()

    assert distance(alpha) <= min(distance(alpha * 1.001), distance(alpha * 0.999))


@each_backend
def test_alpha_of_a_long_filter_is_not_worn_by_rounding(backend):
    """A naive float32 sum of 200000 times 0.1 is off by 1e-3."""
    weight = np.full((2, 200_000), 0.1, np.float32)
    assert_close(backend.weight_alpha(weight), np.full(2, np.float64(np.float32(0.1))), 1e-7)


@each_backend
@given(geometries(paddings=[0]), seeds)
def test_k_is_beta_of_each_window(backend, g, seed):
    """K_ij = |X|_1 / n of the window X at ij (Eq. 9)."""
    x, (kh, kw) = values(np.random.default_rng(seed), g.x_shape), pair(g.kernel_size)
    windows = np.lib.stride_tricks.sliding_window_view(np.abs(x).astype(np.float64), (kh, kw), axis=(1, 2))
    sh, sw = pair(g.stride)
    beta = windows[:, ::sh, ::sw].mean(axis=(3, 4, 5))[..., None]
    K = backend.scale_map(x, g.kernel_size, g.stride)
    assert_close(K, beta, rounding(g.c + kh * kw) * beta)


@each_backend
def test_k_counts_the_zeros_of_the_border(backend):
    K = backend.scale_map(-np.ones((1, 3, 3, 4)), 3, padding=1)
    np.testing.assert_allclose(K[0, :, :, 0] * 9, [[4, 6, 4], [6, 9, 6], [4, 6, 4]], rtol=1e-6)


@each_backend
def test_k_of_a_window_beside_the_image_is_zero(backend):
    K = backend.scale_map(np.ones((1, 1, 1, 4)), 2, padding=3)
    exact = np.zeros((6, 6))
    exact[2:4, 2:4] = 0.25
    np.testing.assert_array_equal(K[0, :, :, 0], exact)


@each_backend
@given(geometries(), seeds)
def test_k_of_powers_of_two_is_exact(backend, g, seed):
    """Scaling by 4 and changing signs changes nothing but the exponent."""
    rng = np.random.default_rng(seed)
    x = values(rng, g.x_shape)
    other = -4 * x * rng.choice([-1, 1], x.shape).astype(np.float32)
    K = backend.scale_map(x, g.kernel_size, g.stride, g.padding)
    np.testing.assert_array_equal(backend.scale_map(other, g.kernel_size, g.stride, g.padding), 4 * K)


@each_backend
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channel", [0, 16, 64])
def test_k_of_what_is_not_finite(backend, special, channel):
    """Windows that see NaN give NaN, windows that see an infinity give +inf, and no other pixel changes."""
    x = np.ones((2, 5, 6, 65), np.float32)
    x[1, 4, 5, channel] = special
    K = backend.scale_map(x, (3, 2), 1, (1, 0))
    seen = np.zeros(K.shape, bool)
    seen[1, 3:, 4:] = True
    np.testing.assert_array_equal(K[seen], abs(special))
    np.testing.assert_array_equal(K[~seen], backend.scale_map(np.ones_like(x), (3, 2), 1, (1, 0))[~seen])
