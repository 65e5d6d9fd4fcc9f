"""Sources of CIFAR-10's files, a folder or an archive, behind one small interface.

No name inside an archive is used as a path, so none can reach outside a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import DataError
from ..sources.archives import plain_tar
from ..sources.tars import Found, Member, scan_tar

# A batch has 31 MB. Anything much larger is no CIFAR-10 file, and a compressed one could fill the memory or the disk.
_MAX_BYTES = 1 << 27
_MAX_ARCHIVE = 7 * _MAX_BYTES  # six batches and the rest


@dataclass(frozen=True)
class Source:
    """The names of the files that exist, and a function that reads several at once and skips missing ones."""

    path: Path
    names: frozenset[str]
    read: Callable[[Sequence[str]], dict[str, bytes]]


def folder_source(path: Path) -> Source:
    """The files of a folder; no files when the folder does not exist."""

    def read(wanted: Sequence[str]) -> dict[str, bytes]:
        try:
            return {name: _sized(path / name) for name in wanted if name in names}
        except OSError as error:
            raise DataError(f"expected readable CIFAR-10 files in {path}, but reading failed: {error}") from error

    try:
        names = frozenset(entry.name for entry in path.iterdir() if entry.is_file()) if path.is_dir() else frozenset()
    except OSError as error:
        raise DataError(f"expected a readable folder at {path}, but listing it failed: {error}") from error
    return Source(path, names, read)


def archive_source(path: Path, cache: Path | None = None) -> Source:
    """The files of a tar by the last part of their name; a compressed tar is first unpacked into the cache.

    Raises
    ------
    DataError
        When the archive is damaged or cut off anywhere, is too large, or holds a batch of the same name in two folders.
    """
    try:
        tar = plain_tar(path, cache, _MAX_ARCHIVE)
        if (size := tar.stat().st_size) > _MAX_ARCHIVE:
            raise DataError(f"expected an archive of at most {_MAX_ARCHIVE:,} bytes at {path}, but it has {size:,}")
        members = _by_last_part(path, tar)
    except OSError as error:
        raise DataError(f"expected a readable archive of CIFAR-10 at {path}, but reading failed: {error}") from error

    def read(wanted: Sequence[str]) -> dict[str, bytes]:
        found = {name: members[name] for name in wanted if name in members}
        for name, member in found.items():
            _check_size(member.size, f"{path}/{name}")  # before anything is read into memory
        try:
            return {name: member.read() for name, member in found.items()}
        except OSError as error:
            raise DataError(f"expected a whole archive of CIFAR-10 at {path}, but reading failed: {error}") from error

    return Source(path, frozenset(members), read)


def _by_last_part(path: Path, tar: Path) -> dict[str, Member]:
    """The members of a tar that may be batches or names of classes."""
    members: dict[str, Member] = {}
    full_names: dict[str, str] = {}
    for item in scan_tar(tar, path):
        if not isinstance(item, Found):
            continue
        name = PurePosixPath(item.name).name
        if name.startswith(("data_batch_", "test_batch", "batches.meta")):
            # Batches of two data sets would be mixed without notice. Of the same full name the last counts, as in tar.
            if full_names.setdefault(name, item.name) != item.name:
                raise DataError(f"expected one {name} in {path}, but there are {full_names[name]} and {item.name}")
            members[name] = item.member
    return members


def _sized(path: Path) -> bytes:
    """Read a file of sensible size."""
    _check_size(path.stat().st_size, str(path))
    return path.read_bytes()


def _check_size(size: int, where: str) -> None:
    if size > _MAX_BYTES:
        raise DataError(f"expected a CIFAR-10 file of at most {_MAX_BYTES} bytes at {where}, but it has {size}")
