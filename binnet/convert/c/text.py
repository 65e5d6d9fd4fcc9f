"""C text of constants: arrays, numbers, strings and names."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable

import numpy as np

from ...graph.graph import Array
from ..report import ConversionError

_TYPES = {
    "float32": "float",
    "int32": "int32_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint64": "bn_word",
    "uint32": "bn_word",
}
_WORDS = {"uint64": "ULL", "uint32": "U"}  # and the ends of their constants
# Bytes of objects of other types, where an address has eight.
_BYTES = {
    "bn_convolution": 160,
    "bn_target": 80,
    "bn_pool": 44,
    "bn_pair": 40,
    "bn_bytes": 36,
    "bn_step[]": 32,
    "float *const[]": 8,
}


class Constants:
    """Const arrays by name; equal ones are written once.

    Attributes
    ----------
    lines : list of str
        Their declarations, in the order in which they were asked for.
    size : int
        Bytes that they take in the compiled program.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.size = 0
        self._names: dict[tuple[str, bytes], str] = {}

    def array(self, values: Array) -> str:
        """The name of an array of these values."""
        values = np.ascontiguousarray(values).ravel()
        key = values.dtype.name, values.tobytes()
        if key not in self._names:
            kind = _TYPES[values.dtype.name]
            name = self._names[key] = f"a{len(self._names)}"
            self.size += values.nbytes
            body = textwrap.fill(", ".join(_numbers(values)), 118, break_on_hyphens=False)
            self.lines.append(f"static const {kind} {name}[{values.size}] = {{\n{body}}};")
        return self._names[key]

    def declare(self, kind: str, body: str, count: int = 1) -> str:
        """The name of a const struct, or of an array of ``count`` elements, initialised by ``body``."""
        key = kind, body.encode()
        if key not in self._names:
            prefix = kind.removeprefix("bn_").split("[")[0].split(" ")[-1].strip("*")
            name = self._names[key] = f"{prefix.replace('const', 'table')}{len(self._names)}"
            self.size += count * _BYTES[kind]
            array = "[]" if kind.endswith("[]") else ""
            self.lines.append(f"static const {kind.removesuffix('[]')} {name}{array} = {{{body}}};")
        return self._names[key]


def number(value: float) -> str:
    """A number, rounded to float32, as a C constant that has the same bits."""
    return _float(float(np.float32(value)))


def _float(value: float) -> str:
    if not math.isfinite(value):
        # Limits may be infinite, and decide the bits of maps that overflow.
        return "BN_NAN" if math.isnan(value) else "BN_INFINITY" if value > 0 else "-BN_INFINITY"
    text = f"{value:.9g}"  # nine digits tell all float32 apart, and take a tenth of the time of the fewest
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _numbers(values: Array) -> Iterable[str]:
    kind, listed = values.dtype.name, values.tolist()
    if kind == "float32":
        return map(_float, listed)
    return (f"0x{n:x}{_WORDS[kind]}" for n in listed) if kind in _WORDS else map(str, listed)


_KEYWORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long main register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while

and asm bitand bitor bool catch class compl delete explicit export false friend mutable namespace new not operator or
private protected public template this throw true try typename using virtual xor
"""
_RESERVED = frozenset(_KEYWORDS.split())  # of C, then of C++


def check_name(name: str) -> None:
    """ConversionError unless public names can begin with this one."""
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or name in _RESERVED:
        raise ConversionError(f"the name must be a C identifier, got {name!r}")
    if name.startswith(("_", "bn_")):
        raise ConversionError(f"names that begin with _ or bn_ are used by the program itself, got {name!r}")


def identifier(word: str) -> str:
    """A C identifier made of a word: other characters become underscores."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", word).strip("_") or "model"
    return f"model_{name}" if name[0].isdigit() or name in _RESERVED or name.startswith("bn_") else name


def string(text: str) -> str:
    """A C string literal; bytes that are no plain letters are octal escapes, which end after three digits."""
    plain = {*range(32, 127)} - {ord(c) for c in '"\\?'}
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'


def comment(text: str) -> str:
    """A C comment; what would end it, or begin another one, is taken apart."""
    return f"/* {text.replace('*/', '* /').replace('/*', '/ *').replace('??/', '? ?/')} */"
