"""A square of LANES rows, turned round in registers."""

import numpy as np
import pytest

from binnet_kernels.compiled.forward.transpose import transpose
from binnet_kernels.simd.jit import helper
from binnet_kernels.simd.vector import LANES


@helper
def _transpose(array, first, last, step, column, out, target, pitch):
    transpose(array, first, last, step, column, out, target, pitch)


@pytest.mark.parametrize("rows", [1, LANES - 1, LANES, LANES + 3])
def test_columns_become_rows(rows):
    """Past the last row it is repeated; nothing is written between the rows of the result."""
    matrix = np.arange(rows * (LANES + 5), dtype=np.float32).reshape(rows, LANES + 5)
    pitch = LANES + 2
    out = np.full(3 + LANES * pitch, -1, np.float32)
    _transpose(matrix.ravel(), 0, rows - 1, LANES + 5, 4, out, 3, pitch)
    expected = np.full((LANES, pitch), -1, np.float32)
    expected[:, :LANES] = matrix[np.minimum(np.arange(LANES), rows - 1), 4 : 4 + LANES].T
    np.testing.assert_array_equal(out[3:].reshape(LANES, pitch), expected)
    assert out[:3].tolist() == [-1, -1, -1]
