"""Find out who started this process, and meet the other workers."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import binnet_kernels as bk
from binnet_system import machine

from ..console import sentence_of
from ..signals import TerminatedError
from .communicator import Communicator
from .cores import threads_for
from .launcher import Launch, launched, require_mpi4py


@contextmanager
def connected(timeout: float = 60.0) -> Iterator[Communicator]:
    """Context manager with the communicator of this process: that of MPI if a launcher started several.

    An error in the block ends all workers: one of them says it in a sentence, and none waits for another for ever.

    Parameters
    ----------
    timeout
        Seconds without a sign of life after which a worker counts as lost.

    Raises
    ------
    LaunchError
        When a launcher started several processes that cannot talk to each other.
    SystemExit
        After an error in the block that every worker had; it has been said then.
    """
    launch = launched()
    if launch is None or launch.size == 1:
        yield Communicator()
        return
    yield from _connected(launch, timeout)


def _connected(launch: Launch, timeout: float) -> Iterator[Communicator]:
    require_mpi4py(launch)  # before the module of MPI is imported
    from .mpi import MpiCommunicator

    communicator = MpiCommunicator(launch.launcher)
    guard = communicator.watch(timeout)
    try:
        _divide_cores(communicator)
        yield communicator
    except (KeyboardInterrupt, TerminatedError, SystemExit):
        guard.done()
        raise
    except Exception as error:
        known = isinstance(error, (ValueError, TypeError, OSError, MemoryError, OverflowError))
        if not known or os.environ.get("BINNET_DEBUG"):
            traceback.print_exc()  # a fault of binnet, as of a single process
        guard.fail(sentence_of(error))
        raise SystemExit(1) from None
    guard.done()


def _divide_cores(communicator: Communicator) -> None:
    """Give this worker its part of the cores of its host."""
    here = communicator.gather((socket.gethostname(), machine.cores()))
    host, _ = here[communicator.rank]
    neighbours = [rank for rank, (name, _) in enumerate(here) if name == host]
    threads = threads_for([here[rank][1] for rank in neighbours], neighbours.index(communicator.rank))
    bk.set_num_threads(min(threads, bk.get_num_threads()))
