"""Exclusive lock on an open file; the operating system releases it when the process ends, even by a crash."""

from __future__ import annotations

import errno
import os
from importlib import import_module
from typing import IO, Any


def _module(name: str) -> Any:
    """A module of the standard library that some systems lack; None there."""
    try:
        return import_module(name)
    except ImportError:
        return None


fcntl = _module("fcntl")  # Linux, macOS
msvcrt = _module("msvcrt")  # Windows
_BYTE = 1 << 30  # the byte that is locked on Windows: behind all contents, which stay readable for others
_HELD = (errno.EACCES, errno.EDEADLK, 36)  # what msvcrt.locking raises; 36 is EDEADLOCK of Windows


def available() -> bool:
    """Whether the system has locks at all; a file system may refuse them all the same."""
    return fcntl is not None or msvcrt is not None


def lock(file: IO[Any]) -> bool:
    """Lock a file, open for writing, until it is closed or unlocked.

    Returns
    -------
    bool
        False where there are no locks, as on some file systems of clusters.

    Raises
    ------
    BlockingIOError
        When the file is locked by another process, or through another open file of this one.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            _at_byte(file, msvcrt.LK_NBLCK)
        return available()
    except BlockingIOError:
        raise
    except OSError as error:
        if fcntl is None and error.errno in _HELD:
            raise BlockingIOError from error
        return False


def unlock(file: IO[Any]) -> None:
    """Release the lock of a file that stays open: a child that was forked meanwhile would hold it after closing."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_UN)
    elif msvcrt is not None:
        _at_byte(file, msvcrt.LK_UNLCK)


def _at_byte(file: IO[Any], mode: int) -> None:
    """Call ``msvcrt.locking``, which takes the byte at the position of the file; the position is kept."""
    descriptor = file.fileno()
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, mode, 1)
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)
