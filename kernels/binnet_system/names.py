"""Names of files that every system takes: devices of Windows, and names that differ in case alone."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterable

DEVICES = os.name == "nt"  # whether some names mean devices here
_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{port}{i}" for port in ("com", "lpt") for i in "123456789¹²³"
}
_REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def is_device(name: str) -> bool:
    """Whether Windows takes the name of a file for a device, with any ending: ``con``, ``aux.h5``, ``nul``."""
    return re.split(r"[.:]", name, maxsplit=1)[0].rstrip(" ").lower() in _DEVICES


def refuse_device(name: str) -> None:
    """Raise OSError on Windows for the name of a device: writing to it would succeed, and nothing would be there."""
    if DEVICES and is_device(name):
        raise OSError(errno.EINVAL, f"{name} is the name of a device on Windows, choose another name")


def folded(name: str) -> str:
    """A form of a name that is the same for all names that are one file on macOS or Windows."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def portable(names: Iterable[str]) -> dict[str, str]:
    """For each name one that every system takes, different from the others also where case does not count.

    Ordinary names stay as they are. Characters that Windows refuses become ``_``, names of devices get one in front,
    and of several names that differ in case alone the second one ends in ``~2``.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = _REFUSED.sub("_", name)
        plain = plain[:-1] + "_" if plain.endswith((".", " ")) else plain or "_"
        plain = f"_{plain}" if is_device(plain) else plain
        chosen, number = plain, 1
        while folded(chosen) in taken:
            number += 1
            chosen = f"{plain}~{number}"
        taken.add(folded(chosen))
        found[name] = chosen
    return found
