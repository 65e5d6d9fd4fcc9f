"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

import binnet_datasets
import binnet_kernels as bk
from binnet_datasets.sources.choice import SPLITS
from binnet_datasets.sources.splits import LAYOUTS

from ..evaluation.loading import Source
from ..train.config import TrainConfig, numbers, type_of


def add_config(parser: argparse.ArgumentParser) -> None:
    """A flag for every field of :class:`TrainConfig`; only flags that were given appear in the result."""
    group = parser.add_argument_group("what to train, and how")
    for option in fields(TrainConfig):
        flag, text = "--" + option.name.replace("_", "-"), option.metadata["help"]
        default = "" if option.default in (None, MISSING) else f" (default: {shown(option.default)})"
        common = {"default": argparse.SUPPRESS, "help": text + default, "dest": option.name}
        if type_of(option) is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
        else:
            kind = numbers if type_of(option) is tuple else type_of(option)
            group.add_argument(flag, type=kind, **_words(option), **common)


def given_config(arguments: argparse.Namespace) -> dict[str, Any]:
    """The configuration flags that were given."""
    return {f.name: getattr(arguments, f.name) for f in fields(TrainConfig) if hasattr(arguments, f.name)}


def add_own(parser: argparse.ArgumentParser) -> None:
    """``--model`` of the commands that read checkpoints."""
    text = (
        "Python file and function of a network of one's own; a checkpoint of one needs it, and the file's code is run"
    )
    parser.add_argument("--model", metavar="FILE.py:FUNCTION", help=text)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """``--threads``."""
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the kernels (default: all cores)")


def set_threads(arguments: argparse.Namespace) -> None:
    """Apply ``--threads``; ValueError when there are not so many."""
    if arguments.threads is not None:
        bk.set_num_threads(arguments.threads)


def add_data(parser: argparse.ArgumentParser) -> None:
    """``--dataset`` and ``--data``."""
    names = binnet_datasets.names()
    text = "image store, or folder or archive of images; with --dataset, folder with its files (else downloaded)"
    parser.add_argument("--dataset", choices=names, help="data set (default: the one that the model was trained on)")
    parser.add_argument("--data", metavar="PATH", help=text)
    add_split(parser)


def add_split(parser: argparse.ArgumentParser) -> None:
    """``--split`` and ``--layout``."""
    text = (
        "which images of --data: auto (the default) takes those in test, val or train, the first that is there, or all "
        "images of a folder without such parts; of a store the validation images"
    )
    parser.add_argument("--split", choices=SPLITS, default="auto", help=text)
    text = "how the folders of --data are read where train or val may be a class: as splits, or as classes"
    parser.add_argument("--layout", choices=LAYOUTS, help=text)


def source_of(arguments: argparse.Namespace) -> Source:
    """The data that a command names."""
    labels = getattr(arguments, "labels", None)
    return Source(arguments.dataset, arguments.data, arguments.split, labels, arguments.layout)


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON value on standard output")


def _words(option: Field[Any]) -> dict[str, Any]:
    metavar = option.metadata.get("metavar")
    if option.metadata["choices"]:
        return {"choices": option.metadata["choices"], **({"metavar": metavar} if metavar else {})}
    return {"metavar": metavar or {int: "N", float: "X", str: "WORD", tuple: "X,X"}[type_of(option)]}


def flags(values: Mapping[str, Any]) -> list[str]:
    """Configuration options as they are written on the command line."""
    words = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", shown(value)]
    return words


def shown(value: Any) -> str:
    """An option's value as it is written on the command line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
