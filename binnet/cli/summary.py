"""``binnet summary``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from .. import models
from ..console import Console
from ..modelfile.info import DataInfo
from ..train.config import ConfigError
from . import options

if TYPE_CHECKING:
    from ..engine import PackedModel
    from ..engine.summary import Summary

HELP = "list the layers of a model with their one-bit, eight-bit and 32-bit parameters, multiply-adds and bytes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="checkpoint, packed model or run folder")
    text = (
        f"instead of FILE: a network by name ({', '.join(models.names())}), or FILE.py:FUNCTION for a custom network; "
    )
    text += "the latter also beside its checkpoint: the Python file is executed"
    parser.add_argument("--model", metavar="NAME", help=text)
    parser.add_argument("--binarize", choices=models.MODES, default="xnor", help="mode of --model (default: xnor)")
    text = "number of classes of --model (default: 10)"
    parser.add_argument("--num-classes", type=int, default=10, metavar="N", help=text)
    text = "number of image channels of --model (default: 3)"
    parser.add_argument("--in-channels", type=int, default=3, metavar="N", help=text)
    text = "image size of --model in pixels (default: the network's own)"
    parser.add_argument("--image-size", type=int, metavar="N", help=text)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the summary of a model and return the exit code."""
    from ..engine.summary import summarise
    from ..evaluation.evaluate import open_model
    from ..models.own_network import is_own

    own = arguments.model if is_own(arguments.model) else None
    if arguments.file is not None and (own or arguments.model is None):
        packed = open_model(arguments.file, own).packed
    elif arguments.file is None and arguments.model is not None:
        packed = _fresh(arguments, own)
    else:
        raise ConfigError("summary takes either a FILE or --model NAME")
    summary = summarise(packed)
    if arguments.json:
        print(json.dumps({"model": packed.built, "input": list(packed.input_shape), **summary.to_dict()}))
        return 0
    _print(packed, summary)
    return 0


def _fresh(arguments: argparse.Namespace, own: str | None) -> PackedModel:
    """A packed network with fresh weights, by its name or from a Python file."""
    from ..evaluation.evaluate import pack_network
    from ..models.own_network import load

    a = arguments
    if own is None:
        options.check_model_name(a.model, models.names())
        network = models.build(a.model, a.binarize, a.num_classes, a.in_channels, a.image_size)
        return pack_network(network, network.spec, DataInfo())
    if a.image_size is None:  # networks by name have a default size, a function in a file has none
        raise ConfigError(f"{own} needs --image-size")
    source = load(own)
    asked = {"num_classes": a.num_classes, "in_channels": a.in_channels, "binarize": a.binarize}
    spec = source.spec({**asked, "image_size": (a.image_size, a.image_size)})
    return pack_network(source.build(spec), spec, DataInfo())


def _print(model: PackedModel, s: Summary) -> None:
    from ..engine.summary import FIGURES

    console = Console()
    console.say(f"{model.title}, {'x'.join(map(str, model.input_shape))} images\n")
    # Eight bits are only shown where there are any.
    columns = {name: head for name, head in FIGURES.items() if "8bit" not in name or s.total("params_8bit")}
    rows = [[r.name, r.kind, "x".join(map(str, r.output)), *(f"{getattr(r, c):,}" for c in columns)] for r in s.rows]
    console.table(
        ["layer", "kind", "output", *columns.values()], rows, ["total", "", "", *(f"{s.total(c):,}" for c in columns)]
    )
    console.say(f"\npacked file {s.file_bytes:,} bytes, float32 {s.float32_bytes:,}: {s.compression:.1f} times smaller")
    # Weights of k bits are levels, not signs, so the last line must not call them one-bit.
    levels = any(row.kind == "KbitConv" for row in s.rows)
    console.say(f"{s.binary_share:.1%} of the multiply-adds are on {'binary' if levels else 'one-bit'} weights")
    if levels:
        console.say("KbitConv: weights of k bits lie in k planes of one bit each; a weight counts once here")
