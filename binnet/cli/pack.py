"""``binnet pack``."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

import binnet_datasets

from ..console import Console
from ..engine.model import REAL
from ..modelfile import CHECKPOINT, StorageError
from . import options
from .verify import compare, in_words, require_agreement

HELP = "turn a checkpoint into a packed model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="best.h5 or last.h5 of a run folder, or the folder")
    parser.add_argument("out", metavar="OUT", help="file to write")
    text = "also write .npy arrays and graph.json into this new folder (see docs/embedding.md)"
    parser.add_argument("--export-numpy", metavar="DIR", help=text)
    text = "compare both models on the test images of this data set first, and fail when a class differs"
    parser.add_argument("--dataset", choices=binnet_datasets.names(), help=text)
    parser.add_argument("--data", metavar="PATH", help="the same with a store, or a folder or archive of images")
    options.add_split(parser)
    text = "dtype of the weights of real layers; float16 is smaller but may change predictions (default: float32)"
    parser.add_argument("--real", choices=REAL, default="float32", help=text)
    options.add_threads(parser)
    options.add_own(parser)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Pack a checkpoint and return the exit code."""
    from ..engine.export import export
    from ..engine.summary import summarise
    from ..evaluation.evaluate import model_file, open_model

    options.set_threads(arguments)
    console = Console(to_stderr=arguments.json)
    arguments.checkpoint = str(model_file(arguments.checkpoint, "best.h5"))
    model = open_model(arguments.checkpoint, arguments.model)
    if model.kind != CHECKPOINT:
        raise StorageError(f"{arguments.checkpoint} is packed already, expected a checkpoint such as best.h5")
    # samefile also recognises links and other spellings of the path.
    if os.path.exists(arguments.out) and os.path.samefile(arguments.checkpoint, arguments.out):
        raise StorageError(f"{arguments.out} is the checkpoint itself; choose another name for the packed model")
    packed = model.packed.with_real(arguments.real)
    if arguments.dataset or arguments.data:  # before anything is written
        name, found = compare(model, packed, arguments, console)
        if packed.real == "float32":
            require_agreement(found, "the packed model")
        console.say(in_words(found, name, packed.real))
    files = export(packed, arguments.export_numpy) if arguments.export_numpy else []
    packed.save(arguments.out)
    s = summarise(packed)
    if arguments.json:
        exported: dict[str, Any] = {"exported": [*map(str, files)]} if files else {}
        sizes = {"float32_bytes": s.float32_bytes, "packed_bytes": s.file_bytes}
        print(json.dumps({"out": arguments.out, **sizes, "factor": s.compression, **exported}))
        return 0
    console.say(f"{arguments.out}: {s.file_bytes:,} bytes, {s.compression:.1f} times smaller than float32")
    if files:
        console.say(f"{arguments.export_numpy}: graph.json and {len(files) - 1} arrays")
    return 0
