"""Workers that are processes of MPI. mpi4py is imported here only."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

from binnet_kernels.backend import COMMUNICATION, WORK, Work

from . import guard
from .communicator import Communicator
from .guard import Guard

Array = npt.NDArray[Any]
T = TypeVar("T")


class WorkerError(ValueError):
    """An error of the first worker that cannot be sent to the others as it is."""


class MpiCommunicator(Communicator):
    """The processes of an MPI communicator; see :class:`Communicator` for its methods."""

    def __init__(self, launcher: str = "mpiexec") -> None:
        # A communicator of its own, so that no message of other code is taken for one of binnet.
        self._comm = MPI.COMM_WORLD.Dup()
        self.rank, self.size = self._comm.rank, self._comm.size
        self.launcher = f"{launcher} -n {self.size} "
        self._tag, self._acting = 0, False
        self.guard: Guard | None = None

    def watch(self, timeout: float) -> Guard:
        """Start the guard that says when a worker is lost, and connect this worker to it."""
        address = self.first(lambda: guard.start(self.size, timeout))
        self.guard = Guard.connect(address, self.rank, lambda: MPI.COMM_WORLD.Abort(1))
        return self.guard

    def name_run(self, folder: Path) -> None:
        if self.guard is not None and self.rank == 0:
            self.guard.name_run(folder, self.launcher)

    def beat(self, step: int) -> None:
        if self.guard is not None:
            self.guard.beat(step)

    def first(self, action: Callable[[], T]) -> T:
        if self._acting:  # within an action, which the others do not run
            return action()
        outcome: tuple[Any, BaseException | None] = None, None
        error: BaseException | None = None
        if self.rank == 0:
            self._acting = True
            try:
                outcome = action(), None
            except BaseException as raised:  # a signal too: the others must not go on
                error, outcome = raised, (None, _sendable(raised))
            finally:
                self._acting = False
        outcome = self._comm.bcast(outcome, root=0)
        if outcome[1] is not None:
            raise error or outcome[1]
        result: T = outcome[0]
        return result

    def first_then_all(self, action: Callable[[], T]) -> T:
        results: list[T] = []
        self.first(lambda: results.append(action()))
        return results[0] if results else action()

    def gather(self, value: T) -> list[T]:
        values: list[T] = self._comm.allgather(value)
        return values

    def join(self, rows: Array, counts: Sequence[int]) -> Array:
        whole = np.empty((sum(counts), *rows.shape[1:]), rows.dtype)
        self.sent += rows.nbytes * (self.size - 1)
        self._comm.Allgatherv(rows, [whole, _sizes(rows, counts)])
        return whole

    def collect(self, rows: Array, counts: Sequence[int]) -> Array:
        sizes = _sizes(rows, counts)
        if self.rank:
            self._comm.Gatherv(rows, None, root=0)
            return rows
        whole = np.empty((sum(counts), *rows.shape[1:]), rows.dtype)
        self._comm.Gatherv(rows, [whole, sizes], root=0)
        return whole

    def complete(self, array: Array, counts: Sequence[int]) -> None:
        sizes = _sizes(array, counts)
        self.sent += sizes[self.rank] * array.itemsize * (self.size - 1)
        self._comm.Allgatherv(MPI.IN_PLACE, [array, sizes])

    def exchange(self, send: Sequence[Array], receive: Sequence[Array]) -> Callable[[], None]:
        self._tag = (self._tag + 1) % 32768  # the largest tag that every MPI has
        others = [rank for rank in range(self.size) if rank != self.rank]
        requests = [self._comm.Irecv(receive[r], r, self._tag) for r in others if receive[r].size]
        requests += [self._comm.Isend(send[r], r, self._tag) for r in others if send[r].size]
        self.sent += sum(send[r].nbytes for r in others)
        kept = send, receive  # until the messages are through
        return lambda: self._wait(requests, kept)

    def _wait(self, requests: list[Any], kept: Any) -> None:
        MPI.Request.Waitall(requests)

    def largest(self, values: Array) -> Array:
        # MPI.MAX may lose NaN, np.max does not.
        every = self.join(values[None], [1] * self.size)
        found: Array = every.max(axis=0)
        return found

    def agreed(self, flags: int) -> int:
        result: int = self._comm.allreduce(flags, op=MPI.BOR)
        return result

    @property
    def speaks(self) -> bool:
        return self.rank == 0


# What a profile counts as communication: the time until the messages are there, waiting for other workers included.
WORK.update({(MpiCommunicator, name): Work(COMMUNICATION) for name in ("join", "complete", "exchange", "_wait")})


def _sizes(rows: Array, counts: Sequence[int]) -> list[int]:
    """Numbers of values in ``counts`` rows."""
    return [count * int(np.prod(rows.shape[1:])) for count in counts]


def _sendable(error: BaseException) -> BaseException:
    """The error itself if it can be pickled, else one with the same sentence."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        return WorkerError(str(error))
    return error if str(copy) == str(error) else WorkerError(str(error))
