"""How filters come into the order that a tile reads them."""

import numpy as np
import pytest

from binnet_kernels.compiled.forward import slabs
from binnet_kernels.simd.tile import CHANNELS

RNG = np.random.default_rng(0)
OUT_CHANNELS = [1, CHANNELS - 1, CHANNELS, CHANNELS + 3]


def slab(taps):
    """Room for some taps behind 5 numbers that stay as they are."""
    return np.full(5 + taps * CHANNELS, 9, np.float32)


def block_of(columns, block):
    """Columns (taps, channels) of one block; a channel past the last is not there."""
    return columns[:, block * CHANNELS : (block + 1) * CHANNELS]


@pytest.mark.parametrize("o", OUT_CHANNELS)
@pytest.mark.parametrize(
    ("depth", "first", "end"), [(1, 0, 1), (7, 0, 7), (40, 0, 40), (40, 3, 36), (61, 32, 61), (33, 32, 33)]
)
def test_filters_side_by_side(o, depth, first, end):
    weight = RNG.standard_normal((o, depth)).astype(np.float32)
    for block in range(-(-o // CHANNELS)):
        values = slab(end - first)
        slabs.interleave(weight.ravel(), (values, 5), block * CHANNELS, o, depth, (first, end))
        expected = block_of(weight.T[first:end], block)
        got = values[5:].reshape(-1, CHANNELS)
        np.testing.assert_array_equal(got[:, : expected.shape[1]], expected)
        assert (values[:5] == 9).all()


@pytest.mark.parametrize("c", OUT_CHANNELS)
@pytest.mark.parametrize(("first", "end"), [(0, 15), (4, 12), (5, 10), (14, 15)])
def test_filters_of_a_transposed_convolution(c, first, end):
    """Three of four places of five filters: taps are place and filter, columns the channels of the input."""
    weight, places = RNG.standard_normal((5, 4, c)).astype(np.float32), np.array([3, 1, 0])
    columns = weight[:, places].transpose(1, 0, 2).reshape(15, c)[first:end]
    for block in range(-(-c // CHANNELS)):
        values = slab(end - first)
        slabs.transpose_slab(weight.ravel(), (values, 5), block * CHANNELS, (5, 4, c), places, (first, end))
        expected = block_of(columns, block)
        got = values[5:].reshape(-1, CHANNELS)
        np.testing.assert_array_equal(got[:, : expected.shape[1]], expected)
        assert (values[:5] == 9).all()


@pytest.mark.parametrize(("first", "end"), [(0, 9), (2, 7), (8, 9)])
def test_signs(first, end):
    negative = RNG.random((2, 9, CHANNELS)) < 0.5  # block, tap, channel
    bits = np.packbits(negative, axis=-1, bitorder="little").ravel()
    for block in range(2):
        values = slab(end - first)
        slabs.expand(bits, (values, 5), block, 9, (first, end))
        expected = np.where(negative[block, first:end], -1, 1)
        np.testing.assert_array_equal(values[5:].reshape(-1, CHANNELS), expected)
        assert (values[:5] == 9).all()
