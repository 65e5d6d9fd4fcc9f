"""How many threads the kernels use, and the one way into Numba's thread pool."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numba
from numba import config

from binnet_system import machine, processes, tbb

_most = int(config.NUMBA_NUM_THREADS)
_state = {"threads": _most, "most": _most, "pool started": False, "pool ready": False, "one at a time": False}
_one_at_a_time = threading.Lock()
_caller = threading.local()  # what each Python thread has told Numba
_WANT_TBB = ("tbb", "safe", "threadsafe", "forksafe")  # values of NUMBA_THREADING_LAYER for which Numba tries TBB


def set_num_threads(n: int) -> None:
    """See :func:`binnet_kernels.set_num_threads`."""
    most = _state["most"]
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= most:
        raise ValueError(f"the number of threads must be a whole number from 1 to {most}, got {n!r}")
    _state["threads"] = n


def get_num_threads() -> int:
    """See :func:`binnet_kernels.get_num_threads`."""
    return _state["threads"]


def run_in_pool(compiled: Callable[..., Any], arguments: tuple[Any, ...], threads: int) -> Any:
    """Call a parallel kernel with ``threads`` threads."""
    if not _state["pool ready"]:
        _start_pool()
    if getattr(_caller, "threads", None) != threads:
        numba.set_num_threads(threads)  # Numba keeps this number for each calling thread
        _caller.threads = threads
    if not _state["one at a time"]:
        return compiled(*arguments)
    with _one_at_a_time:
        return compiled(*arguments)


def _start_pool() -> None:
    """Start Numba's threads. On a busy machine they are told to sleep soon when they wait.

    A waiting thread of GNU OpenMP spins for 5 ms and more. That is best when the cores are ours, as a thread that slept
    wakes up late and often on the wrong core. Beside other busy processes it is ruinous: a kernel of 0.2 ms took 36 ms.
    The setting is read once, when the library is loaded; 2,000 turns are about 0.03 ms.
    """
    with _one_at_a_time:
        decided = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ) or not _is_busy()
        if not decided:
            os.environ["GOMP_SPINCOUNT"] = "2000"
        if config.THREADING_LAYER in _WANT_TBB:
            tbb.load()
        _state["pool started"] = True  # first, for a child forked in the middle of this
        try:
            numba.set_num_threads(1)
        finally:
            if not decided:
                del os.environ["GOMP_SPINCOUNT"]
        # The workqueue layer aborts the process when two threads enter it at once, so there they take turns.
        _state["one at a time"] = numba.threading_layer() == "workqueue"
        _state["pool ready"] = True


def _is_busy() -> bool:
    """Whether other processes have lately kept the cores busy; this one alone makes a load of about 1."""
    return (machine.load() or 0.0) > max(_state["most"] - 0.5, 1.0)


def _after_fork() -> None:
    """GNU OpenMP kills a forked child that enters a pool its parent had started: such a child computes serially."""
    if _state["pool started"] or _numba_has_a_pool():
        _state["threads"] = _state["most"] = 1


def _numba_has_a_pool() -> bool:
    """Whether any compiled code, also of other libraries, has started Numba's threads."""
    try:
        return bool(numba.threading_layer())
    except ValueError:  # what Numba raises before
        return False


processes.after_fork(_after_fork)
