"""One process makes a file, and others that need it at the same time wait for it, instead of making it as well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from binnet_system import locks
from binnet_system.files import delete_and_close

_LONGEST = 120.0  # seconds; a process that is suspended while it compiles must not stop others for ever
_PAUSE = 0.02


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Context manager in which this process makes the file ``path``, if nobody else has made it meanwhile.

    On entry the file exists, or this process is the only one to make it. The lock is a hint: where the file system
    has no locks, or takes no files, and after two minutes, the block is entered all the same.
    """
    file = _lock(path)
    try:
        yield
    finally:
        if file is not None:
            # Deleted while it is locked, where the system can: whoever waits for it looks for the file that was made.
            with suppress(OSError):
                delete_and_close(file, locks.unlock)


def _lock(path: Path) -> IO[bytes] | None:
    """The locked file beside ``path``; None when ``path`` exists or there are no locks."""
    try:
        if not locks.available() or path.exists():
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_suffix(".lock").open("ab")
    except OSError:  # no permission, no space: the file cannot be made either
        return None
    try:
        if _acquired(file, path):
            return file
    except BaseException:  # Ctrl-C while waiting
        file.close()
        raise
    file.close()
    return None


def _acquired(file: IO[bytes], path: Path) -> bool:
    end = time.monotonic() + _LONGEST
    while time.monotonic() < end:
        try:
            # The lock of a process that dies is released.
            return locks.lock(file)  # some network file systems have no locks
        except BlockingIOError:
            time.sleep(_PAUSE)
        if path.exists():
            return False
    return False
