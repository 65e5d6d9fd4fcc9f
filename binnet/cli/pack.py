"""``binnet pack``."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import binnet_datasets

from ..console import Console
from ..engine.weights import REAL
from ..modelfile import CHECKPOINT, StorageError
from . import options
from .verify import compare, in_words, require_agreement

if TYPE_CHECKING:
    from ..engine import PackedModel
    from ..evaluation.evaluate import Model
    from ..evaluation.loading import Source
    from ..quantise import LayerReport

HELP = "turn a checkpoint into a packed model, or a packed model into one with real layers of fewer bits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    text = "best.h5 or last.h5 of a run folder, or the folder; for --real float16 and int8 also a packed model"
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help=text)
    parser.add_argument("out", metavar="OUT", help="file to write")
    text = "also write .npy arrays and graph.json into this new folder (see docs/embedding.md)"
    parser.add_argument("--export-numpy", metavar="DIR", help=text)
    text = "compare both models on the test images of this data set first, and fail when a class differs"
    parser.add_argument("--dataset", choices=binnet_datasets.names(), help=text)
    parser.add_argument("--data", metavar="PATH", help="the same with a store, or a folder or archive of images")
    options.add_split(parser)
    text = (
        "dtype of the weights of real layers; float16 is smaller but may change predictions; int8 is for their inputs "
        "too, faster and smaller still (default: float32)"
    )
    parser.add_argument("--real", choices=(*REAL, "int8"), default="float32", help=text)
    _add_eight_bits(parser)
    options.add_threads(parser)
    options.add_own(parser)
    options.add_json(parser)


MAX_DROP, CALIBRATION_IMAGES = 0.5, 256
_ONLY_INT8 = ("calibrate", "calibration_images", "keep_real", "max_drop")


def _add_eight_bits(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``--real int8``."""
    group = parser.add_argument_group("real layers in eight bits (--real int8)")
    text = (
        "data set by name, or store, folder or archive of images: the ranges of inputs are calibrated on its training "
        "images, and top-1 is compared on the others (default: that of --dataset and --data, or of the training)"
    )
    group.add_argument("--calibrate", metavar="DATA", help=text)
    text = "number of training images for calibration (default: 256)"
    group.add_argument("--calibration-images", type=int, metavar="N", help=text)
    text = "names of layers that stay real; binnet summary lists all"
    group.add_argument("--keep-real", metavar="NAME", nargs="+", action="extend", help=text)
    text = "write nothing when top-1 falls by more than this many percentage points (default: 0.5)"
    group.add_argument("--max-drop", type=float, metavar="X", help=text)


def run(arguments: argparse.Namespace) -> int:
    """Pack a model and return the exit code."""
    from ..engine.export import export
    from ..engine.summary import summarise

    options.set_threads(arguments)
    console = Console(to_stderr=arguments.json)
    model = _opened(arguments)
    packed, figures = (_in_eight_bits if arguments.real == "int8" else _in_floats)(model, arguments, console)
    files = export(packed, arguments.export_numpy) if arguments.export_numpy else []
    packed.save(arguments.out)
    s = summarise(packed)
    if arguments.json:
        exported: dict[str, Any] = {"exported": [*map(str, files)]} if files else {}
        sizes = {"float32_bytes": s.float32_bytes, "packed_bytes": s.file_bytes}
        print(json.dumps({"out": arguments.out, **sizes, "factor": s.compression, **exported, **figures}))
        return 0
    console.say(f"{arguments.out}: {s.file_bytes:,} bytes, {s.compression:.1f} times smaller than float32")
    if files:
        console.say(f"{arguments.export_numpy}: graph.json and {len(files) - 1} arrays")
    return 0


