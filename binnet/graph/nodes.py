"""Nodes: their base, the input, and functions of each value. Others are in ``filters.py`` and ``maps.py``.

A node is a frozen dataclass. Its array fields are stored as arrays, its other fields as JSON. Shapes are those of one
image, without the batch: (H, W, C) for a map, (C,) for a row of features. ``compute`` says in NumPy what a node means
for a batch; the engine gives the same result faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float = npt.NDArray[np.float32]
Shape = tuple[int, ...]
Four = tuple[int, int, int, int]
LARGEST_MAP = 1 << 30  # values of one image's map, 4 GB
MOST_PADDING = 1 << 12  # rows or columns


@dataclass(frozen=True, eq=False)
class Node:
    """One operation of a network.

    Attributes
    ----------
    name
        Unique in its graph; printable, without slashes.
    inputs
        Names of the nodes whose results it reads, in order.

    Raises
    ------
    ValueError
        On construction, when a field does not fit.
    """

    name: str
    inputs: tuple[str, ...]

    arity: ClassVar[int | None] = 1  # number of inputs; None for one or more
    binary: ClassVar[bool] = False  # whether its multiply-adds are on weights of a few bits

    def __post_init__(self) -> None:
        name = self.name
        if not isinstance(name, str) or not name or not name.isprintable() or "/" in name or name == ".":
            raise ValueError(f"the name of a node must be a printable word without slashes, got {name!r}")
        if not isinstance(self.inputs, tuple) or not all(isinstance(each, str) for each in self.inputs):
            raise ValueError(f"{name}: inputs must be the names of nodes, got {self.inputs!r}")
        if len(self.inputs) != self.arity and (self.arity is not None or not self.inputs):
            expected = "one or more" if self.arity is None else self.arity
            raise ValueError(f"{name}: a {self.kind} has {expected} inputs, got {len(self.inputs)}")
        self.check()

    def check(self) -> None:
        """ValueError unless the fields fit; called on construction."""

    def output(self, *shapes: Shape) -> Shape:
        """The shape of the result for inputs of these shapes; ValueError when they do not fit."""
        return shapes[0]

    def compute(self, *inputs: Any) -> Float:
        """The result for a batch: float32 arrays (N, ...) to a new one; to be overridden."""
        raise NotImplementedError(f"{self.kind} does not say how it is computed")

    def macs(self, output: Shape) -> int:
        """Multiply-adds for one image, given the shape of the result."""
        return 0

    @property
    def kind(self) -> str:
        """The name of its class, as a file has it."""
        return type(self).__name__

    def arrays(self) -> dict[str, Array]:
        """The array fields by name."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}

    def settings(self) -> dict[str, Any]:
        """All other fields but ``name`` and ``inputs``, ready for JSON; None stands for an array that is not there."""
        left_out = {"name", "inputs", *self.arrays()}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in left_out}

    def vector(self, field: str, optional: bool = False) -> None:
        """ValueError unless a field is float32 (C,)."""
        array = getattr(self, field)
        if array is None and optional:
            return
        if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.ndim != 1:
            raise ValueError(f"{self.name}.{field} must be float32 (channels,), got {described(array)}")

    def whole(self, field: str, count: int, least: int, most: int = 1 << 16) -> None:
        """ValueError unless a field is a tuple of so many whole numbers."""
        value = getattr(self, field)
        fits = isinstance(value, tuple) and len(value) == count
        if not fits or not all(type(n) is int and least <= n <= most for n in value):
            raise ValueError(f"{self.name}.{field} must be {count} whole numbers from {least} to {most}, got {value!r}")

    def expect_channels(self, shape: Shape, channels: int) -> Shape:
        """``shape`` itself; ValueError unless its last axis has so many channels."""
        if shape[-1:] != (channels,):
            raise ValueError(f"{self.name} expects {channels} channels, got {text(shape)}")
        return shape

    def expect_map(self, shape: Shape) -> Shape:
        """``shape`` itself; ValueError unless it is (H, W, C)."""
        if len(shape) != 3:
            raise ValueError(f"{self.name} expects maps (N, H, W, C), got {text(shape)}")
        return shape


KINDS: dict[str, type[Node]] = {}
Kind = TypeVar("Kind", bound=type[Node])


def kind(cls: Kind) -> Kind:
    """Class decorator that makes a kind of node known, so that files with it can be loaded; ValueError if it is taken.

    A kind of one's own needs ``compute``, and ``output`` when it changes the shape. Where such a file is loaded, the
    module that defines the kind must have been imported.
    """
    known = KINDS.setdefault(cls.__name__, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"there is a kind of node {cls.__name__} already, in {known.__module__}")
    KINDS[cls.__name__] = cls
    return cls


def text(shape: Shape) -> str:
    """A shape with the batch in front, for messages."""
    return f"({', '.join(map(str, ('N', *shape)))})"


def described(array: Any) -> str:
    """Dtype and shape of an array, or the class of anything else, for messages."""
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__


def window_output(
    name: str, size: Sequence[int], stride: Sequence[int], padding: Four, shape: Shape
) -> tuple[int, int]:
    """Rows and columns of the result of a sliding window; ValueError when the padded map is smaller than it."""
    h, w = shape[0] + padding[0] + padding[1], shape[1] + padding[2] + padding[3]
    if h < size[0] or w < size[1]:
        raise ValueError(
            f"{name}: a map of {shape[0]}x{shape[1]} with padding {padding} is smaller than the window "
            f"of {size[0]}x{size[1]}"
        )
    return (h - size[0]) // stride[0] + 1, (w - size[1]) // stride[1] + 1


