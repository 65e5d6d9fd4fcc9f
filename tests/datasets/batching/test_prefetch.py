from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet_datasets.batching.prefetch import prefetch


def ours() -> list[threading.Thread]:
    """The threads that prefetching has started and that still run."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("binnet-prefetch")]


@given(st.integers(0, 12), st.integers(0, 4))
def test_results_come_in_order_and_leave_no_thread(count: int, workers: int) -> None:
    assert list(prefetch(lambda task: task * task, range(count), workers)) == [task * task for task in range(count)]
    assert ours() == []


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_who_works(workers: int) -> None:
    threads = set(prefetch(lambda task: threading.current_thread(), range(9), workers))
    assert (threads == {threading.current_thread()}) == (workers == 0)
    assert len(threads) <= max(workers, 1)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_nothing_begins_before_the_first_is_asked_for(workers: int) -> None:
    done: list[int] = []
    results = prefetch(done.append, range(9), workers)
    assert (done, ours()) == ([], [])
    next(results)
    results.close()
    assert done


def test_work_goes_on_while_the_consumer_is_busy() -> None:
    done = threading.Event()
    results = prefetch(lambda task: done.set() if task == 2 else None, range(4), 1)
    next(results)
    assert done.wait(20)
    results.close()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_what_is_raised_comes_at_its_turn_and_as_it_is(workers: int) -> None:
    problem = KeyError("damaged")

    def work(task: int) -> int:
        if task == 2:
            raise problem
        return task

    results, seen = prefetch(work, range(9), workers), []
    with pytest.raises(KeyError) as caught:
        seen.extend(iter(lambda: next(results), None))
    assert caught.value is problem
    assert next(results, "over") == "over"
    assert ours() == []


def leave_by_break(results: Iterator[int]) -> None:
    for _ in results:
        break


def leave_by_error(results: Iterator[int]) -> None:
    for _ in results:
        raise KeyboardInterrupt


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_error])
@pytest.mark.parametrize("workers", [1, 3])
def test_leaving_early_stops_the_threads(leave, workers: int) -> None:
    started: list[int] = []
    results = prefetch(started.append, range(10**9), workers)
    try:
        leave(results)
    except KeyboardInterrupt:
        results.close()
    del results
    gc.collect()
    assert ours() == []
    assert len(started) <= workers + 2


class Result:
    """Something whose life can be watched."""


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_few_results_are_alive_at_once(workers: int) -> None:
    alive: weakref.WeakSet[Result] = weakref.WeakSet()
    lock, most = threading.Lock(), 0

    def work(task: int) -> Result:
        nonlocal most
        result = Result()
        with lock:
            alive.add(result)
            most = max(most, len(alive))
        return result

    for _ in prefetch(work, range(60), workers):
        pass
    # One in the hands of the consumer until it gets the next; with workers those made ahead.
    assert most <= (workers + 3 if workers else 2)


def test_a_program_may_end_in_the_middle(root: Path) -> None:
    code = "from binnet_datasets.batching.prefetch import prefetch; r = prefetch(abs, range(10**9), 2); print(next(r))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": str(root / "datasets")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "0\n", "")
