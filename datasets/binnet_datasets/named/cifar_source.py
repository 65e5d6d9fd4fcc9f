"""Sources of CIFAR-10's files, a folder or the published archive, behind one small interface.

Nothing is unpacked to disk, so no name inside an archive can reach outside a folder.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import DataError

# A batch has 31 MB. Anything much larger is no CIFAR-10 file, and a compressed one could fill the memory.
_MAX_BYTES = 1 << 27


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


def archive_source(path: Path) -> Source:
    """The files of a tar.gz by the last part of their name; all are read in the one pass such an archive allows."""
    contents = _read_archive(path)

    def read(wanted: Sequence[str]) -> dict[str, bytes]:
        return {name: contents[name] for name in wanted if name in contents}

    return Source(path, frozenset(contents), read)


def _sized(path: Path) -> bytes:
    """Read a file of sensible size."""
    _check_size(path.stat().st_size, str(path))
    return path.read_bytes()


def _read_archive(path: Path) -> dict[str, bytes]:
    """Read every batch file of a tar.gz into memory."""
    import tarfile

    contents: dict[str, bytes] = {}
    try:
        # Two layers instead of "r:gz": the checksum below needs the stream of gzip.
        with gzip.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and name.startswith(("data_batch_", "test_batch", "batches.meta")):
                    _check_size(member.size, f"{path}/{name}")  # before anything is read into memory
                    file = archive.extractfile(member)
                    assert file is not None  # isfile() holds
                    contents[name] = file.read()
            while unpacked.read(1 << 20):
                pass  # only at its end does gzip compare the checksum, and tar stops before
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"expected a whole CIFAR-10 tar.gz at {path}, but reading it failed: {error}") from error
    return contents


def _check_size(size: int, where: str) -> None:
    if size > _MAX_BYTES:
        raise DataError(f"expected a CIFAR-10 file of at most {_MAX_BYTES} bytes at {where}, but it has {size}")
