"""What workers tell each other: the interface, and its form for a training in a single process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt

Array = npt.NDArray[Any]
T = TypeVar("T")


def nothing() -> None:
    """There is nothing to wait for."""


class Communicator:
    """A group of workers that run the same program on parts of the same batches; here, a group of one.

    Each method is called by all workers, in the same order. MPI has its own form in :mod:`binnet.parallel.mpi`.

    Attributes
    ----------
    rank, size : int
        Number of this worker, from 0 on, and number of workers.
    sent : int
        Bytes of arrays that this worker has sent so far; what all others get counts once for each.
    launcher : str
        What stands before a command that as many workers run, such as ``"mpiexec -n 4 "``.
    """

    rank = 0
    size = 1
    sent = 0
    launcher = ""

    def first(self, action: Callable[[], T]) -> T:
        """Run ``action`` on the first worker only, which speaks and writes for all.

        Returns
        -------
        T
            Its result, on every worker.

        Raises
        ------
        Exception
            What it raised, on every worker.

        The action calls no other method than :meth:`first`, because the other workers do not run it.
        """
        return action()

    def first_then_all(self, action: Callable[[], T]) -> T:
        """Run ``action`` on the first worker, then on the others: the first may create what the others read."""
        return action()

    def gather(self, value: T) -> list[T]:
        """The values of all workers, by rank. Values are Python objects that can be pickled."""
        return [value]

    def join(self, rows: Array, counts: Sequence[int]) -> Array:
        """Arrays of all workers one below the other, on every worker.

        Parameters
        ----------
        rows : array (counts[rank], ...)
        counts
            Number of rows of each worker; the other axes and the dtype are the same everywhere.
        """
        return rows

    def collect(self, rows: Array, counts: Sequence[int]) -> Array:
        """:meth:`join` for the first worker only; the others get their own rows back."""
        return rows

    def complete(self, array: Array, counts: Sequence[int]) -> None:
        """Write the rows of all workers into ``array``, C-contiguous, in which each has its own rows already."""

    def exchange(self, send: Sequence[Array], receive: Sequence[Array]) -> Callable[[], None]:
        """Begin to send ``send[r]`` to worker r and to receive ``receive[r]`` from it.

        Arrays are C-contiguous; empty ones are left out, and so is what a worker would send itself.

        Returns
        -------
        function
            It waits until everything has arrived. Until then no array may be changed.
        """
        return nothing

    def largest(self, values: Array) -> Array:
        """The largest of each element over all workers; NaN wins."""
        return values

    def agreed(self, flags: int) -> int:
        """The bits that are set on any worker."""
        return flags

    def name_run(self, folder: Path) -> None:
        """Say where the log of the run is, and so how it can be resumed, in case a worker is lost."""

    def beat(self, step: int) -> None:
        """Say that a step has been finished."""

    @property
    def speaks(self) -> bool:
        """Whether this worker prints messages; one of them speaks for all."""
        return True


def spread(count: int, size: int) -> list[slice]:
    """Divide ``count`` things among ``size`` workers, as evenly as possible, consecutive ones to each."""
    return [slice(rank * count // size, (rank + 1) * count // size) for rank in range(size)]


def lengths(parts: Sequence[slice]) -> list[int]:
    """The lengths of slices."""
    return [part.stop - part.start for part in parts]
