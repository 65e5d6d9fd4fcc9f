"""Detection of arrays that are changed in place between the forward and the backward pass (ADR 0024)."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_PARTS = 64


class Watch:
    """One array that a gradient depends on, and a fingerprint of it once it may be changed."""

    __slots__ = ("__weakref__", "_array", "_fingerprint")

    def __init__(self, array: Array) -> None:
        # Weak, so that a graph keeps no array alive that no function has saved. An array that is gone cannot be read.
        self._array, self._fingerprint = weakref.ref(array), b""

    def take(self) -> None:
        """Keep a fingerprint of the array as it is, unless there is one already."""
        array = self._array()
        if array is not None and not self._fingerprint:
            self._fingerprint = fingerprint(array)

    def check(self, what: str) -> None:
        """RuntimeError that names ``what`` when the array has changed since :meth:`take`."""
        array = self._array()
        if array is not None and self._fingerprint and fingerprint(array) != self._fingerprint:
            raise RuntimeError(
                f"{what} was changed in place after the forward pass, so that its gradient can no longer be computed; "
                "call backward() before changing it, or change a copy"
            )


class Memory:
    """The memory of one tensor, or of several that are views of each other.

    NumPy does not count the changes of an array. While ``exposed`` is False, only this package can change it, and calls
    :meth:`before_change` first; once an array has been handed out, all are compared.

    Parameters
    ----------
    exposed
        Whether code outside this package holds the array.
    """

    __slots__ = ("_watches", "exposed")

    def __init__(self, exposed: bool) -> None:
        self.exposed = exposed
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()

    def __reduce__(self) -> tuple[type[Memory], tuple[bool]]:
        return Memory, (self.exposed,)  # a copy is watched by nothing

    def watch(self, array: Array) -> Watch:
        """Notice changes of ``array``, which lies in this memory, from now on."""
        watch = Watch(array)
        # Code outside may change the array without notice, so it is compared with its present values.
        if self.exposed:
            watch.take()
        else:
            self._watches.add(watch)
        return watch

    def before_change(self) -> None:
        """Take the fingerprints of all watched arrays; to be called before their values change."""
        for watch in list(self._watches):
            watch.take()

    def expose(self) -> None:
        """Compare from now on; to be called before an array is handed out."""
        if not self.exposed:
            self.before_change()
            self.exposed = True


def fingerprint(array: Array) -> bytes:
    """Sums of the bits of an array by rows and by columns, so that any change of one value, and a swap, shows.

    It takes two passes at the speed of memory, a small part of what a cryptographic digest takes.
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    words = flat.view(np.uint32 if flat.itemsize % 4 == 0 else np.uint8)
    whole = words.size // _PARTS * _PARTS
    sums = [words[whole:]]
    if whole:
        rows = words[:whole].reshape(_PARTS, -1)
        sums += [np.add.reduce(table, axis=1, dtype=np.uint32) for table in (rows, rows.reshape(-1, _PARTS).T)]
    return b"".join(part.tobytes() for part in sums) + b"."
