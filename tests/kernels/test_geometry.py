"""Borders around images, and pieces of them."""

import numpy as np
import pytest

from binnet_kernels.simd.geometry import aligned, framed

X = np.arange(1, 2 * 3 * 4 * 2 + 1, dtype=np.float32).reshape(2, 3, 4, 2)
SPANS = [(0, 3), (-2, 5), (1, 2), (-3, 1), (2, 6), (-4, -1), (4, 6)]


@pytest.mark.parametrize("rows", SPANS)
@pytest.mark.parametrize("cols", [(0, 4), *SPANS[1:]])
def test_a_frame_shows_the_image_and_zeros_around_it(rows, cols):
    wide = np.pad(X, ((0, 0), (10, 10), (10, 10), (0, 0)))
    expected = wide[:, rows[0] + 10 : rows[1] + 10, cols[0] + 10 : cols[1] + 10]
    np.testing.assert_array_equal(framed(X, rows, cols), expected.ravel())


def test_all_of_an_image_is_the_image_itself():
    assert np.shares_memory(framed(X, (0, 3), (0, 4)), X)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_aligned_memory(size):
    buffer = aligned(size)
    assert (buffer.shape, buffer.dtype) == ((size,), np.float32)
    assert buffer.ctypes.data % 64 == 0
