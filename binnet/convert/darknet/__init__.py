"""Networks of Darknet: ``NAME.cfg``, the sections of the network, and ``NAME.weights``, numbers without names.

The weights are, behind a header, float32 in the order of the layers: of a convolution biases, with batch normalisation
scales, means and variances, then weights (filters, channels, rows, columns); of a connected layer biases, weights, then
scales, means and variances. ``xnor=1`` binarises inputs and weights, ``binary=1`` the weights: +1 only where a value is
above 0, α is the mean absolute weight of a filter, and the border is 0. A normalisation divides by √σ² + 1e-6.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...engine import PackedModel
from ..builder import Builder
from ..files import refuse_special
from ..report import ConversionError, Imported, Options
from .files import Values, sections_of
from .network import Network


def read(source: Path, options: Options) -> Imported:
    """Read a network; ConversionError in one sentence when a file is damaged or has an unknown section."""
    path = Path(options.structure) if options.structure else source.with_suffix(".cfg")
    refuse_special(path)
    try:
        return _read(source, path, options)
    except OSError as error:
        raise ConversionError(f"cannot read {error.filename or source}: {error.strerror or error}") from error


def _read(source: Path, path: Path, options: Options) -> Imported:
    net, *sections = sections_of(path)
    shape = options.input_shape or (net.number("height", 0), net.number("width", 0), net.number("channels", 0))
    if not all(shape):
        raise ConversionError(f"{path} does not say height, width and channels of an image; --input-shape says them")
    values = Values(source)
    network = Network(Builder(shape), values)
    for section in sections:
        network.add(section)
    values.end()
    # Darknet scales pixels to [0, 1] and does nothing else to them.
    if options.mean is None and options.std is None:
        options = replace(options, mean=(0.0,) * shape[2], std=(1.0,) * shape[2])
    for name in network.builder.drop_unread():
        network.builder.leave_out(name, "nothing reads its result")
    graph = network.builder.graph()
    try:
        model = PackedModel(graph, options.info(source.name, "Darknet"))
    except ValueError as error:
        raise ConversionError(str(error)) from error
    return Imported(model, network.builder.report)
