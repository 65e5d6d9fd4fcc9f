"""What the names in a pickle of tensors may mean: functions of this file, which are called in place of torch's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..report import ConversionError
from .tensors import Storage, Tensor


@dataclass(frozen=True)
class Global:
    """A name in the file, such as ``"torch._utils _rebuild_tensor_v2"``; nothing is imported for it."""

    name: str


def malformed() -> ConversionError:
    """The error for a pickle whose instructions do not fit together."""
    return ConversionError("its pickle is damaged")


def fill(target: dict[Any, Any], items: list[Any]) -> None:
    """Set keys and values that alternate in a list."""
    if len(items) % 2:
        raise malformed()
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Hashing a nested tuple would recurse; larger whole numbers could all be given the same hash.
        if type(key) is not str and (type(key) is not int or abs(key) >= 1 << 60):
            raise ConversionError("its pickle has a dict with a key that is neither a string nor a whole number")
        if key in target:
            raise ConversionError("its pickle has a dict with a key that is there twice")
        target[key] = value


def _ordered(pairs: Any = None) -> dict[Any, Any]:
    """An OrderedDict; Python 2 gives its pairs as an argument."""
    made = dict[Any, Any]()
    if pairs is not None and type(pairs) is not list:
        raise malformed()
    for pair in pairs or ():
        if type(pair) not in (list, tuple) or len(pair) != 2:
            raise malformed()
        fill(made, list(pair))
    return made


def _tensor(*fields: Any) -> Tensor:
    """A tensor of (storage, offset, size, stride, ...); what follows belongs to training."""
    if len(fields) < 4 or type(fields[0]) is not Storage:
        raise malformed()
    return Tensor(*fields[:4])


def _parameter(*fields: Any) -> Tensor:
    if not fields or type(fields[0]) is not Tensor:
        raise malformed()
    return fields[0]


def _size(*fields: Any) -> tuple[Any, ...]:
    if len(fields) != 1 or type(fields[0]) is not tuple:
        raise malformed()
    return fields[0]


# What names in a file may mean; all are functions of this module.
CALLS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _ordered,
    "torch Size": _size,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
}
