"""Times for the pages: each the shortest of many calls, on one thread, since other programs can only add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter
from typing import Any

import binnet_kernels as bk
from binnet.lab.bench.machine import Peak
from binnet.lab.bench.shapes import Layer
from binnet.lab.bench.workload import Workload
from binnet_kernels.compiled import baseline


def times(layer: Layer, names: Iterable[str], seconds: float = 0.4) -> dict[str, float]:
    """Seconds that a convolution takes, found by calling it for some ``seconds``.

    Parameters
    ----------
    names
        ``whole``, the binary layer; ``pack`` and ``popcount``, its parts; ``float32``; ``plain``, loops as in a
        textbook.
    """
    work = Workload(layer)
    found = {name: _shortest(work.calls[name], seconds)[0] for name in names}
    return {name: time * (work.plain_factor if name == "plain" else 1) for name, time in found.items()}


def limits(steps: int = 100_000) -> Peak:
    """Multiply-adds a second of loops that do nothing else, on registers alone: by popcount, and in float32."""
    loops = (baseline.popcount_peak, baseline.fma_peak)
    results = [_shortest(partial(loop, steps), 0.4) for loop in loops]
    return Peak(*(macs / seconds for seconds, macs in results))


def _shortest(call: Callable[[], Any], seconds: float) -> tuple[float, Any]:
    """How long the shortest of many calls takes on one thread, and what it gives."""
    threads = bk.get_num_threads()
    bk.set_num_threads(1)
    result = call()  # compiles
    taken: list[float] = []
    end = perf_counter() + seconds
    while len(taken) < 5 or perf_counter() < end:
        start = perf_counter()
        call()
        taken.append(perf_counter() - start)
    bk.set_num_threads(threads)
    return min(taken), result
