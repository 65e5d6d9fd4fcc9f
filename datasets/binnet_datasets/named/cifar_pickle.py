"""Reading of CIFAR-10's pickles without running what they contain.

A pickle is a program: it may name any function of any module and call it. Here the few names that pickled arrays
need stand for objects that only keep their arguments, every other name is refused, and the array is built afterwards
from values that were checked. So not even NumPy's own reconstruction gets unchecked values.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

_PLANES = 3 * 32 * 32


def batch_from_pickle(content: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one batch: planes uint8 (N, 3072) and labels int64 (N,).

    Raises
    ------
    DataError
        When the pickle is damaged, names anything but plain data and arrays, or holds something else.
    """
    batch = load_plain(content, where)
    planes, labels = _as_array(_entry(batch, "data", where), where), _entry(batch, "labels", where)
    if planes.ndim != 2 or planes.shape[1] != _PLANES or len(planes) == 0:
        raise DataError(f"expected data of shape (N, {_PLANES}) in {where}, but got {planes.shape}")
    # `type`, not isinstance: True is an int too. The limit keeps the conversion to int64 from overflowing.
    if not isinstance(labels, list) or not all(type(label) is int and abs(label) < 1 << 31 for label in labels):
        raise DataError(f"expected a list of whole numbers as labels in {where}, but got something else")
    if len(labels) != len(planes):
        raise DataError(f"expected {len(planes)} labels in {where}, one for each image, but got {len(labels)}")
    return planes, np.array(labels, np.int64)


def names_from_pickle(content: bytes, where: str) -> tuple[str, ...]:
    """Read the class names from ``batches.meta``."""
    names = _entry(load_plain(content, where), "label_names", where)
    if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names):
        raise DataError(f"expected a list of class names in {where}, but got {type(names).__name__}")
    return tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names)


def load_plain(content: bytes, where: str) -> Any:
    """Unpickle numbers, strings, lists, dicts and (as `_Array`) arrays; refuse everything else with DataError."""
    try:
        return _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged or hostile pickle can make the machine raise anything
        raise DataError(
            f"expected a pickle of plain data in {where}, but reading it failed: {type(error).__name__}: {error}"
        ) from error


@dataclass
class _Type:
    """The arguments of a pickled dtype; the state that follows holds only byte order and alignment."""

    code: object

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or state[1:2] not in ((b"|",), ("|",)):
            raise pickle.UnpicklingError("expected single-byte values")


@dataclass
class _Array:
    """The arguments of a pickled array, unchecked."""

    shape: object = ()
    type: object = None
    fortran: object = False
    raw: object = b""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.type, self.fortran, self.raw = state


class _Name:
    """A stand-in for a function or class: can be called, if at all, and cannot be changed from within the pickle."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def __call__(self, *args: object) -> object:
        return self._call(*args)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a function takes no state")


def _refuse(*_: object) -> object:
    raise pickle.UnpicklingError("this name must not be called")


def _latin1(text: object, encoding: object) -> bytes:
    """`_codecs.encode` as Python 3 uses it to write bytes into an old pickle."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("expected bytes written as latin1")
    return text.encode("latin1")


def _empty(*args: object) -> bytes:
    """`bytes` as Python 3 uses it to write no bytes at all into an old pickle."""
    if args:
        raise pickle.UnpicklingError("expected bytes without arguments")
    return b""


def _from_buffer(raw: object, dtype: object, shape: object, order: object, *_: object) -> _Array:
    return _Array(shape, dtype, order in ("F", b"F"), raw)


# The pickles were written by NumPy 1 on Python 2; the other names are those of a re-save with a newer NumPy.
_NAMES: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): _refuse,  # named as an argument of _reconstruct only
    ("numpy", "dtype"): lambda code, *_: _Type(code),
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _empty,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): lambda *_: _Array() for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


# The unpickler written in Python, not the one in C: its memo is a dict, while the C one grows an array to the largest
# index the file names, which lets ten bytes ask for gigabytes.
class _PlainUnpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is neither plain data nor an array")
        return _Name(_NAMES[module, name])


def _entry(mapping: object, key: str, where: str) -> Any:
    """Return an entry whose key may be a str or, as Python 2 wrote it, bytes."""
    if isinstance(mapping, dict):
        for form in (key.encode(), key):
            if form in mapping:
                return mapping[form]
    raise DataError(f"expected a dict with the key {key!r} in {where}, but there is none")


def _as_array(value: object, where: str) -> NDArray[np.uint8]:
    """Build the array that a pickle describes, if it is one of bytes and its size is right."""
    if not isinstance(value, _Array) or not isinstance(value.type, _Type):
        raise DataError(f"expected an array in {where}, but got {type(value).__name__.lstrip('_')}")
    shape, raw, code = value.shape, value.raw, value.type.code
    if code not in ("u1", b"u1", "|u1", b"|u1") or not isinstance(raw, bytes | bytearray):
        raise DataError(f"expected an array of uint8 in {where}, but got type {code!r}")
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise DataError(f"expected an array with a shape in {where}, but got {shape!r}")
    # Python's integers cannot overflow here, whatever shape the file states.
    if math.prod(shape) != len(raw):
        raise DataError(f"expected {math.prod(shape)} bytes for the shape {shape} in {where}, but got {len(raw)}")
    return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if value.fortran else "C")
