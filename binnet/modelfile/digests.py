"""SHA-256 of what is read or written, also beside the reading: on two cores as fast as the slower of the two."""

from __future__ import annotations

import hashlib
from queue import SimpleQueue
from threading import Thread
from typing import Any

Bytes = bytes | memoryview


def digest(*pieces: Bytes) -> str:
    """SHA-256 of some bytes, one after the other, in lower-case hexadecimal digits."""
    sha256 = hashlib.sha256()
    for piece in pieces:
        sha256.update(piece)
    return sha256.hexdigest()


class Digests:
    """SHA-256 by name, computed in a thread that lives as long as the ``with`` block; results are there afterwards."""

    def __init__(self) -> None:
        self._by_name: dict[str, Any] = {}
        self._given: SimpleQueue[tuple[str, Bytes] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, daemon=True)

    def __enter__(self) -> Digests:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._given.put(None)
        self._thread.join()

    def update(self, name: str, piece: Bytes) -> None:
        """The next bytes of what has this name; they must not be changed afterwards."""
        self._given.put((name, piece))

    def found(self, name: str) -> str:
        """The digest of what had this name, of no bytes when there was nothing."""
        sha256 = self._by_name.get(name)
        return digest() if sha256 is None else str(sha256.hexdigest())

    def _work(self) -> None:
        while (given := self._given.get()) is not None:
            name, piece = given
            self._by_name.setdefault(name, hashlib.sha256()).update(piece)
