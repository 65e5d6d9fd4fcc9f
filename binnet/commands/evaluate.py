"""``binnet evaluate``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import numpy as np

from ..console import Console
from ..info import DataInfo
from ..loading import load_for
from . import options

if TYPE_CHECKING:
    from ..evaluate import Ints

HELP = "measure the accuracy of a checkpoint or packed model on the test images of a data set"
_WHOLE, _PAIRS = 20, 10  # classes up to which all confusions are shown, and how many otherwise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("file", metavar="FILE", help="checkpoint or packed model")
    options.add_data(parser)
    parser.add_argument("--batch-size", type=int, metavar="N", help="images at a time (default: 256 small ones)")
    options.add_threads(parser)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate."""
    from ..evaluate import evaluate, open_model

    options.set_threads(arguments)
    model = open_model(arguments.file)
    model.info.normalisation(arguments.file)
    console = Console(to_stderr=arguments.json)
    dataset = load_for(model, arguments.file, arguments.dataset, arguments.data, console)
    name = dataset.name
    with console.progress(len(dataset.test)) as advance:
        scores = evaluate(
            model.logits,
            dataset.test,
            model.info,
            arguments.batch_size,
            lambda count: advance(count, name),
            image_size=model.spec.image_size,
        )
    if arguments.json:
        print(json.dumps({"file": str(arguments.file), "dataset": name, **scores.to_dict()}))
        return 0
    console.say(f"{arguments.file} ({model.kind}) on {scores.n:,} test images of {name}:")
    console.say(f"top-1 {scores.top1:.2%}, top-5 {scores.top5:.2%}, loss {scores.loss:.4f}\n")
    if len(scores.confusion) > _WHOLE:
        _say_most_confused(model.info, scores.confusion, console)
        return 0
    rows = [[model.info.class_name(i), *map(str, counts)] for i, counts in enumerate(scores.confusion)]
    console.table(["label \\ predicted", *(model.info.class_name(i) for i in range(len(rows)))], rows)
    return 0


def _say_most_confused(info: DataInfo, confusion: Ints, console: Console) -> None:
    """A table of the pairs of classes that are confused most often."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    pairs = [divmod(int(place), len(wrong)) for place in np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]]
    rows = [[info.class_name(i), info.class_name(j), str(wrong[i, j]), str(wrong[i].sum())] for i, j in pairs]
    console.table(["most often wrong: label", "predicted", "images", "wrong of this label"], rows)
