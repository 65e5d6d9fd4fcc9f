"""``binnet predict``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import binnet_datasets
from binnet_datasets import DataError, Loader, StoreImages

from ..console import Console
from ..loading import load
from . import options

if TYPE_CHECKING:
    from ..evaluate import Model

HELP = "name the class of images"
Image = NDArray[np.float32]  # (1, H, W, C), normalised
Read = Callable[[], Image]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("file", metavar="FILE", help="checkpoint or packed model")
    parser.add_argument("images", metavar="IMAGE", nargs="*", help="image file, or folder of images")
    text = "predict the test images of this store, or of this folder or tar of images"
    parser.add_argument("--data", metavar="PATH", help=text)
    parser.add_argument("--top", type=int, default=1, metavar="K", help="how many classes to name (default: 1)")
    options.add_threads(parser)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict; images that cannot be read are reported, and make the exit code 1."""
    from ..evaluate import open_model

    if arguments.top < 1:
        raise ValueError(f"--top must be at least 1, got {arguments.top}")
    if not arguments.images and arguments.data is None:
        raise ValueError("the following arguments are required: IMAGE, or --data PATH")
    options.set_threads(arguments)
    model = open_model(arguments.file)
    console, results, unreadable = Console(to_stderr=arguments.json), [], 0
    for name, read in chain(_of_paths(model, arguments.images), _of_data(model, arguments.data, console)):
        try:
            found = _predict(model, read(), arguments.top)
        except DataError as error:
            print(f"binnet: error: {error}", file=sys.stderr)
            unreadable += 1
            continue
        results.append({"image": name, "classes": found})
        console.say(f"{name}: " + ", ".join(f"{c['class']} {c['probability']:.2%}" for c in found))
    if arguments.json:
        print(json.dumps(results))
    return 1 if unreadable else 0


def _of_paths(model: Model, paths: list[str]) -> Iterator[tuple[str, Read]]:
    """The images that the paths name, or that are in the folders they name."""
    for path in paths:
        for name in _images_in(Path(path)) if Path(path).is_dir() else [path]:
            yield name, partial(_read, model, name)


def _images_in(folder: Path) -> list[str]:
    """All images in a folder and its subfolders, by name; DataError without any."""
    found = [p for p in sorted(folder.rglob("*")) if binnet_datasets.is_image(p.name) and not p.name.startswith(".")]
    if not found:
        raise DataError(f"expected images in {folder}, but there are none")
    return [str(path) for path in found]


def _read(model: Model, path: str) -> Image:
    """An image as the model saw those it was trained on: whole for the data sets by name, else as out of a store."""
    spec, info = model.spec, model.info
    if info.dataset in ("", *binnet_datasets.names()):
        pixels = binnet_datasets.read_image(path, spec.image_size, spec.in_channels)
    else:
        config = info.provenance.get("config")
        margin = isinstance(config, dict) and config.get("image_size") is not None
        pixels = binnet_datasets.read_centre(path, spec.image_size, spec.in_channels, margin)
    return binnet_datasets.normalise(pixels[None], info.mean, info.std)


def _of_data(model: Model, data: str | None, console: Console) -> Iterator[tuple[str, Read]]:
    """The test images of a store, or of a folder or tar of images."""
    if data is None:
        return
    dataset, spec, info = load(None, data, console), model.spec, model.info
    if dataset.channels != spec.in_channels:
        raise DataError(f"the model takes images of {spec.in_channels} channels, but {data} has {dataset.channels}")
    images = dataset.test.images
    names = images.names if isinstance(images, StoreImages) else map(str, range(len(images)))
    batches = Loader(dataset.test, 1, mean=info.mean, std=info.std, image_size=spec.image_size).epoch()
    for name, (image, _) in zip(names, batches, strict=True):
        yield name, partial(np.asarray, image)


def _predict(model: Model, image: Image, top: int) -> list[dict[str, Any]]:
    """The ``top`` most probable classes of one image, with their probabilities."""
    from binnet_kernels import softmax_cross_entropy

    _, probabilities = softmax_cross_entropy(model.logits(image), np.zeros(1, np.int64))
    order = np.argsort(-probabilities[0], kind="stable")[:top]
    return [
        {"class": model.info.class_name(int(i)), "label": int(i), "probability": float(probabilities[0, i])}
        for i in order
    ]
