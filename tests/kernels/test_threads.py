"""Threads: the same bits for any number of them, safe to call from several, and a serial path without the pool."""

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
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


@pytest.mark.slow
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

START = f"""
import os, sys, types
tests = {str(Path(__file__).parents[1])!r}
sys.path[:0] = [tests, os.path.join(os.path.dirname(tests), "kernels")]
import numba, numpy as np, binnet_kernels as bk

def pool_runs():
    try:
        return bool(numba.threading_layer())
    except ValueError:  # "Threading layer is not initialized."
        return False
"""

# The table of kernels, in a fresh process: `run_all()` calls every one.
PREAMBLE = (
    START
    + """
package = types.ModuleType("kernel_tests")
package.__path__ = [os.path.join(tests, "kernels")]
sys.modules["kernel_tests"] = package
from kernel_tests.cases import CASES
from kernel_tests.strategies import Geometry

def run_all():
    calls = [case.arguments(np.random.default_rng(0), Geometry(2, 5, 6, 65, 17, 3, 1, 1)) for case in CASES]
    return [[r.tobytes() for r in case.run(bk, *call)] for case, call in zip(CASES, calls)]
"""
)


def run_new_process(code, without=(), **environment):
    """Run Python code, or a file of it."""
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    result = subprocess.run(
        [sys.executable, *([code] if isinstance(code, Path) else ["-c", code])],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result


def in_a_new_process(script, **environment):
    return run_new_process(PREAMBLE + textwrap.dedent(script), **environment).stdout.split()


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


@pytest.mark.slow
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


# One small layer, packed, counted and scaled, for the processes that ask about the pool and not about the arithmetic.
LAYER = """
import multiprocessing, threading
x = np.random.default_rng(1).standard_normal((2, 9, 9, 70)).astype(np.float32)
bk.set_num_threads(1)
plan = bk.XnorConv2d(np.random.default_rng(0).standard_normal((19, 3, 3, 70)), padding=1, use_k=True)
expected = plan(x).tobytes()
bk.set_num_threads(2)

def layer():
    return plan(x).tobytes()

def outcome_of_a_fork(work):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
HAS_TBB = any(metadata.distributions(name="tbb"))
LAYERS = ["default", "workqueue", pytest.param("tbb", marks=pytest.mark.skipif(not HAS_TBB, reason="needs tbb"))]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def with_a_layer(script, **environment):
    return run_new_process(START + LAYER + textwrap.dedent(script), NUMBA_NUM_THREADS="2", **environment)


@pytest.mark.compiled
@needs_fork
@pytest.mark.parametrize("layer", LAYERS[:2])  # another library would have to find TBB by itself
@pytest.mark.parametrize("starter", ["layer()", "numba.set_num_threads(1)"], ids=["binnet", "another library"])
def test_a_child_forked_after_the_pool_is_serial(layer, starter):
    """Whoever has started it. More threads are refused, not killed."""
    script = f"""
        {starter}

        def child():
            try:
                bk.set_num_threads(2)
            except ValueError as error:
                refused = "from 1 to 1" in str(error)
            return refused and bk.get_num_threads() == 1 and layer() == expected

        print(outcome_of_a_fork(child), outcome_of_a_fork(lambda: outcome_of_a_fork(child) == 0))
        print(bk.get_num_threads(), layer() == expected)
    """
    assert with_a_layer(script, NUMBA_THREADING_LAYER=layer).stdout.split() == ["0", "0", "2", "True"]


@pytest.mark.compiled
@needs_fork
def test_a_child_forked_before_the_pool_may_use_it():
    script = """
        def child():
            return not pool_runs() and layer() == expected and pool_runs()

        print(outcome_of_a_fork(child), pool_runs())
        print(layer() == expected, pool_runs())
    """
    assert with_a_layer(script).stdout.split() == ["0", "False", "True", "True"]


@pytest.mark.compiled
@needs_fork
def test_multiprocessing_by_fork():
    script = """
        layer()
        with multiprocessing.get_context("fork").Pool(2) as workers:
            print(workers.starmap(layer, [()] * 6) == [expected] * 6, layer() == expected)
    """
    assert with_a_layer(script).stdout.split() == ["True", "True"]


@pytest.mark.compiled
def test_multiprocessing_by_spawn(tmp_path):
    """The only start method of Windows, and that of macOS: each worker begins with nothing of its parent's."""
    script = """
        def work(seed):
            x = np.random.default_rng(seed).standard_normal((2, 9, 9, 70)).astype(np.float32)
            plan = bk.XnorConv2d(np.random.default_rng(0).standard_normal((19, 3, 3, 70)), padding=1, use_k=True)
            return plan(x).tobytes()

        if __name__ == "__main__":
            expected = [work(seed) for seed in range(4)]
            with multiprocessing.get_context("spawn").Pool(2) as workers:
                print(workers.map(work, range(4)) == expected, len(set(expected)))
    """
    program = tmp_path / "own program.py"
    program.write_text(START + "import multiprocessing\n" + textwrap.dedent(script))
    result = run_new_process(program, NUMBA_NUM_THREADS="2")
    assert (result.stdout.split(), result.stderr) == (["True", "4"], "")


@pytest.mark.compiled
@pytest.mark.parametrize("layer", LAYERS)
def test_four_python_threads_start_the_pool(layer):
    """Two calls at once would abort the process under workqueue."""
    script = """
        together, results = threading.Barrier(4), []

        def work():
            together.wait(30)
            results.extend(layer() for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(results == [expected] * 80, pool_runs())
    """
    assert with_a_layer(script, NUMBA_THREADING_LAYER=layer).stdout.split() == ["True", "True"]


@pytest.mark.compiled
@pytest.mark.parametrize("layer", LAYERS)
def test_python_threads_run_different_kernels_with_different_numbers_of_threads(layer):
    """Under workqueue the kernels take turns: without them, the process aborts with a message of Numba's."""
    script = """
        weight = np.random.default_rng(2).standard_normal((33, 3, 3, 70)).astype(np.float32)
        works = [layer, lambda: bk.pack_signs(x).tobytes(), lambda: bk.conv2d(x, weight).tobytes(), layer]
        right, together, results = [work() for work in works], threading.Barrier(4), []

        def work(i):
            together.wait(30)
            for turn in range(60):
                if i == 3:
                    bk.set_num_threads(1 + turn % 2)
                results.append(works[i]() == right[i])

        threads = [threading.Thread(target=work, args=[i]) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(len(results), all(results), numba.threading_layer())
    """
    result = with_a_layer(script, NUMBA_THREADING_LAYER=layer)
    assert result.stdout.split()[:2] == ["240", "True"]
    assert layer in ("default", result.stdout.split()[2])


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("load", "chosen", "turns"),
    [
        (9.0, {}, "2000"),
        (0.5, {}, None),
        (9.0, {"GOMP_SPINCOUNT": "77"}, "77"),
        (9.0, {"OMP_WAIT_POLICY": "passive"}, "0"),
    ],
    ids=["busy", "idle", "a number", "a policy"],
)
def test_turns_of_a_waiting_thread(load, chosen, turns):
    """On a busy machine GNU OpenMP spins less, unless the user has decided; the environment stays as it was."""
    script = f"""
        os.getloadavg = lambda: ({load}, 0.0, 0.0)
        before = dict(os.environ)
        layer()
        print(numba.threading_layer(), os.environ == before, os.environ.get("GOMP_SPINCOUNT"))
    """
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    result = with_a_layer(script, without=names, OMP_DISPLAY_ENV="verbose", **chosen)
    assert result.stdout.split()[1:] == ["True", chosen.get("GOMP_SPINCOUNT", "None")]
    if "GOMP_SPINCOUNT" not in result.stderr:
        pytest.skip("Numba does not use GNU OpenMP here")
    if turns is None:
        assert "GOMP_SPINCOUNT = '2000'" not in result.stderr
    else:
        assert f"GOMP_SPINCOUNT = '{turns}'" in result.stderr
