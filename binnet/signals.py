"""Handling of Ctrl-C and SIGTERM while an operation must not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TerminatedError(BaseException):
    """SIGTERM was received; like KeyboardInterrupt it passes ``except Exception``, but runs cleanup code."""


@contextmanager
def terminable() -> Iterator[None]:
    """Context manager in which SIGTERM raises TerminatedError, so that files are deleted and locks released."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: Any) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


_ASK_TO_STOP = [signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]


class Stop:
    """Whether the user has asked to stop: ``signal`` is the number of the signal, or 0."""

    def __init__(self) -> None:
        self.signal = 0

    def ask(self, number: int, frame: Any) -> None:
        """Signal handler: the current step is finished first; a second signal stops at once."""
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def stop_signal() -> Iterator[Stop]:
    """Context manager that only records Ctrl-C, SIGTERM and SIGUSR1, so that no step is interrupted.

    Schedulers can send SIGUSR1 some time before they end a job, and the launchers of MPI forward it to all workers.
    """
    stop = Stop()
    # Python lets only the main thread set handlers.
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.ask) for number in _ASK_TO_STOP}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
