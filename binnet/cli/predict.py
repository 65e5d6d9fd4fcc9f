"""``binnet predict``."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from binnet_datasets import DataError
from binnet_datasets.sources.file_names import is_image

from .. import shipped
from ..console import Console, printable
from ..evaluation.picked_images import Image, Picker
from . import options

if TYPE_CHECKING:
    from ..evaluation.evaluate import Model

HELP = "predict the classes of images"
_COLUMNS = ("image", "rank", "label", "class", "probability")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="model file or run folder; omitted with --model NAME")
    text = 'image file, folder or archive of images, quoted pattern such as "photos/*.jpg", or - for standard input'
    parser.add_argument("images", metavar="IMAGE", nargs="*", help=text)
    text = (
        f"instead of FILE: a model that comes with binnet ({', '.join(shipped.names())}); or FILE.py:FUNCTION beside "
    )
    text += "the checkpoint of a custom network: the Python file is executed"
    parser.add_argument("--model", metavar="NAME", help=text)
    text = "predict the test images of this store, or of this folder or archive of images"
    parser.add_argument("--data", metavar="PATH", help=text)
    options.add_split(parser)
    parser.add_argument("--top", type=int, default=1, metavar="K", help="number of classes per image (default: 1)")
    options.add_threads(parser)
    options.add_json(parser)
    parser.add_argument("--csv", action="store_true", help=f"print CSV with the columns {','.join(_COLUMNS)}")


def run(arguments: argparse.Namespace) -> int:
    """Predict images and return the exit code: 1 when an image could not be read, which is reported and skipped."""
    from ..evaluation.evaluate import open_model
    from ..models.own_network import is_own

    if arguments.top < 1:
        raise ValueError(f"--top must be at least 1, got {arguments.top}")
    if arguments.json and arguments.csv:
        raise ValueError("--json and --csv cannot be given together")
    own = arguments.model if is_own(arguments.model) else None
    file, paths = _file_and_paths(arguments, own)
    if not paths and arguments.data is None:
        if is_image(str(file)):
            raise ValueError(
                f"{file} is an image, not a model: give a model file before it, or --model NAME with one of "
                f"{', '.join(shipped.names())}"
            )
        raise ValueError("the following arguments are required: IMAGE, or --data PATH")
    options.set_threads(arguments)
    model = open_model(file, own)
    model.require_classifier(file)
    console = Console(to_stderr=arguments.json or arguments.csv)
    picker = Picker(model, Console(to_stderr=True).say)
    images = [*picker.of_paths(paths)]  # listed first: an empty folder or pattern is an error before any prediction
    count, of_data = (
        (0, iter(())) if arguments.data is None else picker.of_data(arguments.data, arguments.split, arguments.layout)
    )
    begun, out = time.perf_counter(), _Output(arguments, console)
    with console.progress(len(images) + count) as advance:
        for image in chain(images, of_data):
            try:
                out.write(image.name, _predict(model, image.read(), arguments.top))
            except DataError as error:
                out.report(error)
            advance(1, "")
    out.finish()
    # The rate is for folders, archives and patterns; single files need no summary.
    if count or len(images) > len(paths) or any(Path(path).is_dir() for path in paths):
        out.say_rate(time.perf_counter() - begun)
    return 1 if out.unreadable else 0


def _file_and_paths(arguments: argparse.Namespace, own: str | None) -> tuple[str | Path, list[str]]:
    """The path of the model and the paths of the images. With ``--model NAME`` the first argument is an image."""
    given = [] if arguments.file is None else [arguments.file]
    if arguments.model is not None and own is None:
        options.check_model_name(arguments.model, shipped.names())
        return shipped.path_of(arguments.model), [*given, *arguments.images]
    if not given:
        raise ValueError("the following arguments are required: FILE, or --model NAME")
    return arguments.file, arguments.images


class _Output:
    """Writer of predictions as text, JSON or CSV on standard output, and of errors on standard error."""

    def __init__(self, arguments: argparse.Namespace, console: Console) -> None:
        self._results: list[dict[str, Any]] | None = [] if arguments.json else None
        self._csv = csv.writer(sys.stdout, lineterminator="\n") if arguments.csv else None
        self._console, self.read, self.unreadable = console, 0, 0
        if self._csv:
            self._csv.writerow(_COLUMNS)

    def write(self, name: str, found: list[dict[str, Any]]) -> None:
        """Write the predicted classes of an image."""
        self.read += 1
        if self._results is not None:
            self._results.append({"image": name, "classes": found})  # JSON is one value, printed at the end
        elif self._csv:
            rows = ([name, rank, c["label"], c["class"], c["probability"]] for rank, c in enumerate(found, 1))
            self._csv.writerows(rows)
            sys.stdout.flush()  # so that the reader of a pipe receives each image at once
        else:
            classes = (f"{printable(c['class'])} {c['probability']:.2%}" for c in found)
            self._console.say(f"{printable(name)}: {', '.join(classes)}")

    def report(self, error: DataError) -> None:
        """Report an image that cannot be read, and count it."""
        print(f"binnet: error: {printable(str(error))}", file=sys.stderr)
        self.unreadable += 1

    def finish(self) -> None:
        """Write the JSON value, if that is the format."""
        if self._results is not None:
            print(json.dumps(self._results))

    def say_rate(self, seconds: float) -> None:
        """Print images per second on standard error, because standard output may be redirected to a file."""
        skipped = f", {self.unreadable:,} unreadable" if self.unreadable else ""
        rate = f"{self.read / max(seconds, 1e-9):,.0f} images/s"
        Console(to_stderr=True).say(f"{self.read:,} image{'s' * (self.read != 1)} in {seconds:.1f} s, {rate}{skipped}")


def _predict(model: Model, image: Image, top: int) -> list[dict[str, Any]]:
    """The ``top`` most probable classes of one image, with their probabilities."""
    from binnet_kernels import softmax_cross_entropy

    # The loss is not used, so any label will do; the kernel gives the softmax as its second result.
    _, probabilities = softmax_cross_entropy(model.logits(image), np.zeros(1, np.int64))
    order = np.argsort(-probabilities[0], kind="stable")[:top]
    return [
        {"class": model.info.class_name(int(i)), "label": int(i), "probability": float(probabilities[0, i])}
        for i in order
    ]
