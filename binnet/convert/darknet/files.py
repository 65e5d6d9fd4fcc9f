"""The two files of a Darknet network: the sections of ``.cfg``, and the numbers of ``.weights``."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from ...graph.graph import Float
from ..report import ConversionError

MOST_TEXT, MOST_BYTES = 1 << 20, 1 << 31
MOST_SECTIONS = 2000
# Settings that a section may have; those that only training reads are among them.
KNOWN = {
    "convolutional": "batch_normalize filters size stride pad padding activation groups binary xnor flipped",
    "connected": "output activation batch_normalize",
    "maxpool": "size stride padding",
    "avgpool": "",
    "dropout": "probability",
    "softmax": "groups temperature",
    "cost": "type scale ratio",
    "shortcut": "from activation",
    "route": "layers",
    "activation": "activation",
}
KNOWN = {name: f"{keys} learning_rate stopbackward" for name, keys in KNOWN.items()}
KNOWN |= {"conv": KNOWN["convolutional"], "conn": KNOWN["connected"], "max": KNOWN["maxpool"], "avg": KNOWN["avgpool"]}
LONG = {"conv": "convolutional", "conn": "connected", "max": "maxpool", "avg": "avgpool", "soft": "softmax"}
KNOWN["soft"] = KNOWN["softmax"]


class Section:
    """A section of the .cfg file: its kind, and its settings as text."""

    def __init__(self, kind: str, label: str) -> None:
        self.kind, self.label = LONG.get(kind, kind), label
        self.settings: dict[str, str] = {}

    def text(self, key: str, default: str = "") -> str:
        return self.settings.get(key, default)

    def number(self, key: str, default: int) -> int:
        given = self.text(key, str(default))
        if not given.isascii() or not given.removeprefix("-").isdigit() or len(given) > 9:
            raise ConversionError(f"{self.label}: {key} must be a whole number, got {given[:40]!r}")
        return int(given)

    def check(self) -> None:
        if self.kind not in KNOWN:
            raise ConversionError(f"{self.label}: binnet does not know sections of this kind")
        unknown = sorted(set(self.settings) - set(KNOWN[self.kind].split()))
        if unknown:
            raise ConversionError(f"{self.label}: binnet does not know the setting {unknown[0][:40]!r}")


def sections_of(path: Path) -> list[Section]:
    with path.open("rb") as file:
        data = file.read(MOST_TEXT + 1)
    if len(data) > MOST_TEXT:
        raise ConversionError(f"{path} is larger than {MOST_TEXT} bytes, which no .cfg file of Darknet is")
    found: list[Section] = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        words = "".join(line.split())  # Darknet ignores all blanks
        if words.startswith("[") and words.endswith("]"):
            found.append(Section(words[1:-1], f"{path.name}, line {number}, {words[:40]}"))
        elif words and words[0] not in "#;":
            key, equal, value = words.partition("=")
            if not found or not equal:
                raise ConversionError(f"{path}, line {number}: expected [section] or key=value, got {line[:40]!r}")
            if key in found[-1].settings:
                raise ConversionError(f"{path}, line {number}: {key[:40]!r} is there twice in its section")
            found[-1].settings[key] = value
    if not found or found[0].kind not in ("net", "network") or not 2 <= len(found) <= MOST_SECTIONS:
        raise ConversionError(f"{path} is no network of Darknet: it must start with [net] and have 1 to 1,999 layers")
    return found


class Values:
    """The numbers of a .weights file, taken one array after the other."""

    def __init__(self, path: Path) -> None:
        if path.stat().st_size > MOST_BYTES:
            raise ConversionError(f"{path} is larger than {MOST_BYTES:,} bytes")
        self.path, self.data, self.at = path, path.read_bytes(), 0
        major, minor, _ = self._header("<3i")
        # The number of images seen in training became wider with version 0.2.
        self._header("<Q" if major * 10 + minor >= 2 and major < 1000 and minor < 1000 else "<i")
        self.transposed = major > 1000 or minor > 1000

    def _header(self, form: str) -> tuple[Any, ...]:
        if self.at + struct.calcsize(form) > len(self.data):
            raise ConversionError(f"{self.path} ends within its header")
        self.at += struct.calcsize(form)
        return struct.unpack_from(form, self.data, self.at - struct.calcsize(form))

    def take(self, label: str, *shape: int) -> Float:
        count = int(np.prod([int(n) for n in shape], dtype=object))
        if self.at + 4 * count > len(self.data):
            raise ConversionError(f"{self.path} ends before the {count} numbers of {label}")
        array = np.frombuffer(self.data, "<f4", count, self.at).astype(np.float32).reshape(shape)
        self.at += 4 * count
        if not np.isfinite(array).all():
            raise ConversionError(f"{self.path}: the numbers of {label} are not finite")
        return array

    def end(self) -> None:
        if self.at != len(self.data):
            raise ConversionError(f"{self.path} has {len(self.data) - self.at} bytes more than the network takes")
