"""A trace of a layer of a network on an image, with the description of both that the terminal and the page show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from binnet_kernels.checks import Float

from ...engine.engine import Engine
from ...engine.pixels import as_input
from ...engine.preprocessing import read_for
from .answer import Answer, answer_of
from .arithmetic import Trace, trace_layer
from .checks import Check, against_network, checks
from .layer import Layer, layer_of
from .source import Source, check_side, with_statistics


@dataclass(frozen=True, eq=False)
class Picture:
    """A trace of a layer of a network on an image, with its context.

    Attributes
    ----------
    model : str
        Name and mode of the network, and the file it comes from.
    image : str
        File name of the image.
    pixels : uint8 (H, W, 1 or 3)
        The image at the network's size, before normalisation.
    before : tuple of str
        Names of the layers between the image and the traced layer.
    trace : Trace
        The arrays of the steps.
    checks : tuple of Check
        Comparisons of the steps with independent computations.
    notes : tuple of str
        Sentences about differences between the network or layer and the paper's equations.
    answer : Answer or None
        The classes that the whole network gives the image; None for filters without a network, and where it gives none.
    """

    model: str
    image: str
    pixels: npt.NDArray[np.uint8]
    before: tuple[str, ...]
    trace: Trace
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    answer: Answer | None = None


def trace_image(source: Source, image: str | Path, layer: str | None = None, side: int | None = None) -> Picture:
    """Trace a binary layer of a network on an image.

    Parameters
    ----------
    source
        The network, from :func:`binnet.lab.trace.open_source` or :func:`binnet.lab.trace.fresh_source`.
    image
        Path of the image.
    layer
        Name of a binary layer; None for the first.
    side
        Rows and columns of the image in pixels, for networks that accept any size; None for the network's own.

    Raises
    ------
    ValueError
        When the layer does not exist or is not binary, with a list of the binary layers, or when the size does not fit.
    DataError
        When the image cannot be read.
    """
    name, model = source.layer(layer).name, source.model
    pixels = read_for(model, image, _size(source, side))
    model.info.normalisation(source.name)  # the error for a model that has none names the file
    x = as_input(model, pixels[None])
    if source.fresh:  # an untrained normalisation would not centre the input of the layer
        source = with_statistics(source, x)
    node, graph = source.layer(name), source.model.graph
    before = graph.up_to(node.inputs[0])
    # The engine runs the network up to the layer, so the trace begins with the very input that the layer gets.
    entering = Engine(before)(x)[0]
    trace = trace_layer(entering.reshape(*_image_shape(entering.shape)), layer_of(node, source.network))
    found = (*checks(trace), against_network(trace, Engine(graph.up_to(name))(x).reshape(trace.y.shape)))
    model_name = model.title + ("" if source.name == model.name else f", from {source.name}")
    names = tuple(each.name for each in before.nodes[1:])  # the first node is the input
    notes, answer = _notes(source, trace.layer), answer_of(source, x)
    return Picture(model_name, Path(image).name, pixels, names, trace, found, notes, answer)


def trace_filters(x: Float, layer: Layer, pixels: npt.NDArray[np.uint8], image: str = "image") -> Picture:
    """Trace given filters on an image, without a network.

    Parameters
    ----------
    x : float32 (H, W, C)
        Input of the filters, for example a photograph less the mean of each channel.
    layer
        The filters, from :meth:`binnet.lab.trace.Layer.of_weight`.
    pixels : uint8 (H, W, 1 or 3)
        The image to show.
    image
        Name of the image.

    Raises
    ------
    TypeError, ValueError
        As in :func:`binnet.lab.trace.trace_layer`.
    """
    trace = trace_layer(x, layer)
    return Picture("filters without a network", image, pixels, (), trace, tuple(checks(trace)), ())


def _size(source: Source, side: int | None) -> tuple[int, int]:
    """Rows and columns of the image; ValueError for a size that the network does not accept."""
    own = source.model.image_size
    if side is None or (side, side) == own:
        return own
    if source.model.fixed_size:
        raise ValueError(f"{source.name} takes images of {own[0]}x{own[1]} only, got {side}")
    check_side(side)
    return side, side


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape (H, W, C) of a layer's input; a vector of features is an image of one pixel."""
    return shape if len(shape) == 3 else (1, 1, *shape)


def _notes(source: Source, layer: Layer) -> tuple[str, ...]:
    # Without these notes a reader would compare numbers of this network with equations that it does not use.
    notes = []
    if source.fresh:
        notes.append(
            "The network is not trained: its weights are random, and its normalisations use the statistics of this "
            "image and of shifted copies of it."
        )
    if layer.weight is None:
        notes.append(
            "A packed model has the signs and α of a binary layer but not its real weights W; α·sign(W) replaces them, "
            "also in the float convolution."
        )
    if not layer.use_k:
        notes.append("This network leaves K out, as most do: its layer computes sign(I) ⊛ sign(W) · α.")
    if layer.scale == "none":
        notes.append("This network has no scales: α is 1.")
    if layer.scale == "learned":
        notes.append("This network has learned its scales α instead of taking the mean of |W|.")
    return tuple(notes)
