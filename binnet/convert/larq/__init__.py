"""Larq and Keras ``.h5`` files: a network as JSON, and latent weights in HDF5.

What ``binnet import --from larq`` reads:

- whole models (``model.save("x.h5")``): the JSON is the attribute ``model_config``, the weights are in the group
  ``model_weights``;
- weights alone (``model.save_weights("x.h5")``), with the JSON (``model.to_json()``) in a second file.

Each layer has a group; its attribute ``weight_names`` lists its arrays. Convolutions are stored as rows, columns, in,
out, in real numbers: Larq takes their sign, and that of the input, when the layer runs. sign(0) is +1, there is no α.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...engine import PackedModel
from ..builder import Builder
from ..report import ConversionError, Imported, Options
from .hdf5 import LONGEST_TEXT, Weights, weights_of
from .layers import HANDLERS
from .network import Call, calls_of
from .part import Part

__all__ = ["read"]


def read(source: Path, options: Options) -> Imported:
    """Read a model of Larq or Keras, see :func:`binnet.convert.read`; ``options.structure`` is the file with the JSON.

    Raises
    ------
    ConversionError
        Also for models of Keras 3 in ``.keras`` files, networks inside of networks, several inputs or outputs, and
        quantisers other than signs.
    """
    try:
        weights = weights_of(source)
        calls, result = calls_of(_structure(source, options, weights), options.input_shape)
        return _Network(weights).imported(calls, result, options.info(source.name, "larq"))
    except ConversionError as error:
        raise ConversionError(f"{source}: {error}") from error


class _Network:
    """The graph in the making: the node that each call of a layer became."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: dict[tuple[str, int], str] = {}
        self._signed: set[str] = set()

    def imported(self, calls: list[Call], result: tuple[str, int], info: Any) -> Imported:
        """The model of the calls, in the order in which they can be computed; ``result`` is the call that gives it."""
        builder = Builder(calls[0].shape)
        builder.tell(calls[0].layer.name, calls[0].layer.kind, f"Input {'x'.join(map(str, calls[0].shape))}")
        # binnet's images always have three axes; those of Keras may be rows of numbers.
        self._nodes[calls[0].key] = calls[0].adapt(builder)
        for call in calls[1:]:
            if calls[0].axes == 2 and calls[0].key in call.inputs and call.layer.kind not in ("Flatten", "Reshape"):
                raise ConversionError(f"{call.layer.name} reads images of two axes, which only Flatten and Reshape may")
            self._add(builder, call)
        # A graph ends with its result, so nothing may be computed after it.
        if self._nodes.get(result) != builder.last:
            raise ConversionError(f"the result is that of {result[0]}, but {builder.last} comes after it")
        for name in self._weights.unread({call.layer.name for call in calls}):
            state = name == "optimizer_weights"
            builder.leave_out(name, "state of the optimiser" if state else "not part of the network")
        try:
            return Imported(PackedModel(builder.graph(), info), builder.report)
        except ValueError as error:
            raise ConversionError(str(error)) from error

    def _add(self, builder: Builder, call: Call) -> None:
        kind = call.layer.kind
        if kind not in HANDLERS:
            raise ConversionError(f"the layer {call.layer.name} is a {kind}, which binnet does not know")
        inputs = tuple(self._nodes[key] for key in call.inputs)
        part = Part(builder, call.layer, self._weights.layer(call.layer.name), inputs, self._signed)
        try:
            HANDLERS[kind](part)
        except ConversionError as error:
            # Sentences of the graph begin with the name of a node already.
            named = str(error) if call.layer.name in str(error) else f"{call.layer.name}: {error}"
            raise ConversionError(named) from error
        part.finish()
        self._nodes[call.key] = part.result


def _structure(source: Path, options: Options, weights: Weights) -> Any:
    """The JSON of the network: of the file that was named, of the model file, or of the file beside it."""
    beside = source.with_suffix(".json")
    if options.structure is None and weights.structure is not None:
        return _parsed(weights.structure, "model_config")
    if options.structure is None and not beside.is_file():
        text = f"the file holds weights without a network; write model.to_json() to {beside.name} beside it"
        raise ConversionError(f"{text}, or name a file with --structure")
    path = Path(options.structure or beside)
    try:
        if path.stat().st_size > LONGEST_TEXT:
            raise ConversionError(f"{path} is longer than {LONGEST_TEXT:,} bytes")
        return _parsed(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not a text'}") from error


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"{where} is not JSON") from error
