"""Another system than the one that runs the tests: its capabilities are taken away, or stand-ins take their place."""

import errno
import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from binnet_system import files, locks


class Msvcrt:
    """The locks of Windows, made of those of this system."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def locking(self, descriptor, mode, size):
        """Lock or unlock the byte at the position of the descriptor; PermissionError when it is locked."""
        assert (os.lseek(descriptor, 0, os.SEEK_CUR), size) == (1 << 30, 1)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_UN if mode == self.LK_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None


def _opened(path):
    """Whether this process has the file open."""
    links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    return any(link.is_symlink() and os.path.realpath(link) == os.path.realpath(path) for link in links)


def _refuse_open(path):
    if _opened(path):
        error = PermissionError(errno.EACCES, "The process cannot access the file", str(path))
        error.winerror = 32
        raise error


@pytest.fixture
def like_windows(monkeypatch):
    """Locks of Windows, no pread, and no renaming or deleting of files that are open."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to tell which files are open")
    rename, unlink = files._rename, Path.unlink

    def refusing_rename(source, target):
        _refuse_open(source)
        _refuse_open(target)
        rename(source, target)

    def refusing_unlink(path, missing_ok=False):
        _refuse_open(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(files, "_rename", refusing_rename)
    monkeypatch.setattr(Path, "unlink", refusing_unlink)
    monkeypatch.setattr(files, "_PAUSES", (0.001,))
    monkeypatch.setattr(files, "pread", None)
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "msvcrt", Msvcrt())
    return SimpleNamespace(opened=_opened)