# ------------------------------------------------------------------------------------------- input, element by element


@kind
@dataclass(frozen=True, eq=False)
class Input(Node):
    """The images, normalised, float32 (N, H, W, C).

    Attributes
    ----------
    shape : (H, W, C)
        Of the images that the network was made for.
    any_size
        Whether images of other sizes fit too.
    """

    shape: tuple[int, int, int]
    any_size: bool = False

    arity: ClassVar[int | None] = 0

    def check(self) -> None:
        self.whole("shape", 3, 1)
        if type(self.any_size) is not bool:
            raise ValueError(f"{self.name}.any_size must be true or false, got {self.any_size!r}")

    def output(self, *shapes: Shape) -> Shape:
        return self.shape


@dataclass(frozen=True, eq=False)
class ElementWise(Node):
    """Base of the functions of each value alone, with parameters of a channel."""

    @property
    def channels(self) -> int | None:
        """The number of channels its parameters are for; None where any number fits."""
        vectors = [array for array in self.arrays().values() if array.size > 1]
        return len(vectors[0]) if vectors else None

    @property
    def monotone(self) -> bool:
        """Whether the result only rises, or only falls, with the value of a channel."""
        return True

    def output(self, *shapes: Shape) -> Shape:
        return shapes[0] if self.channels is None else self.expect_channels(shapes[0], self.channels)


@kind
@dataclass(frozen=True, eq=False)
class BatchNorm(ElementWise):
    """``(x - mean) * factor + shift`` for each channel, three vectors (C,).

    ``factor`` is γ / √(σ² + ε) and ``shift`` is β of the trained layer, ``mean`` the running mean.
    """

    mean: Float
    factor: Float
    shift: Float

    def check(self) -> None:
        for field in ("mean", "factor", "shift"):
            self.vector(field)
        if not len(self.mean) == len(self.factor) == len(self.shift):
            sizes = len(self.mean), len(self.factor), len(self.shift)
            raise ValueError(f"{self.name}: mean, factor and shift must have the same length, got {sizes}")

    @property
    def channels(self) -> int | None:
        return len(self.mean)

    def compute(self, *inputs: Any) -> Float:
        y: Float = (inputs[0] - self.mean) * self.factor + self.shift
        return y


@kind
@dataclass(frozen=True, eq=False)
class Scale(ElementWise):
    """``x * factor``, for each channel (C,), or one factor (1,) for all."""

    factor: Float

    def check(self) -> None:
        self.vector("factor")

    def compute(self, *inputs: Any) -> Float:
        y: Float = np.multiply(inputs[0], self.factor, dtype=np.float32)
        return y


@kind
@dataclass(frozen=True, eq=False)
class Shift(ElementWise):
    """``x + shift``, for each channel (C,), or one number (1,) for all."""

    shift: Float

    def check(self) -> None:
        self.vector("shift")

    def compute(self, *inputs: Any) -> Float:
        y: Float = np.add(inputs[0], self.shift, dtype=np.float32)
        return y


@kind
@dataclass(frozen=True, eq=False)
class Relu(ElementWise):
    """``max(x, 0)``; NaN stays NaN."""

    def compute(self, *inputs: Any) -> Float:
        return np.where(inputs[0] < 0, np.float32(0), inputs[0])


@kind
@dataclass(frozen=True, eq=False)
class PRelu(ElementWise):
    """``x`` where x >= 0, else ``slope * x``; a slope for each channel (C,), or one (1,) for all (arXiv:1502.01852)."""

    slope: Float

    def check(self) -> None:
        self.vector("slope")

    @property
    def monotone(self) -> bool:
        return bool((self.slope >= 0).all())

    def compute(self, *inputs: Any) -> Float:
        y: Float = np.where(inputs[0] < 0, self.slope * inputs[0], inputs[0])
        return y


@kind
@dataclass(frozen=True, eq=False)
class Sign(ElementWise):
    """+1 where ``x >= threshold``, also for NaN, else −1; a threshold for each channel (C,), or None for 0."""

    threshold: Float | None = None

    def check(self) -> None:
        self.vector("threshold", optional=True)

    def compute(self, *inputs: Any) -> Float:
        below = inputs[0] < (np.float32(0) if self.threshold is None else self.threshold)
        return np.where(below, np.float32(-1), np.float32(1))


@kind
@dataclass(frozen=True, eq=False)
class Quantise(Node):
    """The nearest of the levels of ``bits`` bits between −1 and +1 (arXiv:1603.05279, section 3.2), 1 to 8 bits."""

    bits: int

    def check(self) -> None:
        if type(self.bits) is not int or not 1 <= self.bits <= 8:
            raise ValueError(f"{self.name}.bits must be a whole number from 1 to 8, got {self.bits!r}")

    def compute(self, *inputs: Any) -> Float:
        return levels(inputs[0], self.bits)


def levels(x: Any, bits: int) -> Float:
    """q_k of arXiv:1603.05279, section 3.2, in [−1, 1]; halves go up, NaN counts as +1."""
    most = np.float32((1 << bits) - 1)
    within = np.where(np.isnan(x), np.float32(1), np.clip(x, np.float32(-1), np.float32(1)))
    y: Float = ((2 * np.floor(np.floor(within * most) / 2) + 1) / most).astype(np.float32)
    return y
