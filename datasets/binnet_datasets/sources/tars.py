"""Files of an uncompressed tar by name, every header and the end of the tar checked; nothing is unpacked."""

from __future__ import annotations

import io
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from ..errors import DataError

if TYPE_CHECKING:
    import tarfile

_DEPTH = 2  # tars within each other: a tar of tars, and that in a folder
_BLOCK = 512  # bytes; every header begins on a multiple
_ARCHIVES = (".zip", ".gz", ".tgz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz")  # their files cannot be read in place


@dataclass(frozen=True, slots=True)
class Member:
    """A run of bytes in a file: a whole file, or one in a tar.

    Attributes
    ----------
    path : the file on disk
    offset, size : position and number of the bytes in it
    modified : time of the last change in nanoseconds; for a member of a tar, the time in its header
    """

    path: str
    offset: int
    size: int
    modified: int

    def read(self) -> bytes:
        """Read the bytes; may be called from any thread. Raises OSError, also when the file was truncated meanwhile."""
        return self.part(0, self.size)

    def part(self, start: int, count: int) -> bytes:
        """Read ``count`` bytes from byte ``start`` on, fewer at the end of the member; raises as `read`."""
        count = max(0, min(count, self.size - start))
        # Opened for each read: threads share no position, and a million members hold no file open.
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.offset + start)
            content = file.read(count)
            while len(content) < count:  # one call of the system reads at most 2 GB
                more = file.read(count - len(content))
                if not more:
                    raise OSError(f"it ends after {start + len(content)} of {self.size} bytes")
                content += more
        return content


@dataclass(frozen=True, slots=True)
class Found:
    """The name of a file, and the place of its bytes."""

    name: str
    member: Member


@dataclass(frozen=True, slots=True)
class Unused:
    """The name of a file or folder that cannot be used, and the reason."""

    name: str
    reason: str


def scan_tar(path: Path, shown: object) -> Iterator[Found | Unused | str]:
    """Go through a tar and the tars in it; folders are given as their names.

    Names are below the tar: without "./", a leading "/" or a drive, and with "/" for a backslash. Links lead to files
    of the same tar.

    Parameters
    ----------
    path : the uncompressed tar
    shown : what messages call it

    Raises
    ------
    DataError
        When it is no tar, a header's checksum is wrong, or it is cut off anywhere.
    OSError
        When it cannot be read.
    """
    with path.open("rb") as file:
        yield from _Tar(path, shown, file).scan(0, path.stat().st_size, 1)


class _Tar:
    """A tar that is open."""

    def __init__(self, path: Path, shown: object, file: IO[bytes]) -> None:
        self._path, self._shown, self._file = str(path), shown, file

    def scan(self, start: int, size: int, depth: int) -> Iterator[Found | Unused | str]:
        """Go from header to header from byte ``start`` on, then check the end, then follow the links."""
        if size == 0:
            self._refuse("it is empty")
        known: dict[str, Member] = {}
        links: list[tuple[str, str]] = []
        for info in self._headers(start, size):
            name = _clean(info.name)
            if name is None:
                yield Unused(info.name, "its name leads out of the archive")
            elif info.isdir():
                yield from [name] * bool(name)  # "./" is the top itself, which has no name
            elif info.islnk() or info.issym():
                links.append((name, _target(name, info)))
            elif not info.isreg() or info.issparse():
                yield Unused(name, "a sparse file" if info.issparse() else "neither a file nor a folder")
            else:
                member = Member(self._path, start + info.offset_data, info.size, int(info.mtime * 1e9))
                known[name] = member
                yield from self._file_of(name, member, depth)
        # Links come last, because what they lead to may be further back in the tar.
        targets = dict(links)
        for name, target in links:
            linked = _follow(target, known, targets)
            if linked is None:
                yield Unused(name, "a link to something that is not in the archive")
            else:
                yield Found(name, linked)

    def _file_of(self, name: str, member: Member, depth: int) -> Iterator[Found | Unused | str]:
        """Yield a file, or the files in it when it is a tar."""
        if not name.lower().endswith(".tar"):
            bad = name.lower().endswith(_ARCHIVES)
            yield Unused(name, "an archive inside of an archive: unpack it first") if bad else Found(name, member)
        elif depth >= _DEPTH:
            yield Unused(name, "a tar inside of a tar of a tar: unpack it first")
        else:
            top = name[:-4]
            yield top
            for item in self.scan(member.offset, member.size, depth + 1):
                if isinstance(item, Found):
                    yield Found(f"{top}/{item.name}", item.member)
                else:
                    yield f"{top}/{item}" if isinstance(item, str) else Unused(f"{top}/{item.name}", item.reason)

    def _headers(self, start: int, size: int) -> Iterator[tarfile.TarInfo]:
        """Yield every header of a tar; DataError unless all are valid up to the end of the archive."""
        import tarfile

        try:
            # "r:" reads no compressed tar: offsets must be those of the file.
            with tarfile.open(fileobj=_Window(self._file, start, size), mode="r:") as archive:
                while (info := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]  # it would keep a kilobyte for every file
                    if info.size < 0 or (info.isreg() and info.offset_data + info.size > size):
                        self._refuse(f"it is cut off in {info.name}")
                    yield info
                end = int(archive.offset)  # where no further header was found
        except DataError:
            raise
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise DataError(f"expected a folder or a whole tar at {self._shown}, but it is neither: {error}") from error
        self._check_end(start + end, start + size)

    def _check_end(self, at: int, end: int) -> None:
        """Check that two or more blocks of zeros are all that is left, since tarfile stops at any damaged header."""
        if end - at < 2 * _BLOCK or (end - at) % _BLOCK:
            self._refuse("it is cut off, or its last header is damaged")
        self._file.seek(at)
        while at < end:
            piece = self._file.read(min(1 << 20, end - at))
            if not piece or piece.count(0) != len(piece):
                self._refuse(f"the header at byte {at:,} or what follows it is damaged")
            at += len(piece)

    def _refuse(self, what: str) -> NoReturn:
        raise DataError(f"expected a whole tar at {self._shown}, but {what}")


def _clean(name: str) -> str | None:
    """A name below the archive; None when it leads out of it."""
    name = re.sub(r"^[A-Za-z]:(?=/)", "", name.replace("\\", "/"))
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return None if ".." in parts else "/".join(parts)


def _target(name: str, info: tarfile.TarInfo) -> str:
    """Name of the file that a link leads to; one that leads out of the archive is found nowhere in it."""
    # A hard link gives a path from the top of the archive, a symbolic link one from its own folder.
    if info.islnk():
        return _clean(info.linkname) or ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), info.linkname.replace("\\", "/")))


def _follow(target: str, known: dict[str, Member], links: dict[str, str]) -> Member | None:
    for _ in range(40):  # as many as Linux follows; links in a circle end here
        if target in known:
            return known[target]
        target = links.get(target, "")
    return None


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
