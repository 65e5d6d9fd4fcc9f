"""One layer on its way into the graph: its settings, its arrays, and the nodes that it becomes."""

from __future__ import annotations

from typing import Any

from ...graph import Concatenate, Flatten, MaxPool, Reshape, Sign
from ...graph.graph import Float, Shape
from ..builder import Builder
from ..report import ConversionError
from .hdf5 import LayerWeights
from .network import Layer

_KEEP_SIGNS = (Flatten, MaxPool, Reshape, Concatenate)  # their results are signs where their inputs are


class Part:
    """A call of a layer.

    Attributes
    ----------
    settings : Settings
    inputs : tuple of str
        Nodes whose results the layer reads.
    result : str
        The node that was added last; at first the first input.
    notes : list of str
        What a reader of the report has to know.
    signed : set of str
        Nodes whose results are +1 and −1.
    sign_first : bool
        Whether the layer takes the sign of its input, and no node does so yet.
    """

    def __init__(
        self, builder: Builder, layer: Layer, weights: LayerWeights, inputs: tuple[str, ...], signed: set[str]
    ) -> None:
        self._builder, self._layer, self._weights = builder, layer, weights
        self.settings, self.inputs = layer.settings(), inputs
        self.result, self.notes = inputs[0], list[str]()
        self.signed, self.sign_first = signed, False
        self._made = list[str]()

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self._layer.name

    @property
    def shape(self) -> Shape:
        """Shape of the current result for one image."""
        return self._builder.shape(self.result)

    def array(self, name: str, axes: int) -> Float:
        """An array of the layer, float32, with the given number of axes."""
        found = self._weights.array(name)
        if found.ndim != axes or not found.size:
            raise ConversionError(f"its {name} must have {axes} axes, got {found.shape}")
        return found

    def add(self, kind: Any, suffix: str = "", *, inputs: tuple[str, ...] = (), words: str = "", **fields: Any) -> None:
        """Add a node that reads ``inputs``, or else the current result; ``words`` describe it in the report."""
        reads = inputs or (self.result,)
        self.result = self._builder.add(kind, self.name + suffix, *reads, **fields)
        # A convolution of such a map is one of signs, though it does not take them itself.
        if kind is Sign or (kind in _KEEP_SIGNS and all(name in self.signed for name in reads)):
            self.signed.add(self.result)
        self._made.append(words or kind.__name__)

    def constant(self, kind: Any, **fields: Any) -> str:
        """Add a node without inputs, and return its name; the current result stays."""
        return self._builder.add(kind, f"{self.name}.constant", **fields)

    def finish(self) -> None:
        """Refuse settings that nobody read, and add the layer to the report."""
        try:
            self.settings.refuse_unread()
        except ConversionError as error:
            raise ConversionError(f"{self.name}: {error}") from error
        for full in self._weights.unread():
            self._builder.leave_out(full, "not used by the layer when it runs")
        self._builder.tell(self.name, self._layer.kind, ", ".join(self._made) or "nothing", "; ".join(self.notes))
