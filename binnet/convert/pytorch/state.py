"""The state dict in a file: tensors by name, and which of them a mapping has used."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from ...graph.graph import Array, Float
from ..report import ConversionError
from .files import contents
from .tensors import Tensor

# Where training scripts put the state dict beside other things; the first that is there.
USUAL = ("state_dict", "model_state_dict", "model", "net", "network")
MOST_TENSORS = 100_000


class State:
    """Tensors by name, without ``module`` parts, which ``torch.nn.DataParallel`` puts into names.

    Attributes
    ----------
    beside : list of str
        What the file holds beside the state dict, such as ``"optimizer"``.
    """

    def __init__(self, tensors: dict[str, Tensor], beside: Iterable[str] = ()) -> None:
        if len(tensors) > MOST_TENSORS:
            raise ConversionError(f"it has {len(tensors):,} tensors; at most {MOST_TENSORS:,} are read")
        self._tensors = dict[str, Tensor]()
        for name, tensor in tensors.items():
            short = ".".join(part for part in name.split(".") if part != "module") or name
            if short in self._tensors:
                raise ConversionError(f"two of its tensors are called {plain(short)} without 'module'")
            self._tensors[short] = tensor
        self._used = set[str]()
        self.beside = [plain(name) for name in beside]

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def values(self, name: str) -> Array:
        """The tensor called ``name``, of any type; ConversionError when there is none, or with a value not finite."""
        if name not in self._tensors:
            near = difflib.get_close_matches(name, list(self._tensors)[:1000], 3, 0.5)
            like = f"; similar names: {', '.join(map(plain, near))}" if near else ""
            raise ConversionError(f"the file has no tensor {name!r}{like}")
        self._used.add(name)
        array = self._tensors[name].array()
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ConversionError(f"the tensor {name!r} has values that are not finite")
        return array

    def real(self, name: str) -> Float:
        """The tensor called ``name`` in float32; ConversionError when it does not hold real numbers."""
        array = self.values(name)
        if array.dtype.kind != "f":
            raise ConversionError(f"the tensor {name!r} has the type {array.dtype} instead of real numbers")
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        if not np.isfinite(single).all():
            raise ConversionError(f"the tensor {name!r} has values that float32 cannot hold")
        return single

    def unused(self, ignored: Iterable[str]) -> tuple[list[str], list[str]]:
        """The tensors that nothing has read: those that match a pattern of ``ignored``, and the others."""
        patterns = list(ignored)
        left = [name for name in self._tensors if name not in self._used]
        known = [name for name in left if any(fnmatchcase(name, pattern) for pattern in patterns)]
        matched = set(known)
        return [plain(name) for name in known], [plain(name) for name in left if name not in matched]


def read_state(source: Path, entry: str | None) -> State:
    """The state dict in a file, which may be the whole object or an entry of an outer dict.

    ``entry`` is its name there; with None it is found. ConversionError when there is none, or a choice.
    """
    found = contents(source)
    if type(found) is not dict:
        raise ConversionError("it does not hold a dict; save model.state_dict()")
    inner = {key: value for key, value in found.items() if type(value) is dict and _are_tensors(value)}
    if entry is None and not inner and _are_tensors(found):
        return State(found)
    chosen = entry if entry is not None else _choice(inner)
    if chosen not in inner:
        raise ConversionError(f"it has no state dict {chosen!r}; it has: {_listed(found)}")
    return State(inner[chosen], (str(key) for key in found if key != chosen))


def _choice(inner: dict[Any, Any]) -> str:
    usual = [name for name in USUAL if name in inner]
    if not inner:
        raise ConversionError("it holds no dict of tensors; save model.state_dict()")
    if len(inner) > 1 and not usual:
        raise ConversionError(f"it has several state dicts: {_listed(inner)}; name one as state_dict in the mapping")
    return str(usual[0] if usual else next(iter(inner)))


def _are_tensors(found: dict[Any, Any]) -> bool:
    return bool(found) and all(type(key) is str and type(value) is Tensor for key, value in found.items())


def _listed(found: dict[Any, Any]) -> str:
    return ", ".join(plain(str(key)) for key in list(found)[:10])


def plain(name: str) -> str:
    """A name of the file, fit to be printed: without control characters, and not too long."""
    word = "".join(c if c.isprintable() else "." for c in name[:100])
    return word if len(name) <= 100 else f"{word}..."
