"""Tensors of a file: a storage of numbers, and views of it that are checked before they are read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...graph.graph import Array
from ..report import ConversionError

BFLOAT16 = "bf16"  # NumPy has no such type; it is the upper half of a float32
# Names of the types of storages in pickles.
STORAGES = {
    "torch DoubleStorage": "f8",
    "torch FloatStorage": "f4",
    "torch HalfStorage": "f2",
    "torch BFloat16Storage": BFLOAT16,
    "torch LongStorage": "i8",
    "torch IntStorage": "i4",
    "torch ShortStorage": "i2",
    "torch CharStorage": "i1",
    "torch ByteStorage": "u1",
    "torch BoolStorage": "bool",
}
MOST_AXES = 8


def itemsize(dtype: str) -> int:
    """Bytes of an element."""
    return {BFLOAT16: 2, "bool": 1}.get(dtype) or int(dtype[1:])


@dataclass
class Storage:
    """Numbers in a row, which tensors share.

    Attributes
    ----------
    key : str
        As the file calls it.
    dtype : str
        A value of :data:`STORAGES`.
    count : int
        Number of elements.
    data : bytes-like
        The elements; empty until the reader of the format has found them.
    order : "<" or ">"
        Byte order.
    """

    key: str
    dtype: str
    count: int
    data: Any = field(default=b"", repr=False)
    order: str = "<"

    def __post_init__(self) -> None:
        if not 0 <= self.count < 1 << 48:
            raise ConversionError(f"it has a storage of {self.count} elements")

    @property
    def nbytes(self) -> int:
        """Number of bytes that the elements take."""
        return self.count * itemsize(self.dtype)

    def hold(self, data: Any, order: str) -> None:
        """Take the bytes of the elements; ConversionError when their number is wrong."""
        if len(data) != self.nbytes:
            raise ConversionError(f"its storage {self.key[:50]!r} has {len(data)} bytes instead of {self.nbytes}")
        self.data, self.order = data, order

    def elements(self) -> Array:
        """All elements; bfloat16 as float32, bool as bool."""
        if self.dtype == BFLOAT16:
            halves: Array = np.frombuffer(self.data, f"{self.order}u2")
            return (halves.astype(np.uint32) << 16).view(np.float32)
        if self.dtype == "bool":
            flags: Array = np.frombuffer(self.data, np.uint8) != 0
            return flags  # bytes other than 0 and 1 would be no valid booleans
        return np.frombuffer(self.data, f"{self.order}{self.dtype}")


@dataclass(frozen=True)
class Tensor:
    """A view of a storage.

    Attributes
    ----------
    storage : Storage
    offset : int
        Element at which it begins.
    size, stride : tuple of int
        Elements along each axis, and the distance of neighbours in the storage.

    Raises
    ------
    ConversionError
        On construction, when it does not lie inside its storage, or has more elements than it.
    """

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        numbers = [self.offset, *self.size, *self.stride] if self._are_tuples() else [None]
        # The limit keeps the products below small and printable.
        if not all(type(n) is int and 0 <= n < 1 << 48 for n in numbers):
            raise ConversionError("it has a tensor whose offset, size or stride is not valid")
        count = math.prod(self.size)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True)) if count else 0
        # More elements than the storage means a stride of 0 or overlapping rows: a small file could take all memory.
        if count > self.storage.count or (count and last >= self.storage.count):
            raise ConversionError(
                f"it has a tensor of size {self.size} and stride {self.stride} from element {self.offset} of a storage "
                f"of {self.storage.count}"
            )

    def _are_tuples(self) -> bool:
        size, stride = self.size, self.stride
        return type(size) is tuple and type(stride) is tuple and len(size) == len(stride) <= MOST_AXES

    def array(self) -> Array:
        """The values as a new C-contiguous array."""
        every = self.storage.elements()
        steps = [step * every.itemsize for step in self.stride]
        native = every.dtype.newbyteorder("=")
        if not math.prod(self.size):
            return np.empty(self.size, native)
        view = np.lib.stride_tricks.as_strided(every[self.offset :], self.size, steps, writeable=False)
        # A copy in the machine's byte order, so that nothing keeps the file in memory.
        return np.array(view, native, order="C")
