"""``binnet summary``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from .. import models
from ..config import ConfigError
from ..console import Console
from . import options

if TYPE_CHECKING:
    from ..engine import PackedModel
    from ..engine.summary import Summary

HELP = "list the layers of a model with what they cost, one-bit and 32-bit apart"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="checkpoint or packed model, or a run folder")
    parser.add_argument("--model", choices=models.names(), help="a network by name, instead of a file")
    parser.add_argument("--binarize", choices=models.MODES, default="xnor", help="with --model (default: xnor)")
    parser.add_argument("--num-classes", type=int, default=10, metavar="N", help="with --model (default: 10)")
    parser.add_argument("--in-channels", type=int, default=3, metavar="N", help="with --model (default: 3)")
    parser.add_argument("--image-size", type=int, metavar="N", help="with --model (default: the network's own)")
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Summarise."""
    from ..engine.summary import summarise
    from ..evaluate import open_model
    from ..packing import pack

    if (arguments.file is None) == (arguments.model is None):
        raise ConfigError("summary takes either a FILE or --model NAME")
    if arguments.file is not None:
        packed = open_model(arguments.file).packed
    else:
        a = arguments
        packed = pack(models.build(a.model, a.binarize, a.num_classes, a.in_channels, a.image_size))
    summary = summarise(packed)
    if arguments.json:
        print(json.dumps({"model": packed.built, "input": list(packed.input_shape), **summary.to_dict()}))
        return 0
    _print(packed, summary)
    return 0


def _print(model: PackedModel, s: Summary) -> None:
    console = Console()
    console.say(f"{model.title}, {'x'.join(map(str, model.input_shape))} images\n")
    columns = ("params_1bit", "params_32bit", "macs_1bit", "macs_32bit", "bytes")
    rows = [[r.name, r.kind, "x".join(map(str, r.output)), *(f"{getattr(r, c):,}" for c in columns)] for r in s.rows]
    heads = ["layer", "kind", "output", "1-bit params", "32-bit params", "1-bit MACs", "32-bit MACs", "bytes"]
    console.table(heads, rows, ["total", "", "", *(f"{s.total(c):,}" for c in columns)])
    console.say(f"\npacked file {s.file_bytes:,} bytes, float32 {s.float32_bytes:,}: {s.compression:.1f} times smaller")
    levels = any(row.kind == "KbitConv" for row in s.rows)
    console.say(f"{s.binary_share:.1%} of the multiply-adds are on {'binary' if levels else 'one-bit'} weights")
    if levels:
        console.say("KbitConv: weights of k bits lie in k planes of one bit each; a weight counts once here")
