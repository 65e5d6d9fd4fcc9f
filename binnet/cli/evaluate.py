"""``binnet evaluate``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import numpy as np

from ..console import Console
from ..evaluation.loading import load_for
from ..evaluation.matching import match
from ..modelfile.info import DataInfo
from . import options

if TYPE_CHECKING:
    from ..evaluation.evaluate import Ints, Scores

HELP = "measure the accuracy of a checkpoint or packed model on the test images of a data set"
_WHOLE, _PAIRS = 20, 10  # up to 20 classes the whole confusion matrix is shown, otherwise the 10 worst pairs
_UNBALANCED = 0.02  # from this difference of top-1 and balanced accuracy on, the worst class is named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    text = "checkpoint, packed model, run folder (its packed.h5), or a model that comes with binnet by its name"
    parser.add_argument("file", metavar="FILE", help=text)
    options.add_data(parser)
    text = "CSV file with image names and classes, when the folders of --data are not named after classes"
    parser.add_argument("--labels", metavar="FILE", help=text)
    text = "also use images that the model was trained on, which are left out by default"
    parser.add_argument("--include-trained", action="store_true", help=text)
    text = "images per batch (default: 256, fewer for large images)"
    parser.add_argument("--batch-size", type=int, metavar="N", help=text)
    options.add_threads(parser)
    options.add_own(parser)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate a model, print its accuracy and return the exit code."""
    from ..evaluation.evaluate import evaluate, open_model

    options.set_threads(arguments)
    model = open_model(arguments.file, arguments.model)
    model.require_classifier(arguments.file)
    console = Console(to_stderr=arguments.json)
    dataset = load_for(model, arguments.file, options.source_of(arguments), console)
    matched = match(model.info, model.num_classes, dataset, arguments.include_trained)
    for sentence in matched.sentences():
        console.say(sentence)
    name, split, size = dataset.name, matched.split, model.image_size
    with console.progress(len(split)) as advance:

        def tick(count: int) -> None:
            advance(count, name)

        scores = evaluate(model.logits, split, model.info, arguments.batch_size, tick, image_size=size)
    if arguments.json:
        print(json.dumps({"file": str(arguments.file), "dataset": name, **scores.to_dict(), **matched.to_dict()}))
    else:
        _say(f"{arguments.file} ({model.kind}) on {scores.n:,} images of {name}:", scores, model.info, console)
    return 0


def _say(head: str, scores: Scores, info: DataInfo, console: Console) -> None:
    """Print accuracies and confusions."""
    console.say(head)
    balanced = f"balanced {scores.balanced:.2%}, "
    console.say(f"top-1 {scores.top1:.2%}, {balanced}top-5 {scores.top5:.2%}, loss {scores.loss:.4f}")
    if abs(scores.balanced - scores.top1) > _UNBALANCED:
        worst = int(np.nanargmin(scores.recall))  # NaN is a class without test images
        of = f"{scores.confusion[worst, worst]:,} of {scores.confusion[worst].sum():,}"
        console.say(f"the classes differ: of {info.class_name(worst)} only {of} images are predicted right")
    console.say("")
    if len(scores.confusion) > _WHOLE:
        _say_most_confused(info, scores.confusion, console)
        return
    rows = [[info.class_name(i), *map(str, counts)] for i, counts in enumerate(scores.confusion)]
    console.table(["label \\ predicted", *(info.class_name(i) for i in range(len(rows)))], rows)


def _say_most_confused(info: DataInfo, confusion: Ints, console: Console) -> None:
    """Print a table of the pairs of classes that are confused most often."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)  # correct predictions
    # The stable sort lists equal counts in label order, so the output is reproducible.
    pairs = [divmod(int(place), len(wrong)) for place in np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]]
    rows = [[info.class_name(i), info.class_name(j), str(wrong[i, j]), str(wrong[i].sum())] for i, j in pairs]
    console.table(["most often wrong: label", "predicted", "images", "wrong of this label"], rows)
