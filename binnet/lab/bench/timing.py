"""The clock: medians of repeated runs, several calls in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 3


def medians(calls: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """The median time of each call.

    Everything runs once to be compiled. Then the calls take turns, ``ROUNDS`` times, so that what else the machine
    does meets all of them alike: each turn is one run that is not counted, which fills the caches, and runs for
    ``seconds / ROUNDS``, at least one.

    Parameters
    ----------
    calls
        What to time, by name.
    seconds
        For each call, without the runs that are not counted; more than 0.

    Returns
    -------
    dict of float
        Seconds a run.
    """
    check(seconds)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()
            times[name] += runs(call, seconds / ROUNDS)
    return {name: statistics.median(each) for name, each in times.items()}


def check(seconds: float) -> None:
    """ValueError unless there is some time to measure in."""
    if not seconds > 0:
        raise ValueError(f"the time for each measurement must be more than 0 seconds, got {seconds:g}")


def runs(call: Callable[[], object], seconds: float) -> list[float]:
    """Times of the runs of a call that fit into ``seconds``, at least one."""
    times: list[float] = []
    now = time.perf_counter()
    end = now + seconds
    while not times or now < end:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        times.append(now - start)
    return times
