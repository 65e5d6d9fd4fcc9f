"""The settings of a layer as its JSON has them, checked when they are read; those that nobody read are refused."""

from __future__ import annotations

import math
from typing import Any

from ..report import ConversionError

# What changes nothing in a trained network: training, types, names. Initializers and the like are found by their ends.
_HARMLESS = {
    "name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape", "input_dim", "sparse", "ragged",
    "momentum", "fused", "synchronized", "metrics", "implementation", "autocast", "build_config", "optional",
    "virtual_batch_size", "renorm_momentum", "build_input_shape",
}  # fmt: skip
_HARMLESS_ENDS = ("_initializer", "_regularizer", "_constraint")
SIGNS = {"stesign", "approxsign", "swishsign"}  # they differ in their gradients alone
_LARGEST = 1e30


class Settings:
    """The settings of one layer.

    Every method returns the value of a key, or ``default`` where it is absent or null, and raises ConversionError when
    it has another type.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._read = set[str]()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, as the JSON has it."""
        self._read.add(key)
        value = self._values.get(key)
        return default if value is None else value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self.get(key, default)
        # NaN fails the comparison, and JSON's true is an int for isinstance.
        if type(value) not in (int, float) or not abs(value) <= _LARGEST:
            raise ConversionError(f"{key} must be a number, got {short(value)}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.get(key, default)
        if type(value) is not bool:
            raise ConversionError(f"{key} must be true or false, got {short(value)}")
        return value

    def pair(self, key: str, default: Any = None) -> tuple[int, int]:
        """Two whole numbers of at least 1: rows and columns; one number stands for both."""
        value = self.get(key, default)
        both = [value, value] if type(value) is int else value
        if not isinstance(both, list) or len(both) != 2 or not all(type(n) is int and 1 <= n < 1 << 16 for n in both):
            raise ConversionError(f"{key} must be two whole numbers, got {short(value)}")
        return both[0], both[1]

    def word(self, key: str, default: str) -> str:
        """A word, in small letters."""
        value = self.get(key, default)
        if not isinstance(value, str):
            raise ConversionError(f"{key} must be a word, got {short(value)}")
        return value.lower()

    def only(self, key: str, *allowed: Any) -> None:
        """Refuse the key unless it is absent or one of the values ``allowed``."""
        value = self.get(key, allowed[0])
        if value not in allowed:
            raise ConversionError(f"{key} = {short(value)} is not supported")

    def quantiser(self, key: str) -> str:
        """``"sign"``, ``"magnitude"`` (a sign times the mean of the absolute values), or ``""`` for none."""
        value = self.get(key)
        if value is None:
            return ""
        name = function_name(value)
        found = {"magnitudeawaresign": "magnitude", "noop": "", "noopquantizer": ""}.get(plain(name))
        if found is None and plain(name) not in SIGNS:
            raise ConversionError(f"the {key} {short(name)} is not supported; a sign is (ste_sign, approx_sign ...)")
        return "sign" if found is None else found

    def refuse_unread(self) -> None:
        """Raise ConversionError when there is a setting that was not read and may change the result."""
        for key, value in self._values.items():
            # Without a value, or switched off, it changes nothing.
            if key in self._read | _HARMLESS or key.endswith(_HARMLESS_ENDS) or value in (None, False, [], {}):
                continue
            raise ConversionError(f"the setting {short(key)} = {short(value)} is unknown")


def function_name(value: Any) -> str:
    """The name of a function or class in the JSON: a word, or an object that holds it."""
    if isinstance(value, dict):
        inner = value.get("config")
        # Newer Keras writes a function as {"class_name": "function", "config": "relu"}.
        value = inner if value.get("class_name") == "function" else value.get("class_name")
    if not isinstance(value, str):
        raise ConversionError(f"expected the name of a function, got {short(value)}")
    return value


def plain(name: str) -> str:
    """A name as small letters without a package and underscores: SteSign and Larq>ste_sign are both stesign."""
    return name.rsplit(">", 1)[-1].replace("_", "").lower()


def short(value: Any) -> str:
    """A value for an error message, cut to 60 letters."""
    text = value if isinstance(value, str) else repr(value)
    words = "".join(letter if letter.isprintable() else "?" for letter in text[:61])
    return words if len(words) <= 60 else f"{words[:57]}..."


def whole_shape(values: Any) -> tuple[int | None, ...] | None:
    """A shape without the batch axis from a list such as [null, 28, 28, 1]; None when it is no such list."""
    if not isinstance(values, list) or not 2 <= len(values) <= 5:
        return None
    rest = values[1:]
    if (
        not all(n is None or (type(n) is int and 1 <= n < 1 << 16) for n in rest)
        or math.prod(n or 1 for n in rest) > 1 << 30
    ):
        raise ConversionError(f"the shape {short(values)} of the images is not possible")
    return tuple(rest)
