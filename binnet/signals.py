"""Handling of Ctrl-C and SIGTERM while an operation must not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from binnet_system.processes import signals


class TerminatedError(BaseException):
    """SIGTERM or SIGUSR1 was received; like KeyboardInterrupt it passes ``except Exception``, but runs cleanup code.

    Attributes
    ----------
    signal : int
        Number of the signal.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.signal = number


_TERMINATE = signals("SIGTERM", "SIGUSR1", "SIGBREAK")  # SIGBREAK: Ctrl-Break on Windows


@contextmanager
def terminable() -> Iterator[None]:
    """Context manager in which SIGTERM and SIGUSR1 raise TerminatedError, so that cleanup code runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: Any) -> None:
        raise TerminatedError(number)

    before = {number: signal.signal(number, terminate) for number in _TERMINATE}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ASK_TO_STOP = [signal.SIGINT, *_TERMINATE]


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
