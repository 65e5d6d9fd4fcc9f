"""The network of an MXNet model, ``NAME-symbol.json``: operators with their attributes and inputs."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..report import ConversionError

_MOST_BYTES, _MOST_OPERATORS = 1 << 24, 10_000
_ATTRIBUTES = ("attrs", "attr", "param")  # the key has had three names


@dataclass(frozen=True)
class Operator:
    """An operator of the network, or a variable, whose ``op`` is ``"null"``.

    Attributes
    ----------
    op, name : str
    attributes : dict of str to str
    inputs : tuple of (operator, number of its result)
    """

    op: str
    name: str
    attributes: dict[str, str]
    inputs: tuple[tuple[int, int], ...]

    def numbers(self, key: str, default: Any, count: int | None = None) -> Any:
        """An attribute that is a number, or ``count`` of them as in ``"(5, 5)"``."""
        text = self.attributes.get(key)
        try:
            value = default if text is None else ast.literal_eval(text[:100])
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            if count is None and fits:
                return value
            if count is not None and len(value) == count and all(type(n) is int and 0 <= n < 1 << 16 for n in value):
                return tuple(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            pass
        raise ConversionError(f"{self.name} ({self.op}): cannot read {key} = {text!r}")

    def flag(self, key: str, default: bool = False) -> bool:
        """An attribute that is true or false."""
        text = self.attributes.get(key, str(default)).lower()
        if text not in ("true", "false", "1", "0"):
            raise ConversionError(f"{self.name} ({self.op}): {key} must be true or false, got {text!r}")
        return text in ("true", "1")

    def only(self, **expected: str) -> None:
        """ConversionError when an attribute that changes the result has another value than the one given."""
        for key, value in expected.items():
            if self.attributes.get(key, value).lower() != value.lower():
                got = self.attributes[key]
                raise ConversionError(f"{self.name} ({self.op}): {key} = {got!r} is not supported, only {value!r}")


@dataclass(frozen=True)
class Symbol:
    """A network: its operators in order, and the number of the one that gives its result."""

    operators: list[Operator]
    head: int


def read_symbol(path: Path) -> Symbol:
    """The network; ConversionError when the file is damaged or something else, or has several results."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConversionError(f"{path} is larger than {_MOST_BYTES:,} bytes")
        whole = json.loads(path.read_text("utf-8"))
        found, heads = whole["nodes"], whole.get("heads", [[-1, 0]])
        if not isinstance(found, list) or not 0 < len(found) <= _MOST_OPERATORS:
            raise ValueError("its nodes are no list of operators")
        operators = [_operator(i, each) for i, each in enumerate(found)]
        if len(heads) != 1 or heads[0][1] or operators[heads[0][0]].op == "null":
            raise ValueError(f"it has the results {heads}, expected one")
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ConversionError(f"{path} is not a network of MXNet: {str(error)[:100]}") from error
    return Symbol(operators, heads[0][0] % len(operators))


def _operator(number: int, found: Any) -> Operator:
    attributes: dict[str, str] = next((found[key] for key in _ATTRIBUTES if key in found), {})
    inputs = tuple((each[0], each[1]) for each in found["inputs"])
    if not all(type(n) is int and 0 <= n < number and out == 0 for n, out in inputs):
        raise ValueError(f"operator {number} reads something else than the first result of one before it")
    words = (found["op"], found["name"], *attributes, *attributes.values())
    if not all(isinstance(word, str) for word in words):
        raise ValueError(f"operator {number} has something else than words")
    return Operator(found["op"], found["name"], dict(attributes), inputs)
