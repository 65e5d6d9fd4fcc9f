"""Files of a folder or tar by name, read where they lie: nothing is unpacked.

A tar inside a folder or tar counts as a folder of its name without ".tar", as in ILSVRC's tar of tars.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .errors import DataError
from .files import why

_DEPTH = 2  # tars within each other: a tar of tars, and that in a folder
_COMPRESSED = {
    b"\x1f\x8b": ("a gzip file", "gunzip"),
    b"BZh": ("a bzip2 file", "bunzip2"),
    b"\xfd7zXZ\0": ("an xz file", "unxz"),
    b"\x28\xb5\x2f\xfd": ("a zstd file", "unzstd"),
    b"PK\x03\x04": ("a zip file", "unzip"),
}


@dataclass(frozen=True, slots=True)
class Member:
    """A run of bytes in a file: a whole file, or one in a tar.

    Attributes
    ----------
    path : the file on disk
    offset, size : where in it the bytes are
    modified : when it was changed, nanoseconds; of a tar's member as the tar says
    """

    path: str
    offset: int
    size: int
    modified: int

    def read(self) -> bytes:
        """Read the bytes; may be called from any thread. Raises OSError, also when the file has become shorter."""
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.offset)
            content = file.read(self.size)
            while len(content) < self.size:  # one call of the system reads at most 2 GB
                more = file.read(self.size - len(content))
                if not more:
                    raise OSError(f"it ends after {len(content)} of {self.size} bytes")
                content += more
        return content


Members = dict[str, Member]


def list_members(path: Path) -> Members:
    """List the files of a folder or tar by their names below it, with "/" between folders, in order of the names.

    Hidden files are left out, and so are links in a tar; links in a folder are followed.

    Raises
    ------
    DataError
        When there is nothing at ``path``, it cannot be read, is compressed, or is a tar that is cut off.
    """
    found = dict(each_member(path))  # of a name that a tar holds twice the last counts
    return {name: found[name] for name in sorted(found)}


def each_member(path: Path) -> Iterator[tuple[str, Member]]:
    """Go through what `list_members` lists, in the order in which it lies there."""
    try:
        if not path.exists():
            raise DataError(f"expected a folder of images or a tar at {path}, but there is nothing")
        for name, member in _walk(path) if path.is_dir() else _tar(path):
            if _visible(name):
                yield name, member
    except OSError as error:
        raise DataError(f"expected a readable folder or tar at {path}, but reading it failed: {why(error)}") from error


def _visible(name: str) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _walk(top: Path) -> Iterator[tuple[str, Member]]:
    """Files below a folder, each folder once even where links make a circle."""
    seen, waiting = set(), [("", str(top))]
    while waiting:
        prefix, folder = waiting.pop()
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    waiting.append((name + "/", entry.path))
                elif entry.is_file() and name.lower().endswith(".tar"):
                    yield from _inside(Path(entry.path), name)
                elif entry.is_file():
                    status = entry.stat()
                    yield name, Member(entry.path, 0, status.st_size, status.st_mtime_ns)


def _inside(path: Path, name: str) -> Iterator[tuple[str, Member]]:
    return ((f"{name[:-4]}/{inner}", member) for inner, member in _tar(path))


def _tar(path: Path) -> Iterator[tuple[str, Member]]:
    """Files of a tar, and of the tars in it."""
    with path.open("rb") as file:
        _check_plain(path, file.read(8))
        yield from _scan(path, file, 0, path.stat().st_size, 1)


def _check_plain(path: Path, start: bytes) -> None:
    """Refuse compressed archives, which cannot be read at any place without unpacking what is before it."""
    for magic, (what, tool) in _COMPRESSED.items():
        if start.startswith(magic):
            raise DataError(
                f"expected a folder of images or an uncompressed tar, but {path} is {what}; {tool} it first"
            )


def _scan(path: Path, file: IO[bytes], start: int, size: int, depth: int) -> Iterator[tuple[str, Member]]:
    """Go from header to header of the tar in ``file`` from byte ``start`` on."""
    import tarfile

    if size == 0:
        return
    try:
        with tarfile.open(fileobj=_Window(file, start, size), mode="r:") as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep a kilobyte for every file
                offset = start + info.offset_data
                if not info.isreg():
                    continue
                if info.offset_data + info.size > size:
                    raise DataError(f"expected a whole tar at {path}, but it is cut off in {info.name}")
                name = info.name.removeprefix("./").lstrip("/")
                if name.lower().endswith(".tar") and depth < _DEPTH:
                    for inner, member in _scan(path, file, offset, info.size, depth + 1):
                        yield f"{name[:-4]}/{inner}", member
                else:
                    yield name, Member(str(path), offset, info.size, int(info.mtime * 1e9))
    except tarfile.TarError as error:
        raise DataError(f"expected a folder of images or a whole tar at {path}, but it is neither: {error}") from error


class _Window(io.RawIOBase):
    """Part of a file as a file; seeks before each read, so several may share the file."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._start + self._at)
        content = self._file.read(wanted)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
