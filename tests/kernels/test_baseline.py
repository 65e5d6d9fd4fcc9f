"""The loops that benchmarks measure against: they do what they say, and the peak loops stay in registers."""

import re

import numpy as np
import pytest
from llvmlite import binding as llvm
from numba.core.caching import NullCache

import binnet_kernels as bk
import naive
from binnet_kernels.compiled import baseline
from binnet_kernels.simd.counts import BYTE_COUNTS
from binnet_kernels.simd.geometry import sliding
from binnet_kernels.simd.tile import CHUNK, FLOAT_ROWS, VECTORS, XNOR_ROWS
from binnet_kernels.simd.vector import JIT, VECTOR_BITS


@pytest.fixture(autouse=True)
def _one_thread():
    before = bk.get_num_threads()
    bk.set_num_threads(1)
    yield
    bk.set_num_threads(before)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("geometry", [(1, 5, 6, 3, 4, 3, 1, 1), (2, 7, 7, 5, 3, 3, 2, 0), (1, 1, 1, 9, 2, 1, 1, 0)])
def test_plain_convolution(rng, geometry):
    n, h, w, c, o, k, stride, padding = geometry
    x, weight = rng.standard_normal((n, h, w, c)), rng.standard_normal((o, k, k, c))
    expected = naive.naive_conv2d(np.float32(x), np.float32(weight), stride, padding)
    y = baseline.plain_conv2d(x, weight, stride, padding)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    first = baseline.plain_conv2d(x, weight, stride, padding, rows=2)
    np.testing.assert_array_equal(first, y[:, :2])


def test_plain_convolution_refuses_other_channels(rng):
    with pytest.raises(ValueError, match="x has 3 channels"):
        baseline.plain_conv2d(rng.standard_normal((1, 4, 4, 3)), rng.standard_normal((2, 3, 3, 4)))


def test_counted_windows_are_those_of_the_convolution(rng):
    side, filters = 2 * XNOR_ROWS, 2 * baseline.COUNT_CHANNELS  # whole tiles: no pixel and no filter is repeated
    x, weight = rng.standard_normal((2, side, side, 40)), rng.standard_normal((filters, 3, 3, 40))
    plan = bk.XnorConv2d(weight, padding=1, pad_value=1, alpha=False)
    packed, _ = plan._form.pack(x.astype(np.float32), side, side)
    walk = sliding((2, side, side, packed.size // (2 * (side + 2) ** 2)), plan.window)
    found = baseline.count_windows(packed, walk, plan._form.weight_halves, filters)
    assert len(found) == walk.pixels // XNOR_ROWS // CHUNK * 2
    assert found.sum(dtype=np.int64) == (plan(x).astype(np.int64) - 9 * 40).sum()


def test_the_popcount_loop_counts(rng):
    """Counts of bytes do not pass into their neighbours, which are counts of their own."""
    dtype, steps = np.dtype(f"uint{baseline.SIGNS}"), 5
    counted = np.dtype(np.uint8 if BYTE_COUNTS and JIT else dtype)
    x = rng.integers(0, np.iinfo(dtype).max, XNOR_ROWS, dtype)
    weight = rng.integers(0, np.iinfo(dtype).max, baseline.COUNT_CHANNELS, dtype)
    out = np.empty((XNOR_ROWS, baseline.COUNT_CHANNELS), np.int32)
    base, starts = np.zeros(baseline.COUNT_CHANNELS, np.int32), np.arange(XNOR_ROWS)
    baseline._count_in_registers(x, starts, weight, base, out.ravel(), 1, steps)
    expected = np.bitwise_count((x[:, None] ^ weight).view(counted))
    for _ in range(steps):
        expected = expected + np.bitwise_count(expected ^ np.resize(x[:1].view(counted), expected.shape))
    expected = expected.astype(counted).view(dtype)
    np.testing.assert_array_equal(out, -2 * expected.astype(np.int32))


def test_the_multiply_loop_multiplies():
    values, steps = np.linspace(0.5, 0.75, FLOAT_ROWS + baseline.SUM_CHANNELS, dtype=np.float32), 5
    out = np.empty((FLOAT_ROWS, baseline.SUM_CHANNELS), np.float32)
    ones, starts = np.ones(baseline.SUM_CHANNELS, np.float32), np.arange(FLOAT_ROWS)
    baseline._multiply_in_registers(values, starts, values[FLOAT_ROWS:], ones, out.ravel(), 1, steps)
    expected = values[:FLOAT_ROWS, None] * values[FLOAT_ROWS:]
    for _ in range(steps):
        expected = expected * values[0] + values[1]
    np.testing.assert_allclose(out, expected, rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_work_of_the_peak_loops(threads):
    try:
        bk.set_num_threads(threads)
    except ValueError:
        pytest.skip("only one core")
    assert baseline.popcount_peak(3) == threads * 3 * XNOR_ROWS * VECTORS * VECTOR_BITS
    assert baseline.fma_peak(3) == threads * 3 * FLOAT_ROWS * VECTORS * VECTOR_BITS // 32


def loops_with(kernel, call, instruction):
    """The machine code of the loops without branches that hold ``instruction``, compiled afresh."""
    dispatcher = kernel._compiled("serial", parallel=False)
    dispatcher._cache = NullCache()  # code from the cache has no listing
    kernel.__dict__["serial"], before = dispatcher, kernel.__dict__.get("serial")
    try:
        call(1)
    finally:
        kernel.__dict__["serial"] = before or dispatcher
    (listing,) = dispatcher.inspect_asm().values()
    blocks = re.split(r"^(?=\.LBB)", listing, flags=re.MULTILINE)
    loops = [b for b in blocks if re.search(rf"\tj\w+\t{re.escape(b.split(':')[0])}\n", b) and instruction in b]
    assert loops
    return loops


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("kernel", "call", "instructions", "chains"),
    [
        ("_count_in_registers", baseline.popcount_peak, ("vpopcnt", "vpxor", "vpadd"), XNOR_ROWS * VECTORS),
        ("_multiply_in_registers", baseline.fma_peak, ("vfmadd",), FLOAT_ROWS * VECTORS),
    ],
)
def test_the_peak_loops_stay_in_registers(kernel, call, instructions, chains):
    if VECTOR_BITS != 512 or not llvm.get_host_cpu_features().get("avx512vpopcntdq"):
        pytest.skip("the listing that is expected is that of AVX-512 with VPOPCNTDQ")
    # Where LLVM unrolls a loop, on AMD's processors, a second one does the steps that are left.
    for loop in loops_with(getattr(baseline, kernel), call, instructions[0]):
        counts = [loop.count("\t" + name) for name in instructions]
        assert counts[0] >= chains
        assert counts[0] % chains == 0
        assert set(counts) == {counts[0]}  # every count has its XOR and its addition
        vectors = [line for line in loop.splitlines() if line.startswith("\tv")]
        assert len(vectors) == sum(counts)  # and there is nothing else ...
        assert not [line for line in vectors if "(" in line or "zmm" not in line]  # ... and nothing in memory
