"""``binnet pack``."""

from __future__ import annotations

import argparse
import json
import os

from ..console import Console
from ..storage import CHECKPOINT, StorageError
from . import options

HELP = "turn a checkpoint into a packed model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="best.h5 or last.h5 of a run folder")
    parser.add_argument("out", metavar="OUT", help="file to write")
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Pack."""
    from ..evaluate import open_model
    from ..packed import summarise

    model = open_model(arguments.checkpoint)
    if model.kind != CHECKPOINT:
        raise StorageError(f"{arguments.checkpoint} is packed already, expected a checkpoint such as best.h5")
    if os.path.exists(arguments.out) and os.path.samefile(arguments.checkpoint, arguments.out):
        raise StorageError(f"{arguments.out} is the checkpoint itself; choose another name for the packed model")
    model.packed.save(arguments.out)
    s = summarise(model.packed)
    if arguments.json:
        sizes = {"float32_bytes": s.float32_bytes, "packed_bytes": s.file_bytes, "factor": s.compression}
        print(json.dumps({"out": arguments.out, **sizes}))
        return 0
    Console().say(f"{arguments.out}: {s.file_bytes:,} bytes, {s.compression:.1f} times smaller than float32")
    return 0
