"""Times for the pages: each the shortest of many calls, on one thread, since other programs can only add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter

import binnet_kernels as bk
from binnet.bench.machine import Peak
from binnet.bench.shapes import Layer
from binnet.bench.workload import Workload
from binnet_kernels import baseline


def times(layer: Layer, names: Iterable[str], seconds: float = 0.4) -> dict[str, float]:
    """Seconds that a convolution takes, found by calling it for some ``seconds``.

    Parameters
    ----------
    names
        ``whole``, the binary layer; ``pack`` and ``popcount``, its parts; ``float32``; ``plain``, loops as in a
        textbook.
    """
    work = Workload(layer)
    found = {name: _shortest(work.calls[name], seconds) for name in names}
    return {name: time * (work.plain_factor if name == "plain" else 1) for name, time in found.items()}


def limits(steps: int = 20_000) -> Peak:
    """Multiply-adds a second of loops that do nothing else, on registers alone: by popcount, and in float32."""
    popcount = _shortest(lambda: baseline.popcount_peak(steps), 0.2)
    fma = _shortest(lambda: baseline.fma_peak(steps), 0.2)
    return Peak(baseline.popcount_peak(1) * steps / popcount, baseline.fma_peak(1) * steps / fma)


def _shortest(call: Callable[[], object], seconds: float) -> float:
    threads = bk.get_num_threads()
    bk.set_num_threads(1)
    call()  # compiles
    taken = []
    end = perf_counter() + seconds
    while len(taken) < 5 or perf_counter() < end:
        start = perf_counter()
        call()
        taken.append(perf_counter() - start)
    bk.set_num_threads(threads)
    return min(taken)
