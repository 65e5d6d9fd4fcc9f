"""An interpreter for the few pickle instructions that files of tensors need.

It replaces :mod:`pickle`, which imports and calls what a file names. Here a name is an inert :class:`Global`, and
"calling" one selects a function of the table ``CALLS``; any other name is refused. The interpreter does not recurse,
every instruction takes memory in proportion to its own bytes, and their number is limited.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from ..report import ConversionError
from .calls import CALLS, Global, fill, malformed
from .tensors import STORAGES, Storage

MOST_INSTRUCTIONS = 5_000_000  # a network of a thousand tensors has about 50,000
MOST_BITS = 128  # of a whole number; the largest that files have is the magic number of the old format, 80 bits
_HINT = "save model.state_dict() alone"


def load(data: bytes, start: int = 0) -> tuple[Any, int, dict[str, Storage]]:
    """Read one pickle.

    Parameters
    ----------
    data
        The file.
    start
        Where the pickle begins.

    Returns
    -------
    (object, end, storages)
        The object is made of None, numbers, str, bytes, tuple, list, dict, :class:`~.tensors.Tensor` and
        :class:`Global`; ``end`` is the position behind the pickle; ``storages`` are those that its tensors refer to,
        by key, still without data.

    Raises
    ------
    ConversionError
        When the pickle is damaged, or has a name or an instruction that tensors do not need.
    """
    machine = _Machine(data, start)
    return machine.run(), machine.position, machine.storages


class _Machine:
    def __init__(self, data: bytes, start: int) -> None:
        self.data, self.position = data, start
        self.storages = dict[str, Storage]()
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo = dict[int, Any]()  # a dict: the list of the standard library is as long as the file's largest index

    def run(self) -> Any:
        for _ in range(MOST_INSTRUCTIONS):
            code = self.take(1)
            if code == b".":
                return self.pop()
            if code not in INSTRUCTIONS:
                raise ConversionError(f"its pickle has the instruction {code!r}, which tensors do not need; {_HINT}")
            INSTRUCTIONS[code](self)
        raise ConversionError(f"its pickle has more than {MOST_INSTRUCTIONS:,} instructions; {_HINT}")

    # ---------------------------------------------------------------------------------- the bytes and the stack

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes of the file."""
        # Compared with what is left before anything is allocated.
        if count > len(self.data) - self.position:
            raise ConversionError("its pickle is cut off")
        taken = self.data[self.position : self.position + count]
        self.position += count
        return taken

    def number(self, form: str) -> Any:
        """The next number, in a form of :mod:`struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, form: str, encoding: str = "utf-8") -> str:
        """The next string, behind its length."""
        try:
            return self.take(self.number(form)).decode(encoding)
        except UnicodeDecodeError as error:
            raise ConversionError("its pickle has a string that is not text") from error

    def line(self) -> str:
        """The next word that ends in a newline."""
        end = self.data.find(b"\n", self.position, self.position + 1000)
        if end < 0:
            raise ConversionError("its pickle has a name without an end")
        word = self.take(end + 1 - self.position)[:-1]
        return word.decode("ascii", "backslashreplace")

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise malformed()
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        """The object at the top, which stays there and must be of a type."""
        value = self.pop()
        if type(value) is not kind:
            raise malformed()
        self.stack.append(value)
        return value

    def since_mark(self) -> list[Any]:
        """Take all that stands above the last mark."""
        if not self.marks:
            raise malformed()
        height = self.marks.pop()
        taken = self.stack[height:]
        del self.stack[height:]
        return taken

    # ---------------------------------------------------------------------------------------------- instructions

    def whole(self, length: int) -> int:
        """A whole number of ``length`` bytes."""
        if length * 8 > MOST_BITS:
            raise ConversionError(f"its pickle has a whole number of {length} bytes")
        return int.from_bytes(self.take(length), "little", signed=True)

    def tuple_of(self, count: int) -> tuple[Any, ...]:
        return tuple([self.pop() for _ in range(count)][::-1])

    def remember(self, index: int) -> None:
        value = self.pop()
        self.stack.append(value)
        self.memo[index] = value

    def recall(self, index: int) -> Any:
        if index not in self.memo:
            raise malformed()
        return self.memo[index]

    def append(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        fill(self.top(dict), items)

    def named(self, module: Any, name: Any) -> Global:
        if type(module) is not str or type(name) is not str:
            raise malformed()
        full = f"{module} {name}"
        if full not in CALLS and full not in STORAGES:
            shown = f"{module}.{name}"[:100]
            raise ConversionError(f"it has {shown!r}, which is not a tensor; nothing was executed; {_HINT}")
        return Global(full)

    def call(self) -> Any:
        arguments, function = self.pop(), self.pop()
        if type(function) is not Global or function.name not in CALLS or type(arguments) is not tuple:
            raise malformed()
        try:
            return CALLS[function.name](*arguments[:8])
        except TypeError as error:  # of too many or too few arguments, or of other types
            raise malformed() from error

    def build(self) -> None:
        """Attributes of an object; the only ones that files of tensors have are those of a dict, its ``_metadata``."""
        state = self.pop()
        self.top(dict)
        if type(state) is not dict:
            raise malformed()

    def storage(self, identity: Any) -> Storage:
        """The storage of a persistent identity ``("storage", type, key, device, number of elements)``."""
        if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
            raise malformed()
        kind, key, count = identity[1], identity[2], identity[4]
        if type(kind) is not Global or kind.name not in STORAGES or type(key) is not str or type(count) is not int:
            raise malformed()
        if len(identity) == 6 and identity[5] is not None:
            raise ConversionError("it has a storage that is a part of another one, which only files before 2018 have")
        made = Storage(key, STORAGES[kind.name], count)
        known = self.storages.setdefault(key, made)
        if (known.dtype, known.count) != (made.dtype, made.count):
            raise ConversionError(f"it describes its storage {key[:50]!r} in two ways")
        return known


def _push(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(make(m))


# By code, as in the module pickletools; the comments are its names for them.
INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": lambda m: _protocol(m.number("<B")),  # PROTO
    b"\x95": lambda m: _frame(m, m.number("<Q")),  # FRAME
    b"(": lambda m: m.marks.append(len(m.stack)),  # MARK
    b"N": _push(lambda m: None),  # NONE
    b"\x88": _push(lambda m: True),  # NEWTRUE
    b"\x89": _push(lambda m: False),  # NEWFALSE
    b"J": _push(lambda m: m.number("<i")),  # BININT
    b"K": _push(lambda m: m.number("<B")),  # BININT1
    b"M": _push(lambda m: m.number("<H")),  # BININT2
    b"\x8a": _push(lambda m: m.whole(m.number("<B"))),  # LONG1
    b"\x8b": _push(lambda m: m.whole(m.number("<I"))),  # LONG4
    b"G": _push(lambda m: m.number(">d")),  # BINFLOAT
    b"X": _push(lambda m: m.text("<I")),  # BINUNICODE
    b"\x8c": _push(lambda m: m.text("<B")),  # SHORT_BINUNICODE
    b"\x8d": _push(lambda m: m.text("<Q")),  # BINUNICODE8
    b"T": _push(lambda m: m.text("<I", "latin-1")),  # BINSTRING, of Python 2
    b"U": _push(lambda m: m.text("<B", "latin-1")),  # SHORT_BINSTRING
    b"B": _push(lambda m: m.take(m.number("<I"))),  # BINBYTES
    b"C": _push(lambda m: m.take(m.number("<B"))),  # SHORT_BINBYTES
    b")": _push(lambda m: ()),  # EMPTY_TUPLE
    b"\x85": _push(lambda m: m.tuple_of(1)),  # TUPLE1
    b"\x86": _push(lambda m: m.tuple_of(2)),  # TUPLE2
    b"\x87": _push(lambda m: m.tuple_of(3)),  # TUPLE3
    b"t": _push(lambda m: tuple(m.since_mark())),  # TUPLE
    b"]": _push(lambda m: []),  # EMPTY_LIST
    b"a": lambda m: m.append([m.pop()]),  # APPEND
    b"e": lambda m: m.append(m.since_mark()),  # APPENDS
    b"}": _push(lambda m: {}),  # EMPTY_DICT
    b"s": lambda m: m.set_items([*m.tuple_of(2)]),  # SETITEM
    b"u": lambda m: m.set_items(m.since_mark()),  # SETITEMS
    b"q": lambda m: m.remember(m.number("<B")),  # BINPUT
    b"r": lambda m: m.remember(m.number("<I")),  # LONG_BINPUT
    b"\x94": lambda m: m.remember(len(m.memo)),  # MEMOIZE
    b"h": _push(lambda m: m.recall(m.number("<B"))),  # BINGET
    b"j": _push(lambda m: m.recall(m.number("<I"))),  # LONG_BINGET
    b"c": _push(lambda m: m.named(m.line(), m.line())),  # GLOBAL
    b"\x93": _push(lambda m: m.named(*m.tuple_of(2))),  # STACK_GLOBAL
    b"R": _push(lambda m: m.call()),  # REDUCE
    b"b": lambda m: m.build(),  # BUILD
    b"Q": _push(lambda m: m.storage(m.pop())),  # BINPERSID
}


def _protocol(version: int) -> None:
    if version > 5:
        raise ConversionError(f"its pickle has the protocol {version}; known are those up to 5")


def _frame(machine: _Machine, length: int) -> None:
    if length > len(machine.data) - machine.position:
        raise ConversionError("its pickle is cut off")
