"""TBB, a thread pool that Numba can use in place of OpenMP, where pip has installed it."""

from __future__ import annotations

import ctypes
from importlib import metadata

_NAMES = ("libtbb.so.12", "tbb12.dll", "libtbb.12.dylib")  # Linux, Windows, macOS


def load() -> bool:
    """Load the library of the package ``tbb``, which pip puts where no system looks for libraries.

    Returns
    -------
    bool
        Whether it is loaded. It is not when the package is missing or does not fit this machine.
    """
    try:
        found = [file for file in metadata.files("tbb") or () if file.name in _NAMES]
        for file in found:
            ctypes.CDLL(str(file.locate()))
    except (metadata.PackageNotFoundError, OSError):
        return False
    return bool(found)
