"""Locks exclude each other, by the functions of either system; without any, nothing is locked and nothing fails."""

import errno
import os

import pytest

from binnet_system import locks


@pytest.fixture(params=["own", "windows"])
def system(request):
    """This system, and Windows."""
    if request.param == "windows":
        request.getfixturevalue("like_windows")


@pytest.mark.parametrize("how", ["close", "unlock"])
def test_a_lock_excludes_until_it_is_released(tmp_path, system, how):
    path = tmp_path / "file"
    with path.open("a", encoding="utf-8") as first, path.open("ab+") as second:
        first.write("written")
        assert locks.lock(first)
        for _ in range(2):
            with pytest.raises(BlockingIOError):
                locks.lock(second)
        first.write(" before and after")
        first.close() if how == "close" else locks.unlock(first)
        assert locks.lock(second)
    assert path.read_text("utf-8") == "written before and after", "locking moves no position"


def test_other_errors_of_windows_mean_no_locks(tmp_path, like_windows, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EINVAL, "not on this disk")

    monkeypatch.setattr(locks.msvcrt, "locking", refuse)
    with (tmp_path / "file").open("ab") as file:
        assert locks.lock(file) is False


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number):
    class Fcntl:
        LOCK_EX, LOCK_NB = 2, 4

        @staticmethod
        def flock(*_):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks, "fcntl", Fcntl)
    with (tmp_path / "file").open("ab") as file:
        assert locks.lock(file) is False


def test_a_system_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "msvcrt", None)
    with (tmp_path / "file").open("ab") as file:
        assert not locks.available()
        assert locks.lock(file) is False
        locks.unlock(file)
