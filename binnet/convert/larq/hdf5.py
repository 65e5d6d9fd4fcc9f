"""Arrays of a Keras file: where they lie, found by a child process, and their values."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from binnet_system.processes import python

from ...graph.graph import Float
from ..report import ConversionError
from .child import LONGEST_TEXT

__all__ = ["LONGEST_TEXT", "LayerWeights", "Weights", "weights_of"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SECONDS = 60  # for the child; it takes half a second
_MOST_VALUES = 1 << 40


class LayerWeights:
    """The arrays of a layer by their short names, such as ``kernel``; each is read from the file when it is used.

    Attributes
    ----------
    used : set of str
        Short names of the arrays that were read.
    """

    def __init__(self, source: Path, index: dict[str, Any]) -> None:
        self._source, self._index = source, index
        self._full = dict[str, list[str]]()
        self.used = set[str]()
        for full in index:
            # The rest are scopes of TensorFlow, such as "block1/conv/kernel:0".
            self._full.setdefault(full.rsplit("/", 1)[-1].split(":", 1)[0], []).append(full)

    def unread(self) -> list[str]:
        """Full names of the arrays that were not read."""
        return [full for short, several in self._full.items() if short not in self.used for full in several]

    def array(self, name: str) -> Float:
        """The array with a short name, float32; ConversionError when it is missing, damaged or not finite."""
        several = self._full.get(name, [])
        if len(several) != 1:
            raise ConversionError(f"it has two {name}" if several else f"its {name} is missing in the file")
        self.used.add(name)
        word, shape, offset = self._index[several[0]]
        dtype = np.dtype(word)
        if dtype.kind != "f" or dtype.itemsize > 8 or not 0 < math.prod(shape) <= _MOST_VALUES:
            raise ConversionError(f"its {name} must be an array of real numbers, got {dtype} {shape}")
        found = self._read(dtype, math.prod(shape), offset)
        with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is refused below
            values: Float = found.astype(np.float32).reshape(shape)
        if not np.isfinite(values).all():
            raise ConversionError(f"its {name} has values that are not finite")
        return values

    def _read(self, dtype: np.dtype[Any], count: int, offset: int) -> Any:
        nbytes = count * dtype.itemsize
        # Compared with the file's size first: a small file may declare an array of any size.
        if offset + nbytes > self._source.stat().st_size:
            raise ConversionError("the file ends before its arrays do")
        with self._source.open("rb") as file:
            file.seek(offset)
            return np.frombuffer(file.read(nbytes), dtype, count)


class Weights:
    """All layers of a file.

    Attributes
    ----------
    structure : str or None
        The JSON of the network, where the file has it.
    """

    def __init__(self, source: Path, index: dict[str, Any]) -> None:
        self._source, self._index = source, index
        self.structure: str | None = index["structure"]

    def layer(self, name: str) -> LayerWeights:
        """The arrays of a layer; there are none when the file does not list it."""
        return LayerWeights(self._source, self._index["layers"].get(name, {}))

    def unread(self, layers: set[str]) -> list[str]:
        """Arrays of other layers than these, and further groups of the file, such as the state of the optimiser."""
        others = [full for name, arrays in self._index["layers"].items() if name not in layers for full in arrays]
        return [*others, *self._index["extra"]]


def weights_of(source: Path) -> Weights:
    """What a file holds; ConversionError when it is missing, no HDF5 file, damaged, or not as Keras writes it."""
    try:
        with source.open("rb") as file:
            head = file.read(len(_SIGNATURE))
    except OSError as error:
        raise ConversionError(f"cannot be read: {error.strerror or error}") from error
    if head[:4] == b"PK\3\4":
        raise ConversionError('is a zip file, expected HDF5; save the model with model.save("model.h5")')
    if head != _SIGNATURE:
        raise ConversionError("is not an HDF5 file")
    index = json.loads(_listing(source))
    if "refused" in index:
        raise ConversionError(index["refused"])
    parts = [part for arrays in index["layers"].values() for part in arrays.values()]
    # Arrays of one place under many names would make a small file take a lot of memory.
    if sum(math.prod(shape) * np.dtype(word).itemsize for word, shape, _ in parts) > source.stat().st_size:
        raise ConversionError("the file is damaged: it is smaller than its arrays")
    return Weights(source, index)


def _listing(source: Path) -> str:
    """What ``child.py`` prints about a file."""
    # -P: the folder of the script must not hide modules of the same names.
    command = [*python(str(Path(__file__).with_name("child.py")), "-P"), str(source.absolute())]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # each thread would reserve memory, which is limited
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, env=environment)
    except subprocess.TimeoutExpired as error:
        raise ConversionError("the file is damaged: the HDF5 library does not come to an end with it") from error
    if done.returncode or not done.stdout:
        raise ConversionError("the file is damaged: the HDF5 library fails with it")
    return done.stdout.decode("utf-8")
