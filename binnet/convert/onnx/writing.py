"""Writes a packed model as ONNX (opset 18), with the normalisation of pixels inside.

The graph takes (N, H, W, C) as binnet does, any number of images, and turns it once to ONNX's (N, C, H, W). Signs are
``Where(x < 0, -1, 1)``, so that 0 counts as +1; ONNX's own Sign would give 0. One-bit weights are int8 ±1 and a Cast,
or QONNX's BipolarQuant.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from binnet_datasets.files import replacing, why

from ... import __version__
from ...engine import PackedModel
from ...graph.graph import Shape, text
from ..report import ConversionError
from . import filters, nodes
from .emitter import LARGEST, QONNX, TO_CHANNELS_FIRST, TO_CHANNELS_LAST, Emitter, Place
from .package import onnx_package

OPSET, IR = 18, 8
WRITERS = {**nodes.WRITERS, **filters.WRITERS}


def write(model: PackedModel, out: Path, qonnx: bool = False) -> str:
    """Write ``out`` under a temporary name that is renamed when it is complete, and return a sentence about it.

    Parameters
    ----------
    qonnx
        Whether one-bit weights are held as QONNX's BipolarQuant, which ONNX Runtime does not know.

    Raises
    ------
    ConversionError
        When the package ``onnx`` is missing, the network has nodes of custom kinds, or the file cannot be written.
    """
    proto = to_onnx(model, qonnx)
    data = proto.SerializeToString(deterministic=True)
    try:
        with replacing(out) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise ConversionError(f"cannot write {out}: {why(error)}") from error
    source, result = proto.graph.input[0].name, proto.graph.output[0].name
    shapes = f"{source} {text(model.input_shape)} to {result} {text(model.graph.result)}"
    return f"{out}: ONNX opset {OPSET}, {len(proto.graph.node)} operations, {len(data):,} bytes, {shapes}"


def to_onnx(model: PackedModel, qonnx: bool = False) -> Any:
    """The model as an ``onnx.ModelProto``; ConversionError as for :func:`write`."""
    helper = onnx_package().helper
    graph = model.graph
    emitter = Emitter(qonnx)
    pixels = model.takes_pixels or model.info.mean is not None
    source = "pixels" if pixels else "image"
    values = {graph.input.name: _input(emitter, model, source)}
    for node in graph.nodes[1:]:
        writer = WRITERS.get(type(node))
        if writer is None:
            raise ConversionError(f"{node.name} is a {node.kind}, which has no form in ONNX")
        shapes = tuple(graph.shapes[name] for name in node.inputs)
        place = Place(emitter, node, tuple(values[name] for name in node.inputs), shapes, graph.shapes[node.name])
        values[node.name] = writer(place, node)
    _output(emitter, values[graph.nodes[-1].name], graph.result)
    images, result = ("N", *graph.input.shape), ("N", *graph.result)
    made = helper.make_graph(
        emitter.operations,
        "binnet",
        [helper.make_tensor_value_info(source, 2 if pixels else 1, images)],  # 2 is uint8, 1 is float32
        [helper.make_tensor_value_info("scores", 1, result)],
        _tensors(emitter),
    )
    return _model(helper, made, model, qonnx)


def _input(emitter: Emitter, model: PackedModel, source: str) -> str:
    """The images as float32 (N, C, H, W), normalised if they are pixels and the network does not take these."""
    value = source
    if source == "pixels":
        value = emitter.op("input", "Cast", (value,), to=1)
    if source == "pixels" and not model.takes_pixels:
        mean, std = (np.array(numbers, np.float32) for numbers in model.info.normalisation())
        value = emitter.op("input", "Div", (value, emitter.constant("input", "most", np.float32(255))))
        value = emitter.op("input", "Sub", (value, emitter.constant("input", "mean", mean)))
        value = emitter.op("input", "Div", (value, emitter.constant("input", "std", std)))
    return emitter.op("input", "Transpose", (value,), perm=TO_CHANNELS_FIRST)


def _output(emitter: Emitter, value: str, shape: Shape) -> None:
    from onnx import helper

    if len(shape) == 3:
        emitter.operations.append(helper.make_node("Transpose", [value], ["scores"], "scores", perm=TO_CHANNELS_LAST))
    else:
        emitter.operations.append(helper.make_node("Identity", [value], ["scores"], "scores"))


def _tensors(emitter: Emitter) -> list[Any]:
    from onnx import numpy_helper

    size = sum(array.nbytes for array in emitter.arrays.values())
    if size > LARGEST:
        raise ConversionError(f"the model has {size:,} bytes of weights, more than an ONNX file holds")
    return [numpy_helper.from_array(array, name) for name, array in emitter.arrays.items()]


def _model(helper: Any, graph: Any, model: PackedModel, qonnx: bool) -> Any:
    domains = [helper.make_opsetid("", OPSET), *([helper.make_opsetid(QONNX, 1)] if qonnx else [])]
    made = helper.make_model(graph, opset_imports=domains, ir_version=IR, producer_name="binnet")
    made.producer_version = __version__
    facts: dict[str, Any] = {}
    if model.info.class_names:
        facts["class_names"] = json.dumps(model.info.class_names, ensure_ascii=False)
    if model.info.mean is not None:
        facts |= {"mean": json.dumps(model.info.mean), "std": json.dumps(model.info.std)}
    helper.set_model_props(made, facts)
    return made
