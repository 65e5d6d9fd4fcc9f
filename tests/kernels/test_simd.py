"""The vector type: each operation against NumPy, and no byte touched outside an array."""

import os
import subprocess
import sys

import numpy as np
import pytest

from binnet_kernels.simd import vector
from binnet_kernels.simd.jit import helper
from binnet_kernels.simd.vector import LANES

from .test_threads import PREAMBLE

X = np.random.default_rng(0).standard_normal(200).astype(np.float32)
X[::7], X[3], X[20], X[64] = -0.0, np.nan, -np.inf, np.inf
# Every count of lanes, none, fewer than none (a tile past the edge) and more than a vector.
KEEP = [-LANES, -1, *range(LANES + 1), LANES + 1, 3 * LANES]


@helper
def _copy_first(x, out, source, target, keep):
    vector.store_first(out, target, vector.load_first(x, source, keep), LANES)


@helper
def _store_first(x, out, source, target, keep):
    vector.store_first(out, target, vector.load(x, source), keep)


@helper
def _double_and_scale(x, out, factor):
    value = vector.load(x, 0)
    vector.store_first(out, 0, vector.times(vector.add(vector.magnitude(value), value), factor), LANES)


@helper
def _sum(x, start, n):
    total = vector.zeros()
    for i in range(0, n, LANES):
        total = vector.add(total, vector.load_first(x, start + i, n - i))
    return vector.sum_lanes(total)


@helper
def _signs(x, halves, start, target):
    vector.store_signs(halves, target, x, start)


@helper
def _sign_half(x, start, keep):
    return vector.sign_half(x, start, keep)


def lanes_of(keep):
    return min(max(keep, 0), LANES)


@pytest.mark.parametrize("keep", KEEP)
def test_load_first_fills_up_with_zeros(keep):
    out = np.full(3 * LANES, 9, np.float32)
    _copy_first(X, out, 5, 3, keep)
    expected = np.full(3 * LANES, 9, np.float32)
    expected[3 : 3 + LANES] = 0
    expected[3 : 3 + lanes_of(keep)] = X[5 : 5 + lanes_of(keep)]
    assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("keep", KEEP)
def test_store_first_leaves_the_rest(keep):
    out = np.full(3 * LANES, 9, np.float32)
    _store_first(X, out, 5, 3, keep)
    expected = np.full(3 * LANES, 9, np.float32)
    expected[3 : 3 + lanes_of(keep)] = X[5 : 5 + lanes_of(keep)]
    assert out.tobytes() == expected.tobytes()


def test_arithmetic():
    out = np.zeros(LANES, np.float32)
    _double_and_scale(X, out, np.float32(-3))
    np.testing.assert_array_equal(out, (np.abs(X[:LANES]) + X[:LANES]) * np.float32(-3))


@pytest.mark.parametrize("n", [0, 1, LANES - 1, LANES, LANES + 1, 5 * LANES + 3])
def test_sums(n):
    """Whole numbers, so that the order makes no difference."""
    whole = np.arange(1, 200, dtype=np.float32)
    assert _sum(whole, 2, n) == whole[2 : 2 + n].sum()


def test_order_of_a_sum():
    """The upper half onto the lower half, until one is left."""
    vector = X[X == X][:LANES].clip(-9, 9)
    expected = vector
    while len(expected) > 1:
        expected = expected[: len(expected) // 2] + expected[len(expected) // 2 :]
    assert _sum(vector, 0, LANES) == expected[0]


def bits_of(values, count):
    bits = np.zeros(count, bool)
    bits[: len(values)] = values < 0
    return np.packbits(bits, bitorder="little").view("<u4")


@pytest.mark.parametrize("start", [0, 1, 17])
def test_signs(start):
    """NaN and -0.0 are not negative."""
    halves = np.full(5, 7, np.uint32)
    _signs(X, halves, start, 1)
    assert halves.tolist() == [7, *bits_of(X[start : start + 64], 64), 7, 7]


@pytest.mark.parametrize("keep", [*range(1, 33), 40])
def test_half_a_word_of_signs(keep):
    assert _sign_half(X, 11, keep) == bits_of(X[11 : 11 + min(keep, 32)], 32)[0]


GUARDED = """
import ctypes, mmap
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

def guarded(array, at_end):
    '''A copy that touches a page which may not be touched: the one after its end, or the one before its start.'''
    pages = -(-array.nbytes // PAGE) + 2
    memory = np.frombuffer(mmap.mmap(-1, pages * PAGE), np.uint8)
    for page in (0, pages - 1):
        assert libc.mprotect(memory.ctypes.data + page * PAGE, PAGE, 0) == 0
    start = (pages - 1) * PAGE - array.nbytes if at_end else PAGE
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy

bk.set_num_threads(1)
geometries = [
    Geometry(2, 5, 6, 65, 17, 3, 1, 1), Geometry(1, 4, 3, 31, 33, (1, 2), 2, 0), Geometry(1, 7, 7, 129, 1, 3, 2, 1)
]
for geometry in geometries:
    for case in CASES:
        arrays, options = case.arguments(np.random.default_rng(0), geometry)
        expected = [r.tobytes() for r in case.run(bk, arrays, options)]
        for at_end in (True, False):
            print(case.name, geometry, at_end, file=sys.stderr, flush=True)  # the last line names the culprit
            copies = [guarded(a, at_end) if isinstance(a, np.ndarray) and a.size else a for a in arrays]
            assert [r.tobytes() for r in case.run(bk, copies, options)] == expected
print("done")
"""


@pytest.mark.compiled
@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_no_kernel_reads_outside_its_arguments():
    """Explicit loads check no bounds: here one byte too far ends the process."""
    command = [sys.executable, "-X", "faulthandler", "-c", PREAMBLE + GUARDED]
    # It compiles every kernel, for which 300 s were too few under emulation (.ci/arm64).
    timeout = 7200 if "QEMU_CPU" in os.environ else 300
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.split() == ["done"]
