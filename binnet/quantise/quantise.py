"""A packed model with its real layers in eight bits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..engine import PackedModel
from ..engine.pixels import pixels_of
from ..graph import BwnConv, Conv, Graph, Node, QuantiseLinear
from ..graph.graph import Float
from .calibration import windows_read
from .folding import Folded, folded, pixel_constants, readers_of
from .layers import LayerReport, of_map, of_pixels, real_layers
from .rounding import input_range


@dataclass(frozen=True, eq=False)
class Calibration:
    """What quantisation needs besides the network.

    Attributes
    ----------
    images
        A few hundred training images (N, H, W, C): uint8 pixels, or normalised real numbers.
    keep : names of layers
        Real layers that stay as they are.
    """

    images: Any
    keep: Sequence[str] = ()

    def __post_init__(self) -> None:
        # A word is a sequence of words of one letter.
        names = self.keep if isinstance(self.keep, Sequence | Set) and not isinstance(self.keep, str) else [None]
        if not all(isinstance(name, str) for name in names):
            raise ValueError(f"keep must be a list of names of layers, got {self.keep!r}")


@dataclass(frozen=True)
class Quantised:
    """A model in eight bits.

    Attributes
    ----------
    model : PackedModel
    layers : tuple of LayerReport
        All layers that had real inputs, in the order of the graph.
    """

    model: PackedModel
    layers: tuple[LayerReport, ...]


def quantise(model: PackedModel, calibration: Calibration) -> Quantised:
    """A packed model with its real layers in eight bits; nothing is trained.

    Weights become whole numbers from -127 to 127 with a scale for each filter, inputs whole numbers from 0 to 255.
    Their ranges have the least squared error, of the weights and of the values that the float network has on the
    images. A normalisation behind a layer becomes part of its weights. If nothing else reads the images, the model
    takes pixels: mean and deviation become part of the first layer, whose inputs are then exact.

    Parameters
    ----------
    model
        With real layers in float32 or float16; unchanged.
    calibration
        For a model without mean and standard deviation, uint8 images are scaled to 0 to 1, and a warning says so.

    Raises
    ------
    TypeError, ValueError
        When the model is in eight bits already, the images are none that it takes, or a name to keep is none of a
        real layer.
    """
    if model.real == "int8":
        raise ValueError("the model is in eight bits already")
    model = _with_normalisation(model, calibration.images)
    images = model.preprocess(calibration.images)
    if not len(images):
        raise ValueError("calibration needs at least one image")
    graph, reasons = model.graph, real_layers(model.graph, calibration.keep)
    if all(reasons.values()):  # nothing to do, or no real layer at all
        return Quantised(model, tuple(LayerReport(name, graph[name].kind, why) for name, why in reasons.items()))
    writer = _Writer(graph, model, images, reasons)
    quantised = Graph(tuple(writer.nodes()))
    return Quantised(PackedModel(quantised, model.info, built=model.built), tuple(writer.reports))


def _with_normalisation(model: PackedModel, images: Any) -> PackedModel:
    """The model, with mean 0 and deviation 1 where they are unknown and the images are pixels."""
    if model.info.mean is not None or np.asarray(images).dtype != np.uint8:
        return model
    text = "without mean and std, pixels are divided by 255 and not normalised otherwise; give those of the training"
    warnings.warn(text, UserWarning, stacklevel=4)
    return PackedModel(model.graph, replace(model.info, mean=(0.0,), std=(1.0,)), model.real, model.built)


class _Writer:
    """Writes the nodes of the graph in eight bits, in order; ``reports`` says what became of each real layer."""

    def __init__(self, graph: Graph, model: PackedModel, images: Float, reasons: dict[str, str]) -> None:
        self._graph, self._reasons, self.reports = graph, reasons, list[LayerReport]()
        readers = readers_of(graph)
        self._layers: dict[str, Folded] = {}
        for node in graph:
            if isinstance(node, Conv | BwnConv) and not reasons[node.name]:
                self._layers[node.name] = folded(graph, node, readers)
        every = self._layers.values()
        self._dropped = {name for layer in every for name in layer.pads}
        # The results of normalisations that layers contain have the names of the layers.
        self._renamed = {layer.norm.name: layer.node.name for layer in every if layer.norm}
        constants = pixel_constants(model.info, model.in_channels)
        self._pixels = constants if constants and self._only_real_layers_read_images() else None
        if self._pixels is not None:
            # The model would refuse images that are no pixels, such as values to 255 that were never normalised; the
            # ranges of all later layers would be those of other images.
            pixels_of(images, *model.info.normalisation())
        self._windows = windows_read(graph, [*every], images)
        self._made: dict[str, tuple[QuantiseLinear, float]] = {}  # with its relative error, by what it reads

    def _only_real_layers_read_images(self) -> bool:
        """Whether all that reads the images is real convolutions in eight bits, perhaps behind a border of zeros."""
        name = self._graph.input.name
        first = [layer for layer in self._layers.values() if layer.source == name and isinstance(layer.node, Conv)]
        known = {each for layer in first for each in (layer.node.name, *layer.pads)}
        reading = [node.name for node in self._graph if name in node.inputs]
        return bool(first) and known.issuperset(reading)

    def nodes(self) -> list[Node]:
        """All nodes of the new graph."""
        found: list[Node] = [replace(self._graph.input, pixels=self._pixels is not None)]
        for node in self._graph.nodes[1:]:
            if node.name in self._layers:
                found += self._in_eight_bits(self._layers[node.name])
            elif node.name not in self._dropped and node.name not in self._renamed:
                found.append(replace(node, inputs=tuple(self._renamed.get(name, name) for name in node.inputs)))
            if self._reasons.get(node.name):
                self.reports.append(LayerReport(node.name, node.kind, self._reasons[node.name]))
        return found

    def _in_eight_bits(self, layer: Folded) -> list[Node]:
        """The layer, with the node in front that makes whole numbers, unless another layer has it already."""
        new = list[Node]()
        windows = self._windows.pop(layer.node.name)
        if self._pixels is not None and layer.source == self._graph.input.name:
            node, report = of_pixels(layer, windows, *self._pixels)
        else:
            if layer.source not in self._made:
                step, zero, error = input_range(windows)
                reads = self._renamed.get(layer.source, layer.source)
                new.append(made := QuantiseLinear(self._free_name(layer.source), (reads,), step, zero))
                self._made[layer.source] = made, error
            node, report = of_map(layer, windows, *self._made[layer.source])
        self.reports.append(report)
        return [*new, node]

    def _free_name(self, source: str) -> str:
        """A name that no node has, for the whole numbers of a map."""
        name, taken = f"{source}.int8", {node.name for node in self._graph}
        while name in taken:
            name += "'"
        return name
