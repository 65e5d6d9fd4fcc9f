"""Ctrl-C and SIGTERM while something must not be cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TerminatedError(BaseException):
    """SIGTERM: as KeyboardInterrupt it passes everything by that handles errors, and files are closed on the way."""


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises TerminatedError in this block, so that temporary files go and locks are given back."""
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


class Stop:
    """Whether the user has asked to stop: ``signal`` is the number of the signal, or 0."""

    def __init__(self) -> None:
        self.signal = 0

    def ask(self, number: int, frame: Any) -> None:
        """Handle a signal: the step that runs is finished first; a second signal stops at once."""
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def stop_signal() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM are noted in this block, so that a step is never cut in two."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
