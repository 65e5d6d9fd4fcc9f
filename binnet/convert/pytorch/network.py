"""Builds the network of a mapping, layer by layer; blocks are layers that the mapping puts together itself."""

from __future__ import annotations

from typing import Any

from ..builder import Builder
from ..report import ConversionError
from . import binary, layers  # noqa: F401, they register the kinds
from .layer import KINDS, Layer, Signal, build
from .mapping import Mapping
from .state import State

MOST_LAYERS = 10_000
MOST_NESTING = 16  # of blocks in blocks


class Network:
    """One run over the layers of a mapping."""

    def __init__(self, builder: Builder, state: State, mapping: Mapping) -> None:
        self._builder, self._state, self._epsilon = builder, state, mapping.epsilon
        self._blocks, self._count = mapping.blocks or {}, 0
        double = self._blocks.keys() & KINDS.keys()
        if double:
            raise ConversionError(f"the block {min(double)!r} has the name of a kind of layer")

    def build(self, listed: list[dict[str, Any]], path: str, source: Signal, nesting: int = 0) -> Signal:
        """Build the layers of a list, whose first one reads ``source``, and return the result of the last.

        ``path`` is the module to which their prefixes belong.
        """
        if nesting > MOST_NESTING:
            raise ConversionError("its blocks use each other in a circle")
        known, last = {"input": source}, source
        for entry in listed:
            options = dict(entry)
            kind, name = options.pop("kind"), options.pop("name", None)
            for prefix in _prefixes(options.pop("prefix", "")):
                inputs = _inputs(options.get("from", "previous"), known | {"previous": last})
                rest = {key: value for key, value in options.items() if key != "from"}
                last = self._one(kind, rest, [path, prefix], inputs, nesting)
            if name is not None:
                _label(known, name, last)
        return last

    def _one(self, kind: str, options: dict[str, Any], path: list[str], inputs: list[Signal], nesting: int) -> Signal:
        """One layer, or one use of a block."""
        self._count += 1
        if self._count > MOST_LAYERS:
            raise ConversionError(f"it has more than {MOST_LAYERS:,} layers")
        module = ".".join(filter(None, path))
        if kind in self._blocks:
            if len(inputs) != 1:
                raise ConversionError(f"the block {kind!r} reads one layer, got {len(inputs)}")
            return self.build(_filled(kind, self._blocks[kind], options), module, inputs[0], nesting + 1)
        if kind not in KINDS:
            listed = ", ".join([*sorted(KINDS), *sorted(self._blocks)])
            raise ConversionError(f"there is no kind of layer {kind[:50]!r}; there are: {listed}")
        # Layers without tensors of their own are called after their kind.
        name = module if path[1] else ".".join(filter(None, [path[0], kind]))
        layer = Layer(self._builder, self._state, name, module, inputs)
        layer.epsilon = self._epsilon
        try:
            return build(kind, options, layer)
        except ConversionError as error:
            raise ConversionError(f"layer {name} ({kind}): {error}") from error


def _prefixes(prefix: Any) -> list[str]:
    """One or more prefixes; a layer with several is repeated for each."""
    listed = prefix if type(prefix) is list else [prefix]
    if not listed or not all(type(each) is str for each in listed):
        raise ConversionError(f"prefix must be a string or a list of strings, got {str(prefix)[:60]!r}")
    return listed


def _inputs(names: Any, known: dict[str, Signal]) -> list[Signal]:
    listed = names if type(names) is list else [names]
    for name in listed:
        if type(name) is not str or name not in known:
            raise ConversionError(f"from names {str(name)[:60]!r}; here are: {', '.join(known)}")
    if not listed:
        raise ConversionError("from names no layer")
    return [known[name] for name in listed]


def _label(known: dict[str, Signal], name: Any, signal: Signal) -> None:
    if type(name) is not str or name in known or name == "previous":
        raise ConversionError(f"the name {str(name)[:60]!r} is taken or no string")
    known[name] = signal


def _filled(block: str, listed: list[dict[str, Any]], options: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers of a block with its options in place of "$option"; what is not given is left out."""
    asked = {value[1:] for entry in listed for value in entry.values() if type(value) is str and value[:1] == "$"}
    unknown = sorted(options.keys() - asked)
    if unknown:
        raise ConversionError(
            f"the block {block!r} has no option {unknown[0]!r}; there are: {', '.join(sorted(asked))}"
        )
    filled = []
    for entry in listed:
        values = {key: options.get(value[1:]) if _is_option(value) else value for key, value in entry.items()}
        filled.append({key: value for key, value in values.items() if value is not None})
    return filled


def _is_option(value: Any) -> bool:
    return type(value) is str and value[:1] == "$"
