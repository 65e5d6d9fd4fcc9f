"""``binnet reproduce``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from binnet_system import commands

from ..console import Console
from . import options

HELP = "run the comparisons of the paper's tables on your images, and report them beside the paper's results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    parser.add_argument(
        "table",
        metavar="TABLE",
        help="table1, table2, table3, gradients, bits, blocks or gap; options that its rows set, such as binarize, are "
        "refused",
    )
    parser.add_argument(
        "--rows", metavar="NAME,NAME", help="run only these rows, named like their run folders, such as alexnet-xnor"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of runs and report (default: runs/reproduce-<data>); its finished runs are reused, others resumed",
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="train each row with the seeds 1 to N, and report means (default: 1 run)"
    )
    options.add_config(parser)
    options.add_threads(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train the missing rows, write the report and return the exit code."""
    from ..lab import reproduce
    from ..train import TrainingInterruptedError

    options.set_threads(arguments)
    given, console = options.given_config(arguments), Console()
    rows = None if arguments.rows is None else arguments.rows.split(",")
    table = reproduce.table(arguments.table).with_model(given.pop("model", None)).only(rows)
    # The options of the paper's recipes are for ImageNet at full size; other images get the small recipe.
    own_images = given.get("data") and not given.get("dataset")
    if recipe := table.recipe or ("imagenet-64" if own_images else None):
        given.setdefault("recipe", recipe)
    data = given.get("dataset") or (Path(given["data"]).resolve().stem if given.get("data") else "digits")
    out = Path(arguments.out or f"runs/reproduce-{data}")
    command = _command_line(arguments)
    try:
        outcomes = reproduce.run(table, given, out, console, arguments.seeds)
    except TrainingInterruptedError:
        print("binnet: stopped, everything is saved; the same command continues", file=sys.stderr)
        return 130
    path = reproduce.write(table, outcomes, out, command)
    console.say(f"\n{path.read_text(encoding='utf-8')}\n{path}")
    return 0


def _command_line(arguments: argparse.Namespace) -> str:
    """The command line that produces the report, for the report itself."""
    words = ["binnet", "reproduce", arguments.table]
    for name in ("rows", "out", "seeds", "threads"):
        if getattr(arguments, name) is not None:
            words += [f"--{name}", str(getattr(arguments, name))]
    return commands.line(words + options.flags(options.given_config(arguments)))
