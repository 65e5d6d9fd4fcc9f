"""Timing: medians of repeated runs of several calls that take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 3


def medians(calls: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Measure the median time of each call.

    Every call runs once, to be compiled. Then the calls take turns, ``ROUNDS`` times, so that other load on the machine
    affects all of them alike. A turn is one run that is not counted, which fills the caches, followed by runs for
    ``seconds / ROUNDS``, at least one.

    Parameters
    ----------
    calls
        Functions by name.
    seconds
        Time for each call without the runs that are not counted, more than 0; ValueError otherwise.

    Returns
    -------
    dict of float
        Seconds per run, by name.
    """
    check(seconds)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()  # the call before it has filled the caches with other data
            times[name] += runs(call, seconds / ROUNDS)
    return {name: statistics.median(each) for name, each in times.items()}


def check(seconds: float) -> None:
    """Raise ValueError unless the time for a measurement is positive."""
    if not seconds > 0:
        raise ValueError(f"the time for each measurement must be more than 0 seconds, got {seconds:g}")


def runs(call: Callable[[], object], seconds: float) -> list[float]:
    """Run a call until ``seconds`` have passed, at least once, and return the seconds of each run."""
    times: list[float] = []
    now = time.perf_counter()
    end = now + seconds
    while not times or now < end:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        times.append(now - start)
    return times
