"""Every kernel of the table, in both backends: against its oracle, each other, and every layout of memory."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .cases import CASES
from .strategies import BACKENDS, PURE_PYTHON, Geometry, check_within, each_backend, seeds

POOLS = {
    *("max_pool2d", "max_pool2d_winners", "max_pool2d_grad", "max_pool2d_grad_winners"),
    *("avg_pool2d", "avg_pool2d_grad"),
}
NATIVE = {"unpack_signs", "xnor_gemm", "norm_signs_grad", "max_pool2d_grad_winners"}  # take words, which are
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def draw_call(case, data):
    geometry = data.draw(case.geometry, label="geometry")
    return case.arguments(np.random.default_rng(data.draw(seeds, label="seed")), geometry)


def check(results, expected, name):
    """Plain arrays of the kernels' types, within the bounds of the oracle."""
    assert len(results) == len(expected)
    for position, (actual, (exact, bound)) in enumerate(zip(results, expected, strict=True)):
        what = f"{name}, result {position}"
        assert type(actual) is np.ndarray, what
        assert actual.flags.c_contiguous, what
        assert actual.flags.writeable, what
        if exact.dtype.kind in "iu":
            assert actual.dtype == {"u": exact.dtype, "i": np.int32}[exact.dtype.kind], what
            np.testing.assert_array_equal(actual, exact, err_msg=what)
        else:
            assert actual.dtype == np.float32, what
            check_within(actual, exact, bound, what)


def agree(case, arrays, options):
    """Both backends against the oracle; to the last bit against each other where the table says so.

    And no backend may change its input, which is already as the kernels want it, so that nothing is copied.
    """
    expected, before = case.expect(*arrays, **options), [a.tobytes() for a in arrays]
    results = {}
    for name, backend in BACKENDS.items():
        results[name] = case.run(backend, arrays, options)
        assert [a.tobytes() for a in arrays] == before, f"{name} changed its input"
    for name, result in results.items():
        check(result, expected, name)
    if case.same_bits:
        for ours, theirs in zip(*results.values(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@each_case
@given(data=st.data())
def test_both_backends_agree_with_the_oracle(case, data):
    agree(case, *draw_call(case, data))


# Filters smaller, as large and larger than the image; tiles with and without a tail; an empty batch.
CORNERS = {
    "one pixel": Geometry(1, 1, 1, 1, 1, 1, 1, 0),
    "one pixel, padded": Geometry(2, 1, 1, 64, 16, 3, 1, 1),
    "one column": Geometry(1, 6, 1, 65, 9, (3, 1), (2, 1), 0),
    "exact fit": Geometry(1, 5, 5, 3, 8, 5, 3, 0),
    "stride skips pixels": Geometry(2, 7, 7, 5, 17, 1, 3, 0),
    "no window on the image": Geometry(1, 2, 2, 3, 8, 1, 1, 2),
    "empty batch": Geometry(0, 5, 4, 3, 7, 2, 2, 1),
}


@each_case
@pytest.mark.parametrize("geometry", CORNERS.values(), ids=CORNERS.keys())
def test_corners(case, geometry):
    if case.name in POOLS and geometry.kernel_size == 1:  # which takes no padding
        geometry = replace(geometry, padding=0)
    agree(case, *case.arguments(np.random.default_rng(1), geometry))


LARGE = {
    "3x3": Geometry(2, 11, 10, 66, 40, 3, 1, 1),
    "5x5, strided": Geometry(1, 11, 9, 35, 65, 5, (2, 1), 2),
    "1x1, deep": Geometry(1, 4, 5, 1100, 33, 1, 1, 0),
}


@pytest.mark.slow
@pytest.mark.compiled
@each_case
@pytest.mark.parametrize("geometry", LARGE.values(), ids=LARGE.keys())
def test_large(case, geometry):
    """Sizes at which tiles are full, the depth is blocked and threads share the work."""
    agree(case, *case.arguments(np.random.default_rng(2), geometry))


# ---------------------------------------------------------------------------------------------- memory


def eighths(array):
    """Numbers that float16 holds exactly, so that every type of float means the same."""
    return (np.round(array * 8) / 8).astype(np.float32)


def whole(array):
    return np.round(np.clip(np.nan_to_num(array), -100, 100) * 3).astype(np.float32)


def strided(array):
    """Every second element of something larger."""
    larger = np.zeros(tuple(2 * s for s in array.shape), array.dtype)
    view = larger[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def backwards(array):
    return np.ascontiguousarray(array[..., ::-1])[..., ::-1]


def transposed(array):
    return np.ascontiguousarray(array.T).T


def unaligned(array):
    raw = np.empty(array.nbytes + 1, np.uint8)[1:]
    view = raw.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(array):
    view = array.copy()
    view.flags.writeable = False
    return view


LAYOUTS = {
    "strided": strided,
    "backwards": backwards,
    "transposed": transposed,
    "unaligned": unaligned,
    "read-only": read_only,
    "float64": lambda a: a.astype(np.float64) if a.dtype == np.float32 else a,
    "float16": lambda a: a.astype(np.float16) if a.dtype == np.float32 else a,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "int64": lambda a: a.astype(np.int64) if a.dtype == np.float32 else a,
    "int16": lambda a: a.astype(np.int16) if a.dtype == np.float32 else a,
    "list": lambda a: a.tolist() if a.dtype == np.float32 and a.size else a,
}
LAYOUT_GEOMETRY = Geometry(2, 5, 4, 65 if not PURE_PYTHON else 9, 9, (2, 3), (1, 2), 1)


def check_layout(layout, backend, case, arrays, options):
    simplify = whole if layout.startswith("int") else eighths
    plain = tuple(simplify(a) if a.dtype == np.float32 else a for a in arrays)
    expected = case.run(backend, tuple(a.copy() for a in plain), options)
    changed = tuple(LAYOUTS[layout](a) for a in plain)
    before = tuple(np.array(a) for a in changed)
    results = case.run(backend, changed, options)
    for ours, theirs in zip(results, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=layout)
        assert ours.dtype == theirs.dtype, layout
        assert not any(np.shares_memory(ours, a) for a in changed if isinstance(a, np.ndarray)), layout
    for array, copy in zip(changed, before, strict=True):
        np.testing.assert_array_equal(array, copy, err_msg=layout)


@each_backend
@each_case
def test_memory_layout_and_type_do_not_matter(backend, case):
    arrays, options = case.arguments(np.random.default_rng(3), LAYOUT_GEOMETRY)
    native = any(a.dtype.kind == "u" for a in arrays)  # words
    for layout in LAYOUTS:
        if not (native and layout == "big-endian"):
            check_layout(layout, backend, case, arrays, options)


@each_backend
@each_case
def test_results_of_earlier_calls_stay(backend, case):
    """No result is a buffer that the next call reuses."""
    (first, options), (second, _) = (case.arguments(np.random.default_rng(s), LAYOUT_GEOMETRY) for s in (4, 5))
    results = case.run(backend, first, options)
    before = [r.copy() for r in results]
    case.run(backend, second, options)
    for result, copy in zip(results, before, strict=True):
        np.testing.assert_array_equal(result, copy)