def _opened(arguments: argparse.Namespace) -> Model:
    """The model to pack; StorageError for one that is packed already, unless its real layers get fewer bits."""
    from ..evaluation.evaluate import model_file, open_model

    arguments.checkpoint = str(model_file(arguments.checkpoint, "best.h5"))
    model = open_model(arguments.checkpoint, arguments.model)
    real = model.packed.real
    if model.kind != CHECKPOINT and (arguments.real in ("float32", real) or real == "int8"):
        already = {"int8": ", in eight bits", "float16": ", with 16-bit floats"}.get(real, "")
        raise StorageError(f"{arguments.checkpoint} is packed already{already}, expected a checkpoint such as best.h5")
    options.refuse_overwriting(
        arguments.checkpoint, arguments.out, "checkpoint" if model.kind == CHECKPOINT else "model"
    )
    if os.path.isdir(arguments.out):  # before calibration, which takes its time
        raise StorageError(f"cannot write {arguments.out}: it is not a file, and cannot be replaced by one")
    return model


def _in_floats(model: Model, arguments: argparse.Namespace, console: Console) -> tuple[PackedModel, dict[str, Any]]:
    """The packed model with real layers in floats, compared with the checkpoint when there is data for that."""
    from ..evaluation.evaluate import logits_of

    for name in _ONLY_INT8:
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} is for --real int8 only")
    packed = model.packed.with_real(arguments.real)
    if arguments.dataset or arguments.data:  # before anything is written
        name, found = compare(model, logits_of(packed, packed), arguments, console)
        if packed.real == "float32":
            require_agreement(found, "the packed model")
        console.say(in_words(found, name, packed.real))
    return packed, {}


def _in_eight_bits(model: Model, arguments: argparse.Namespace, console: Console) -> tuple[PackedModel, dict[str, Any]]:
    """The packed model with real layers in eight bits; ValueError when its top-1 is too low."""
    from ..evaluation.eight_bits import compare_in_eight_bits

    most = MAX_DROP if arguments.max_drop is None else arguments.max_drop
    if not 0 <= most < math.inf:  # False for NaN
        raise ValueError(f"--max-drop must be a number of at least 0, got {most}")
    found = compare_in_eight_bits(
        model,
        arguments.checkpoint,
        _calibration_source(arguments),
        CALIBRATION_IMAGES if arguments.calibration_images is None else arguments.calibration_images,
        arguments.keep_real or (),
        console,
    )
    before, after, layers = found.before, found.after, found.quantised.layers
    _say_layers(layers, console)
    now = "in eight bits" if found.quantised.model.real == "int8" else "with all layers kept as they are"
    top1 = f"top-1 {after.top1:.2%} {now}, {before.top1:.2%} before"
    differing = int((before.predictions != after.predictions).sum())
    # The top-1 of a small set changes by chance when predictions do, in either direction.
    console.say(f"{top1}, on {before.n:,} test images of {found.dataset}; differing predictions: {differing:,}")
    if found.drop > most:
        raise ValueError(
            f"nothing was written, as top-1 falls by {found.drop:.2f} points to {after.top1:.2%}; keep layers real "
            f"with --keep-real, or allow more than {most:g} with --max-drop"
        )
    figures = {"dataset": found.dataset, "n": before.n, "top1_before": before.top1, "top1": after.top1}
    figures["differing"] = differing
    packed = found.quantised.model  # whose layers may all have stayed real
    return packed, {"real": packed.real, **figures, "layers": [layer.to_dict() for layer in layers]}


def _calibration_source(arguments: argparse.Namespace) -> Source:
    """The source of images that ``--calibrate``, a name or a path, adds to ``--dataset`` and ``--data``."""
    source, given = options.source_of(arguments), arguments.calibrate
    if given is None:
        return source
    field = "name" if given in binnet_datasets.names() else "data"
    if getattr(source, field) not in (None, given):
        raise ValueError(f"--calibrate {given} contradicts {'--dataset' if field == 'name' else '--data'}")
    return replace(source, **{field: given})


def _say_layers(layers: Sequence[LayerReport], console: Console) -> None:
    """Print what became of each real layer."""
    rows = []
    for layer in layers:
        step = "pixels" if layer.zero is None else f"{layer.step:.3g}, zero {layer.zero}"
        errors = ["" if e is None else f"{e:.2%}" for e in (layer.input_error, layer.weight_error)]
        rows.append([layer.name, layer.kind, (layer.reason and f"real: {layer.reason}") or step, *errors])
    console.table(["layer", "kind", "input step", "input error", "weight error"], rows)
