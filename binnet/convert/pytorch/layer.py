"""What a layer of a mapping works with: its place in the network, its tensors, and the nodes that it adds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

import numpy as np

from ...graph.graph import Array, Float, Four, Shape
from ..builder import Builder, rows_of_map
from ..report import ConversionError
from .state import State


@dataclass(frozen=True)
class Signal:
    """The result of a layer.

    Attributes
    ----------
    node : str
        Name of the node that computes it.
    flattened : (H, W, C), or None
        The map that was flattened to it. PyTorch then has the features as channel, row, column, the node as row,
        column, channel, so that arrays about these features have to be permuted.
    """

    node: str
    flattened: Shape | None = None


class Layer:
    """One layer while it is built.

    Attributes
    ----------
    name : str
        Full name of the module, such as ``"features.4.conv"``; where there is none, made of the kind.
    at : Signal
        The input, then the result so far.
    inputs : list of Signal
    epsilon : float
        ε of batch normalisations without their own.
    """

    def __init__(self, builder: Builder, state: State, name: str, path: str, inputs: list[Signal]) -> None:
        self._builder, self._state, self._path = builder, state, path
        self.name, self.inputs, self.at = name, inputs, inputs[0]
        self.epsilon = 1e-5

    @property
    def shape(self) -> Shape:
        """The shape of the result so far, (H, W, C) or (C,)."""
        return self._builder.shape(self.at.node)

    def add(self, kind: Any, suffix: str = "", **settings: Any) -> None:
        """Add a node that reads the result so far, and becomes it."""
        name = f"{self.name}.{suffix}" if suffix else self.name
        self.at = Signal(self._builder.add(kind, name, self.at.node, **settings), self.at.flattened)

    def join(self, kind: Any, **settings: Any) -> None:
        """Add a node that reads all inputs."""
        self.at = Signal(self._builder.add(kind, self.name, *(each.node for each in self.inputs), **settings))

    def tell(self, kind: str, became: str, note: str = "") -> None:
        """Add this layer to the report."""
        self._builder.tell(self.name, kind, became, note)

    # ------------------------------------------------------------------------------------------------- tensors

    def has(self, tensor: str) -> bool:
        """Whether the module has a tensor of this name, such as ``"bias"``."""
        return self._full(tensor) in self._state

    def values(self, tensor: str) -> Array:
        """A tensor of the module, of any type."""
        return self._state.values(self._full(tensor))

    def real(self, tensor: str, *axes: int) -> Float:
        """A tensor of real numbers; ConversionError unless the number of its axes is among ``axes``."""
        array = self._state.real(self._full(tensor))
        if axes and array.ndim not in axes:
            wanted = " or ".join(map(str, axes))
            raise ConversionError(f"the tensor {self._full(tensor)!r} has shape {array.shape} instead of {wanted} axes")
        return array

    def vector(self, tensor: str, features: int | None = None) -> Float:
        """A tensor with one number for each of ``features``, by default of the input's channels, or one for all."""
        count = self.shape[-1] if features is None else features
        array = self.real(tensor)
        # Channels are the first axis but for the one of the images; filters may be the first of their weights.
        axes = {0: 0, 1: 0, 2: 1, 3: 0, 4: 1}
        long = [axis for axis, size in enumerate(array.shape) if size > 1]
        fits = long in ([], [axes.get(array.ndim)]) or (features is not None and long == [0])
        if array.size not in (1, count) or not fits:
            raise ConversionError(
                f"the tensor {self._full(tensor)!r} has shape {array.shape} instead of one number for each of {count} "
                "channels"
            )
        flat = array.reshape(-1)
        if features is not None or self.at.flattened is None or flat.size == 1:
            return flat
        permuted: Float = rows_of_map(flat[None], self.at.flattened)[0]
        return permuted

    def columns(self, weight: Array) -> Array:
        """Weights (O, I) in the order of the input's features."""
        if weight.ndim != 2:
            raise ConversionError(f"the weights have shape {weight.shape} instead of (outputs, inputs)")
        return weight if self.at.flattened is None else rows_of_map(weight, self.at.flattened)

    def _full(self, tensor: str) -> str:
        return f"{self._path}.{tensor}" if self._path else tensor


# ----------------------------------------------------------------------------------------------------- the kinds

# Classes by kind; their fields are the options, and ``build(layer)`` adds the nodes.
KINDS: dict[str, Any] = {}
Kind = TypeVar("Kind", bound=type)


def kind(name: str) -> Callable[[Kind], Kind]:
    """Class decorator: the dataclass describes the layers of a kind, its fields are their options."""

    def register(cls: Kind) -> Kind:
        KINDS[name] = cls
        return cls

    return register


def build(name: str, options: dict[str, Any], layer: Layer) -> Signal:
    """Build a layer of the kind ``name``; ConversionError when an option is unknown, missing or wrong."""
    cls = KINDS[name]
    known = {field.name: field.default is MISSING for field in fields(cls)}
    unknown = sorted(options.keys() - known.keys())
    if unknown:
        listed = ", ".join([*known, "prefix", "from", "name"])
        raise ConversionError(f"the unknown option {unknown[0]!r}; there are: {listed}")
    missing = [option for option, needed in known.items() if needed and option not in options]
    if missing:
        raise ConversionError(f"the option {missing[0]!r} is missing")
    if len(layer.inputs) != 1 and not getattr(cls, "joins", False):
        raise ConversionError(f"it reads one layer, got {len(layer.inputs)}")
    cls(**options).build(layer, name)
    return layer.at


# --------------------------------------------------------------------------------------------------- option values


def pair(option: str, value: Any) -> tuple[int, int]:
    """A whole number for both directions, or [vertical, horizontal]."""
    both = [value, value] if type(value) is int else value
    if type(both) is not list or len(both) != 2 or not all(type(n) is int and 0 <= n <= 1 << 16 for n in both):
        raise ConversionError(f"{option} must be a whole number or [vertical, horizontal], got {str(value)[:40]!r}")
    return both[0], both[1]


def four(option: str, value: Any) -> Four:
    """A whole number for all sides, [vertical, horizontal], or [top, bottom, left, right]."""
    if type(value) is list and len(value) == 4:
        return (*pair(option, value[:2]), *pair(option, value[2:]))
    vertical, horizontal = pair(option, value)
    return vertical, vertical, horizontal, horizontal


def choice(option: str, value: Any, *allowed: Any) -> Any:
    """``value``, when it is one of ``allowed`` and of the same type."""
    # The type too: true would pass as 1.
    if not any(type(value) is type(each) and value == each for each in allowed):
        listed = ", ".join(str(each).lower() if type(each) is bool else repr(each) for each in allowed)
        raise ConversionError(f"{option} must be one of {listed}, got {str(value)[:40]!r}")
    return value


def number(option: str, value: Any) -> np.float32:
    """A number that float32 holds."""
    if type(value) not in (int, float) or not abs(value) < 3e38:
        raise ConversionError(f"{option} must be a number, got {str(value)[:40]!r}")
    return np.float32(value)


def word(option: str, value: Any) -> str:
    """A string."""
    if type(value) is not str or not value:
        raise ConversionError(f"{option} must be a string, got {str(value)[:40]!r}")
    return value
