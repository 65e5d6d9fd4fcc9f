"""The files of an unfinished store: a hidden file with pixels, and a journal with one line per image.

Pixels are appended and synchronised to disk before the journal line that describes them is written. A resumed build
trusts the journal only as far as the checksums of the pixels agree, so a build may be killed at any point.
"""

from __future__ import annotations

import math
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from binnet_system.files import delete_and_close
from binnet_system.locks import lock

# What a crash can lose, and has to be decoded again.
_FLUSH_BYTES, _FLUSH_SECONDS = 1 << 26, 2.0
_WAIT_SECONDS = 0.5


class Record(NamedTuple):
    """One image: rows and columns as stored, CRC-32 of the pixels and of the source file; rows is 0 when corrupt."""

    rows: int
    columns: int
    crc32: int
    source_crc32: int
    reason: str = ""

    def line(self) -> bytes:
        """The record as a line of the journal, with all white space of the reason reduced to single spaces."""
        words = f"{self.rows} {self.columns} {self.crc32:08x} {self.source_crc32:08x} {self.reason}".split()
        return " ".join(words).encode("utf-8", "replace") + b"\n"


def parse(line: bytes) -> Record | None:
    """The inverse of `Record.line`; None for an incomplete or malformed line."""
    try:
        if not line.endswith(b"\n"):
            return None
        rows, columns, crc32, source_crc32, *reason = line.decode().rstrip("\n").split(" ", 4)
        return Record(int(rows), int(columns), int(crc32, 16), int(source_crc32, 16), *reason)
    except ValueError:
        return None


def part_of(out: Path) -> Path:
    """The path of a store's pixels until the store is complete."""
    return out.with_name(f".{out.name}.part")


class Journal:
    """The two hidden files of a build; a context manager that locks out other builds of the same store.

    Parameters
    ----------
    out : path of the future store
    key : hash of sources and options; files with another key are discarded
    start : offset of the first pixel in the file; the bytes before it are written last
    channels : number of channels of each image
    waiting : called every half second while another process builds the same store, with its number of finished images

    Attributes
    ----------
    pixels, path : the two files
    size : bytes of pixels so far

    Raises
    ------
    OSError
        When the files cannot be created, read or written; every method can raise it.
    """

    def __init__(
        self, out: Path, key: str, start: int, channels: int, waiting: Callable[[int], None] | None = None
    ) -> None:
        self.pixels = part_of(out)
        self.path = _journal_of(out)
        self.size = 0
        self._header = f"binnet build 1 {key} {start} {channels}\n".encode()
        self._start, self._channels = start, channels
        self._lines: list[bytes] = []
        self._held, self._flushed = 0, time.monotonic()
        out.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as files:
            self._journal = files.enter_context(_locked(self.path, waiting))
            self._pixels = files.enter_context(self.pixels.open("ab+"))
            self._files = files.pop_all()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def replay(self) -> Iterator[tuple[Record, NDArray[np.uint8]]]:
        """Yield each image that is stored already; must be iterated to its end before `add`, which continues there."""
        self._journal.seek(0)
        good = len(self._header)
        if self._journal.readline() == self._header:
            self._pixels.seek(self._start)
            for line in self._journal:
                record = parse(line)
                pixels = None if record is None else self._read(record)
                if record is None or pixels is None:
                    break
                yield record, pixels
                good += len(line)
                self.size += pixels.size
            self._journal.truncate(good)
        else:  # new, or of other images or options
            self._journal.truncate(0)
            self._journal.write(self._header)
        self._pixels.truncate(self._start + self.size)  # drops pixels whose line was not written
        self.flush()

    def add(self, record: Record, pixels: NDArray[np.uint8] | None) -> None:
        """Append an image; for a corrupt one ``pixels`` is None, and the record holds the reason."""
        if pixels is not None:
            self._pixels.write(pixels.data)
            self.size += pixels.size
            self._held += pixels.size
        self._lines.append(record.line())
        if self._held > _FLUSH_BYTES or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write everything to disk, the pixels first."""
        # In the other order, a power cut could leave a journal line without its pixels.
        self._pixels.flush()
        os.fsync(self._pixels.fileno())
        self._journal.write(b"".join(self._lines))
        self._journal.flush()
        os.fsync(self._journal.fileno())
        self._lines, self._held, self._flushed = [], 0, time.monotonic()

    def close_pixels(self) -> None:
        """Write everything to disk and close the pixels: others write to them now, and rename them."""
        self.flush()
        self._pixels.close()

    def remove(self) -> None:
        """Delete both files; nothing can be added from here on."""
        self._pixels.close()
        self.pixels.unlink(missing_ok=True)
        delete_and_close(self._journal)

    def _read(self, record: Record) -> NDArray[np.uint8] | None:
        """The pixels of the next image; None when they are not those that were written."""
        shape = record.rows, record.columns, self._channels
        content = self._pixels.read(math.prod(shape))
        if len(content) != math.prod(shape) or (content and zlib.crc32(content) != record.crc32):
            return None
        return np.frombuffer(content, np.uint8).reshape(shape)


def remove_stopped(out: Path) -> None:
    """Delete the hidden files of an interrupted build; those of a running build stay."""
    try:
        with _journal_of(out).open("ab+") as journal:
            if _lock(journal):
                part_of(out).unlink(missing_ok=True)
                delete_and_close(journal)
    except OSError:
        return


def _journal_of(out: Path) -> Path:
    return out.with_name(f".{out.name}.journal")


def _locked(path: Path, waiting: Callable[[int], None] | None) -> IO[bytes]:
    """Open a journal and lock it until it is closed; waits while another process holds the lock."""
    while True:
        file = path.open("ab+")
        try:
            while not _lock(file):
                if waiting is not None:
                    file.seek(0)
                    waiting(max(0, sum(1 for _ in file) - 1))  # the first line is the header
                time.sleep(_WAIT_SECONDS)
            if _is_at(file, path):  # else the other process has finished, and has deleted it
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(file: IO[bytes]) -> bool:
    """Lock a file until it is closed; False when another process holds the lock, True on systems without locks."""
    try:
        lock(file)
    except BlockingIOError:
        return False
    return True
