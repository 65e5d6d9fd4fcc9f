"""``binnet evaluate``."""

from __future__ import annotations

import argparse
import json

import binnet_datasets

from ..config import ConfigError
from ..console import Console
from . import options

HELP = "measure the accuracy of a checkpoint or packed model on the test images of a data set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("file", metavar="FILE", help="checkpoint or packed model")
    options.add_data(parser)
    parser.add_argument("--batch-size", type=int, default=256, metavar="N", help="images at a time (default: 256)")
    options.add_threads(parser)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate."""
    from ..evaluate import evaluate, open_model

    options.set_threads(arguments)
    model = open_model(arguments.file)
    name = arguments.dataset or model.info.dataset
    if not name:
        raise ConfigError(f"{arguments.file} does not say what it was trained on; name the data with --dataset")
    dataset = binnet_datasets.load(name, arguments.data)
    _check(model.spec.image_size, model.spec.in_channels, model.spec.num_classes, dataset)
    console = Console(to_stderr=arguments.json)
    with console.progress(len(dataset.test)) as advance:
        scores = evaluate(
            model.logits, dataset.test, model.info, arguments.batch_size, lambda count: advance(count, name)
        )
    if arguments.json:
        print(json.dumps({"file": str(arguments.file), "dataset": name, **scores.to_dict()}))
        return 0
    console.say(f"{arguments.file} ({model.kind}) on {scores.n:,} test images of {name}:")
    console.say(f"top-1 {scores.top1:.2%}, top-5 {scores.top5:.2%}, loss {scores.loss:.4f}\n")
    rows = [[model.info.class_name(i), *map(str, counts)] for i, counts in enumerate(scores.confusion)]
    console.table(["label \\ predicted", *(model.info.class_name(i) for i in range(len(rows)))], rows)
    return 0


def _check(size: tuple[int, int], channels: int, classes: int, dataset: binnet_datasets.Dataset) -> None:
    """ValueError unless the data set's images and classes are those of the model."""
    model, data = (*size, channels, classes), (*dataset.image_size, dataset.channels, dataset.num_classes)
    if model != data:
        shown = ["{}x{}x{} images of {} classes".format(*shape) for shape in (model, data)]
        raise ValueError(f"the model takes {shown[0]}, but {dataset.name} has {shown[1]}")
