"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import binnet_datasets
import binnet_kernels as bk
from binnet_datasets.sources.choice import SPLITS
from binnet_datasets.sources.splits import LAYOUTS

from .. import shipped
from ..evaluation.loading import Source
from ..train.config import TrainConfig, numbers, type_of


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add an option for every field of :class:`TrainConfig`; the namespace has only those that were given."""
    group = parser.add_argument_group("what to train, and how")
    for option in fields(TrainConfig):
        flag, text = "--" + option.name.replace("_", "-"), option.metadata["help"]
        # The parser itself has no defaults: a recipe or --config must be able to set what no flag sets.
        default = "" if option.default in (None, MISSING) else f" (default: {shown(option.default)})"
        common = {"default": argparse.SUPPRESS, "help": text + default, "dest": option.name}
        if type_of(option) is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
        else:
            kind = numbers if type_of(option) is tuple else type_of(option)
            group.add_argument(flag, type=kind, **_words(option), **common)


def given_config(arguments: argparse.Namespace) -> dict[str, Any]:
    """The configuration options that were given on the command line, by field name."""
    return {f.name: getattr(arguments, f.name) for f in fields(TrainConfig) if hasattr(arguments, f.name)}


def add_own(parser: argparse.ArgumentParser) -> None:
    """Add ``--model`` to a command that reads checkpoints."""
    text = "Python file and function that build a custom network, needed for its checkpoints; the file is executed"
    parser.add_argument("--model", metavar="FILE.py:FUNCTION", help=text)


def check_model_name(name: str, known: Collection[str]) -> None:
    """Raise ValueError when ``--model`` takes a name here and was given that of a file, or of a trained model."""
    if name not in known and name in shipped.names():
        raise ValueError(f"--model takes the name of a network, and {name} is a trained model: give it as FILE")
    if name not in known and Path(name).exists():
        raise ValueError(f"--model takes a name, not a file: give {name} without --model, as FILE")


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add ``--threads``."""
    parser.add_argument("--threads", type=int, metavar="N", help="number of threads (default: all cores)")


def set_threads(arguments: argparse.Namespace) -> None:
    """Apply ``--threads``; ValueError when it is out of range."""
    if arguments.threads is not None:
        bk.set_num_threads(arguments.threads)


def refuse_overwriting(source: str | Path, out: str | Path, what: str) -> None:
    """Raise ValueError when the file to write is the one that was read, also by a link or another spelling."""
    if os.path.exists(out) and os.path.exists(source) and os.path.samefile(source, out):
        raise ValueError(f"{out} is the {what} itself; choose another name for the file to write")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add ``--dataset``, ``--data``, ``--split`` and ``--layout``."""
    names = binnet_datasets.names()
    text = "image store, folder or archive of images; with --dataset, the folder of its files (default: download them)"
    parser.add_argument("--dataset", choices=names, help="data set (default: the one the model was trained on)")
    parser.add_argument("--data", metavar="PATH", help=text)
    add_split(parser)


def add_split(parser: argparse.ArgumentParser) -> None:
    """Add ``--split`` and ``--layout``."""
    text = (
        "images to use; auto (the default) takes the test images of --dataset, of --data the first of test, val and "
        "train that exists, all images of a folder without splits, and the validation images of a store"
    )
    parser.add_argument("--split", choices=SPLITS, default="auto", help=text)
    text = "whether folders of --data named train or val are splits or classes, where both are possible"
    parser.add_argument("--layout", choices=LAYOUTS, help=text)


def source_of(arguments: argparse.Namespace) -> Source:
    """The source of images that the options of a command name."""
    labels = getattr(arguments, "labels", None)  # only evaluate has --labels
    return Source(arguments.dataset, arguments.data, arguments.split, labels, arguments.layout)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON value on standard output")


def _words(option: Field[Any]) -> dict[str, Any]:
    metavar = option.metadata.get("metavar")
    if option.metadata["choices"]:
        return {"choices": option.metadata["choices"], **({"metavar": metavar} if metavar else {})}
    return {"metavar": metavar or {int: "N", float: "X", str: "WORD", tuple: "X,X"}[type_of(option)]}


def flags(values: Mapping[str, Any]) -> list[str]:
    """Configuration options as words of a command line."""
    words = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", shown(value)]
    return words


def shown(value: Any) -> str:
    """The value of an option as text: on or off for booleans, commas between the elements of a list."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
