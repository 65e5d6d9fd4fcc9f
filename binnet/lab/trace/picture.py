"""A trace of a layer of a network on an image, with what a reader has to know about both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import binnet_datasets
from binnet_kernels.checks import Float

from ...engine.engine import Engine
from ...engine.preprocessing import read_for
from .arithmetic import Trace, trace_layer
from .checks import Check, against_network, checks
from .layer import Layer, layer_of
from .source import Source, check_side, with_statistics


@dataclass(frozen=True, eq=False)
class Picture:
    """A trace of a layer of a network on an image.

    Attributes
    ----------
    model : str
        The network's name and mode, and where it is from.
    image : str
        The image's file name.
    pixels : uint8 (H, W, 1 or 3)
        The image as the network sees it, before it is normalised.
    before : tuple of str
        The layers between the image and the traced layer.
    trace : Trace
    checks : tuple of Check
    notes : tuple of str
        Where the network or the layer differ from what the paper's equations say.
    """

    model: str
    image: str
    pixels: npt.NDArray[np.uint8]
    before: tuple[str, ...]
    trace: Trace
    checks: tuple[Check, ...]
    notes: tuple[str, ...]


def trace_image(source: Source, image: str | Path, layer: str | None = None, side: int | None = None) -> Picture:
    """Trace a binary layer of a network on an image.

    Parameters
    ----------
    source
        From :func:`binnet.lab.trace.open_source` or :func:`binnet.lab.trace.fresh_source`.
    image
        An image file.
    layer
        Name of a binary layer; None for the first.
    side
        Rows and columns of the image, where the network takes any; None for those it was made for.

    Raises
    ------
    ValueError
        When the layer is not there or not binary, listing those that are, or the size does not fit.
    DataError
        When the image cannot be read.
    """
    name, model = source.layer(layer).name, source.model
    pixels = read_for(model, image, _size(source, side))
    x = binnet_datasets.normalise(pixels[None], *model.info.normalisation(source.name))
    if source.fresh:
        source = with_statistics(source, x)
    node, graph = source.layer(name), source.model.graph
    before = graph.up_to(node.inputs[0])
    entering = Engine(before)(x)[0]
    trace = trace_layer(entering.reshape(*_image_shape(entering.shape)), layer_of(node, source.network))
    found = (*checks(trace), against_network(trace, Engine(graph.up_to(name))(x).reshape(trace.y.shape)))
    model_name = model.title + ("" if source.name == model.name else f", from {source.name}")
    names = tuple(each.name for each in before.nodes[1:])
    return Picture(model_name, Path(image).name, pixels, names, trace, found, _notes(source, trace.layer))


def trace_filters(x: Float, layer: Layer, pixels: npt.NDArray[np.uint8], image: str = "image") -> Picture:
    """Trace filters of one's own on an image, without a network.

    Parameters
    ----------
    x : float32 (H, W, C)
        What the filters read, for example a photograph less the mean of each channel.
    layer
        From :meth:`binnet.lab.trace.Layer.of_weight`.
    pixels : uint8 (H, W, 1 or 3)
        The image to show.
    image
        What it is called.

    Raises
    ------
    TypeError, ValueError
        As :func:`binnet.lab.trace.trace_layer`.
    """
    trace = trace_layer(x, layer)
    return Picture("filters without a network", image, pixels, (), trace, tuple(checks(trace)), ())


def _size(source: Source, side: int | None) -> tuple[int, int]:
    """Rows and columns of the image; ValueError for a size that the network does not take."""
    own = source.model.image_size
    if side is None or (side, side) == own:
        return own
    if source.model.fixed_size:
        raise ValueError(f"{source.name} takes images of {own[0]}x{own[1]} only, got {side}")
    check_side(side)
    return side, side


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A row of features is an image of one pixel."""
    return shape if len(shape) == 3 else (1, 1, *shape)


def _notes(source: Source, layer: Layer) -> tuple[str, ...]:
    notes = []
    if source.fresh:
        notes.append(
            "The network is fresh: its weights are random, and its normalisations use the statistics of this image "
            "and of shifted copies of it."
        )
    if layer.weight is None:
        notes.append(
            "A packed model keeps the signs and α of a binary layer, not its real weights W: α·sign(W) stands for "
            "them, also in the float convolution."
        )
    if not layer.use_k:
        notes.append("This network leaves K out, as most do: its layer gives sign(I) ⊛ sign(W) · α.")
    if layer.scale == "none":
        notes.append("This network has no scales: α is 1.")
    if layer.scale == "learned":
        notes.append("This network has learned its scales α instead of taking the mean of |W|.")
    return tuple(notes)
