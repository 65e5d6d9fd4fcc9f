"""A communicator that is as slow as a given network, to find out how a training would do on one (ADR 0032).

Tests and ``docs/make_cluster.py`` use it; no option of a training does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt

from .communicator import Communicator

Array = npt.NDArray[Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Network:
    """What connects the workers.

    Attributes
    ----------
    latency : float
        Seconds until the first byte of a message arrives.
    bandwidth : float
        Bytes a second that a worker sends, and at the same time receives.
    """

    latency: float
    bandwidth: float


class Tapped(Communicator):
    """Passes everything on to another communicator, and tells a subclass how many bytes went over the network.

    A collective operation among N workers takes ⌈log2 N⌉ messages one after the other, and each worker receives the
    parts of all others. An exchange takes one message, and the larger of what a worker sends and receives.
    """

    def __init__(self, inner: Communicator) -> None:
        self._inner, self.rank, self.size = inner, inner.rank, inner.size

    def finished(self, messages: int, size: int) -> None:
        """An operation is over that takes so many messages and bytes."""
        raise NotImplementedError

    def begun(self, size: int) -> Callable[[], None]:
        """An exchange of so many bytes has begun; the result is called when this worker needs what it receives."""
        raise NotImplementedError

    def _together(self, size: int) -> None:
        self.finished((self.size - 1).bit_length(), size)

    def first(self, action: Callable[[], T]) -> T:
        result = self._inner.first(action)
        self._together(0)
        return result

    def first_then_all(self, action: Callable[[], T]) -> T:
        return self._inner.first_then_all(action)

    def gather(self, value: T) -> list[T]:
        result = self._inner.gather(value)
        self._together(0)  # a few words of text
        return result

    def join(self, rows: Array, counts: Sequence[int]) -> Array:
        whole = self._inner.join(rows, counts)
        self._together(whole.nbytes - rows.nbytes)
        return whole

    def collect(self, rows: Array, counts: Sequence[int]) -> Array:
        whole = self._inner.collect(rows, counts)
        self._together(whole.nbytes - rows.nbytes if self.rank == 0 else rows.nbytes)
        return whole

    def complete(self, array: Array, counts: Sequence[int]) -> None:
        self._inner.complete(array, counts)
        self._together(array.nbytes - array[: counts[self.rank]].nbytes)

    def exchange(self, send: Sequence[Array], receive: Sequence[Array]) -> Callable[[], None]:
        wait = self._inner.exchange(send, receive)
        sizes = (sum(array.nbytes for r, array in enumerate(way) if r != self.rank) for way in (send, receive))
        arrived = self.begun(max(sizes))

        def finish() -> None:
            wait()
            arrived()

        return finish

    def largest(self, values: Array) -> Array:
        result = self._inner.largest(values)
        self._together(values.nbytes * (self.size - 1))
        return result

    def agreed(self, flags: int) -> int:
        result = self._inner.agreed(flags)
        self._together(0)
        return result

    def name_run(self, folder: Path) -> None:
        self._inner.name_run(folder)

    def beat(self, step: int) -> None:
        self._inner.beat(step)

    @property
    def speaks(self) -> bool:
        return self._inner.speaks


class Delayed(Tapped):
    """Another communicator whose messages take as long as they would on a network.

    An exchange goes on while the worker computes, and all messages of a worker share its link to the network.
    """

    def __init__(self, inner: Communicator, network: Network) -> None:
        super().__init__(inner)
        self._network = network
        self._free = 0.0  # when the link has sent everything that was handed to it

    def finished(self, messages: int, size: int) -> None:
        """Sleep as long as the network would have taken."""
        self._sleep_until(self._transferred(size) + messages * self._network.latency)

    def begun(self, size: int) -> Callable[[], None]:
        """Note when the exchange will be over; the result sleeps until then."""
        end = self._transferred(size) + self._network.latency
        return lambda: self._sleep_until(end)

    def _transferred(self, size: int) -> float:
        self._free = max(self._free, time.perf_counter()) + size / self._network.bandwidth
        return self._free

    def _sleep_until(self, end: float) -> None:
        left = end - time.perf_counter()
        if left > 0:
            time.sleep(left)
