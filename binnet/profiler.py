"""Profile of training steps: the time by phase and by kind of work.

Every operation looks up its kernels in the package ``binnet_kernels``. While a profile is active, a function that
measures the time replaces each kernel there, so that kernels contain no timing code. At other times a profile costs
nothing.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np

import binnet_kernels as bk
from binnet_kernels.backend import COMMUNICATION, KINDS, REST, WORK, Work

PHASES = ("teacher", "forward", "backward", "update")
MULTIPLYING = KINDS[:3]

_one_at_a_time = threading.Lock()  # the kernels of the package have one clock, whichever thread calls them
_active: ContextVar[Profile | None] = ContextVar("binnet_profile", default=None)


@dataclass
class Spent:
    """Totals over calls: seconds, and the work done.

    Work is in multiply-adds, or in bytes of all arrays read and written, or in bytes sent to other workers.
    """

    seconds: float = 0.0
    work: float = 0.0


class Profile:
    """Measurements of some steps of a training.

    Parameters
    ----------
    steps
        Number of steps to measure.
    skip
        Number of steps before them, in which kernels are compiled and memory is allocated.
    done
        Called with this profile after the last of them.

    Attributes
    ----------
    spent
        By phase and kind, kernels only.
    phases
        Seconds of each phase, 0 for one that there was not.
    total
        Seconds of all measured steps, including the waiting for data between them.
    """

    def __init__(self, steps: int = 10, skip: int = 3, done: Callable[[Profile], None] | None = None) -> None:
        self.steps, self.skip, self.done = steps, skip, done
        self.spent: dict[tuple[str, str], Spent] = {}
        self.phases = dict.fromkeys(PHASES, 0.0)
        self.total, self._seen, self._start, self._phase = 0.0, 0, 0.0, "forward"
        self._calling = False

    @contextmanager
    def step(self) -> Iterator[None]:
        """Context manager around one step of the training."""
        self._seen += 1
        number = self._seen - self.skip
        if not 1 <= number <= self.steps:
            yield
            self._start = time.perf_counter()
            return
        self._start = self._start or time.perf_counter()  # set after the last skipped step, if there is one
        token = _active.set(self)
        try:
            with self._clocks():
                yield
        finally:
            _active.reset(token)
        if number == self.steps:
            self.total = time.perf_counter() - self._start
            if self.done is not None:
                self.done(self)

    def rows(self) -> Iterator[tuple[str, str, Spent]]:
        """Phase, kind and totals of everything that took time, in order, and the rest of each phase."""
        for phase in PHASES:
            if not self.phases[phase] and all(where != phase for where, _ in self.spent):
                continue  # no teacher
            kinds = [(kind, self.spent[phase, kind]) for kind in KINDS if (phase, kind) in self.spent]
            known = sum(spent.seconds for kind, spent in kinds if kind != REST)
            yield from ((phase, kind, spent) for kind, spent in kinds if kind != REST)
            yield phase, REST, Spent(self.phases[phase] - known)

    @contextmanager
    def _clocks(self) -> Iterator[None]:
        """Context manager in which each public kernel, and each method of prepared layers, is timed."""
        if not _one_at_a_time.acquire(blocking=False):
            raise RuntimeError("another profile is running; one process profiles one training at a time")
        places = [(owner or bk, name, work) for (owner, name), work in WORK.items()]
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
        for (owner, name, function), (_, _, work) in zip(before, places, strict=True):
            setattr(owner, name, self._timed(function, work))
        try:
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)
            _one_at_a_time.release()

    def _timed(self, function: Callable[..., Any], work: Work) -> Callable[..., Any]:
        signature = inspect.signature(function)

        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            # Other threads are not measured, and the work of a kernel that calls another one is counted once.
            if self._calling or _active.get() is not self:
                return function(*arguments, **options)
            # What a communicator is given says nothing about what it sends, so it counts that itself.
            sends = work.kind == COMMUNICATION
            before = arguments[0].sent if sends else 0
            self._calling, start = True, time.perf_counter()
            try:
                result = function(*arguments, **options)
            finally:
                self._calling = False
            seconds, spent = time.perf_counter() - start, self.spent.setdefault((self._phase, work.kind), Spent())
            spent.seconds += seconds
            given = signature.bind(*arguments, **options)
            spent.work += arguments[0].sent - before if sends else _amount(work, result, given)
            return result

        return call

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Context manager around one phase of a step."""
        self._phase, start = phase, time.perf_counter()
        yield
        self.phases[phase] += time.perf_counter() - start


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Context manager around one phase of a step, one of ``PHASES``; does nothing without a profile."""
    profile = _active.get()
    if profile is None:
        yield
    else:
        with profile.during(name):
            yield


def _amount(work: Work, result: Any, given: inspect.BoundArguments) -> float:
    """Multiply-adds of a convolution or its gradients, or bytes of all arrays that a kernel is given and returns."""
    if work.multiply_adds is not None:
        # By the names of the front door, whichever way they were given; what is no array yet becomes one.
        values = (np.asarray(a) if isinstance(a, list) else a for a in given.arguments.values())
        return float(work.multiply_adds(result, *values))
    results = result if isinstance(result, tuple) else (result,)
    # By identity: an array that is given twice, or returned as given, moves once.
    return float(
        sum({id(a): a.nbytes for a in (*given.arguments.values(), *results) if isinstance(a, np.ndarray)}.values())
    )
