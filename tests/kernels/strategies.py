"""What the tests of the kernels share: the two backends, random shapes and values, and the comparison of floats."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import strategies as st

import binnet_kernels
from binnet_kernels import reference
from binnet_kernels.backend import jit_disabled
from naive import output_size, pair, sides

BACKENDS = {"reference": reference, "fast": binnet_kernels}
each_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())

PURE_PYTHON = jit_disabled()
# Multiplications in the largest random convolution: kernels that run as pure Python need about 1 µs for each.
BUDGET = 30_000 if PURE_PYTHON else 3_000_000

# One word, its ends, two words and a bit; tails of tiles of 4, 8 and 16 channels.
DEPTHS = [1, 2, 3, 5, 16, 33, 63, 64, 65, 127, 128, 129]
OUT_CHANNELS = [1, 2, 7, 8, 9, 15, 16, 17, 33]
KERNEL_SIZES = [1, 2, 3, (1, 3), (3, 1), (2, 4), 5]
STRIDES = [1, 2, 3, (2, 1), (1, 2), (3, 2)]
PADDINGS = [0, 1, 2, 3, (1, 0), (0, 2), (3, 1)]
BORDERS = [*PADDINGS, *product(range(4), repeat=4)]  # also different on each side

# Sign is defined for all of them: +1 for NaN and both zeros.
SIGN_SPECIALS = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45]


@dataclass(frozen=True)
class Geometry:
    """The sizes of one convolution or pooling; window arguments as a caller writes them."""

    n: int
    h: int
    w: int
    c: int
    o: int
    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] | None
    padding: int | tuple[int, ...]

    @property
    def x_shape(self):
        return self.n, self.h, self.w, self.c

    @property
    def weight_shape(self):
        return self.o, *pair(self.kernel_size), self.c

    @property
    def output_size(self):
        stride = self.kernel_size if self.stride is None else self.stride
        return output_size((self.h, self.w), self.kernel_size, stride, self.padding)

    @property
    def cost(self):
        return np.prod(self.weight_shape) * self.n * np.prod(self.output_size)


@st.composite
def geometries(draw, depths=DEPTHS, strides=STRIDES, paddings=PADDINGS, fits=lambda size, padding: True):
    """Convolutions that are defined: the padded image is at least as large as the filter, and often just so."""
    kernel_size = draw(st.sampled_from(KERNEL_SIZES))
    stride = draw(st.sampled_from(strides))
    padding = draw(st.sampled_from([p for p in paddings if fits(kernel_size, p)]))
    c, o = draw(st.sampled_from(depths)), draw(st.sampled_from(OUT_CHANNELS))
    n = draw(st.sampled_from([1, 2, 3, 0]))
    top, bottom, left, right = sides(padding)
    least = [max(1, k - p) for k, p in zip(pair(kernel_size), (top + bottom, left + right), strict=True)]
    h, w = (draw(st.integers(size, 7)) for size in least)
    geometry = Geometry(n, h, w, c, o, kernel_size, stride, padding)
    if geometry.cost > BUDGET:
        geometry = Geometry(1, *least, c, o, kernel_size, stride, padding)
    return geometry


def pool_geometries(paddings=PADDINGS):
    """Poolings: a padding smaller than the window, and often the default stride."""

    def fits(size, padding):
        (kh, kw), (top, bottom, left, right) = pair(size), sides(padding)
        return max(top, bottom) < kh and max(left, right) < kw

    return geometries(depths=OUT_CHANNELS, strides=[None, *STRIDES], paddings=paddings, fits=fits)


seeds = st.integers(0, 2**32 - 1)


def values(rng, shape, specials=(), share=0.2):
    """Normal float32 numbers, a share of them replaced by ``specials``."""
    x = rng.standard_normal(shape).astype(np.float32)
    if specials:
        chosen = rng.random(shape) < share
        x[chosen] = rng.choice(np.array(specials, np.float32), chosen.sum())
    return x


def rounding(terms):
    """Bound of the relative error of a float32 sum, relative to the sum of the absolute values of its terms.

    Errors of single roundings, at most u = 2^-24, add up like a random walk: sqrt(terms) u, here four times that (more
    than six standard deviations, because most partial sums are smaller than the last and a rounding is rarely u).
    """
    return 4 * np.sqrt(np.maximum(terms, 1)) * 2.0**-24


def assert_close(actual, exact, bound, what=""):
    """A float32 result lies within ``bound`` of the float64 oracle; NaN and infinities are at the same places."""
    assert actual.dtype == np.float32
    check_within(actual, exact, bound, what)


def check_within(actual, exact, bound, what=""):
    """``|actual - exact| <= bound``, element by element."""
    exact, bound = np.asarray(exact), np.broadcast_to(bound, np.shape(exact))
    assert actual.shape == exact.shape, what
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(actual[~finite], exact[~finite].astype(actual.dtype), err_msg=what)
    error = np.abs(actual[finite].astype(np.float64) - exact[finite])
    excess = error - (bound[finite] + np.finfo(np.float32).tiny)  # tiny: results may underflow
    assert not np.isnan(error).any(), f"{what}: NaN where the oracle is finite"
    worst = excess.argmax() if excess.size else 0
    assert (excess <= 0).all(), f"{what}: off by {error[worst]:.3g}, allowed {bound[finite][worst]:.3g}"
