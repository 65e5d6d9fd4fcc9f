"""Threads: the same bits for any number of them, safe to call from several, and a serial path without the pool."""

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba import config

import binnet_kernels as bk

from .cases import CASES
from .strategies import Geometry

MOST = int(config.NUMBA_NUM_THREADS)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(autouse=True)
def _keep_number_of_threads():
    before = bk.get_num_threads()
    yield
    bk.set_num_threads(before)


def draw(case, geometry, seed=0):
    return case.arguments(np.random.default_rng(seed), geometry)


def bits(results):
    return [(r.shape, r.dtype, r.tobytes()) for r in results]


# ---------------------------------------------------------------------------------------------- the number


def test_set_and_get():
    for n in {1, MOST}:
        bk.set_num_threads(n)
        assert bk.get_num_threads() == n


def test_the_number_holds_for_all_python_threads():
    bk.set_num_threads(1)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(bk.get_num_threads).result() == 1


@pytest.mark.parametrize("n", [0, -1, True, False, 1.5, 1.0, "2", None, MOST + 1, 10**9])
def test_wrong_numbers_are_refused(n):
    before = bk.get_num_threads()
    with pytest.raises(ValueError, match=rf"number of threads must be .*from 1 to {MOST}, got {n!r}"):
        bk.set_num_threads(n)
    assert bk.get_num_threads() == before


# ---------------------------------------------------------------------------------------------- the bits

# Many images, one large image, many filters, and sizes that no tile or thread divides evenly.
SHAPES = {
    "images": Geometry(9, 11, 13, 67, 37, 3, 1, 1),
    "rows": Geometry(1, 41, 37, 33, 19, (3, 2), (2, 1), (1, 0)),
    "filters": Geometry(2, 5, 5, 130, 203, 5, 1, 2),
    "nothing to share": Geometry(1, 3, 3, 1, 1, 3, 1, 0),
}


@pytest.mark.compiled
@pytest.mark.skipif(MOST < 2, reason="needs two threads, NUMBA_NUM_THREADS is 1")
@each_case
@pytest.mark.parametrize("geometry", SHAPES.values(), ids=SHAPES.keys())
def test_same_bits_for_any_number_of_threads(case, geometry):
    arrays, options = draw(case, geometry)
    bk.set_num_threads(1)
    serial = bits(case.run(bk, arrays, options))
    for n in sorted({2, MOST}):
        bk.set_num_threads(n)
        for _ in range(2):
            assert bits(case.run(bk, arrays, options)) == serial


@pytest.mark.compiled
@each_case
@pytest.mark.parametrize("threads", sorted({1, MOST}))
def test_calls_from_four_python_threads(case, threads):
    """Each with its own arrays, all at once, several times."""
    bk.set_num_threads(threads)
    calls = [draw(case, SHAPES["images"], seed) for seed in range(4)]
    alone = [bits(case.run(bk, *call)) for call in calls]
    together = threading.Barrier(4)

    def work(call):
        together.wait(30)
        return [bits(case.run(bk, *call)) for _ in range(3)]

    with ThreadPoolExecutor(4) as pool:
        for results, expected in zip(pool.map(work, calls), alone, strict=True):
            assert results == [expected] * 3


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["Conv2d", "XnorConv2d", "BwnConv2d"])
def test_one_plan_shared_by_four_python_threads(name):
    """A plan holds nothing that a call changes."""
    rng = np.random.default_rng(0)
    plan = getattr(bk, name)(rng.standard_normal((37, 3, 3, 67)), padding=1)
    images = [rng.standard_normal((2, 6 + i, 9, 67)).astype(np.float32) for i in range(4)]
    alone = [plan(x).tobytes() for x in images]
    together = threading.Barrier(4)

    def work(x):
        together.wait(30)
        return [plan(x).tobytes() for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, images)) == [[expected] * 5 for expected in alone]


# ---------------------------------------------------------------------------------------------- the pool

# The table of kernels, in a fresh process: `run_all()` calls every one.
PREAMBLE = f"""
import os, sys, types
tests = {str(Path(__file__).parents[1])!r}
sys.path[:0] = [tests, os.path.join(os.path.dirname(tests), "kernels")]
package = types.ModuleType("kernel_tests")
package.__path__ = [os.path.join(tests, "kernels")]
sys.modules["kernel_tests"] = package
import numba, numpy as np, binnet_kernels as bk
from kernel_tests.cases import CASES
from kernel_tests.strategies import Geometry

def run_all():
    calls = [case.arguments(np.random.default_rng(0), Geometry(2, 5, 6, 65, 17, 3, 1, 1)) for case in CASES]
    return [[r.tobytes() for r in case.run(bk, *call)] for case, call in zip(CASES, calls)]

def pool_runs():
    try:
        return bool(numba.threading_layer())
    except ValueError:  # "Threading layer is not initialized."
        return False
"""


def in_a_new_process(script, **environment):
    code = PREAMBLE + textwrap.dedent(script)
    environment = {**os.environ, **environment}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.compiled
def test_one_thread_never_starts_the_pool():
    script = """
        print(pool_runs())
        bk.set_num_threads(1)
        run_all()
        print(pool_runs())
    """
    assert in_a_new_process(script) == ["False", "False"]


@pytest.mark.compiled
def test_two_threads_do_start_the_pool():
    """The test above can fail."""
    script = """
        bk.set_num_threads(2)
        run_all()
        print(pool_runs())
    """
    assert in_a_new_process(script, NUMBA_NUM_THREADS="2") == ["True"]


@pytest.mark.compiled
def test_environment_chooses_the_number():
    script = "print(bk.get_num_threads()); run_all(); print(pool_runs())"
    assert in_a_new_process(script, NUMBA_NUM_THREADS="1") == ["1", "False"]


@pytest.mark.compiled
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_child_computes(threads):
    """GNU OpenMP kills a child that enters a pool its parent had started."""
    script = f"""
        bk.set_num_threads({threads})
        before = run_all()
        child = os.fork()
        if child == 0:
            os._exit(0 if run_all() == before else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), run_all() == before)
    """
    assert in_a_new_process(script, NUMBA_NUM_THREADS="2") == ["0", "True"]
