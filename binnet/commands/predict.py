"""``binnet predict``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np

import binnet_datasets

from ..console import Console
from . import options

HELP = "name the class of images (PNG or JPEG)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("file", metavar="FILE", help="checkpoint or packed model")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image file")
    parser.add_argument("--top", type=int, default=1, metavar="K", help="how many classes to name (default: 1)")
    options.add_threads(parser)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict; images that cannot be read are reported, and make the exit code 1."""
    from ..evaluate import Model, open_model

    if arguments.top < 1:
        raise ValueError(f"--top must be at least 1, got {arguments.top}")
    options.set_threads(arguments)
    model: Model = open_model(arguments.file)
    console, results, unreadable = Console(to_stderr=arguments.json), [], 0
    for path in arguments.images:
        try:
            found = _predict(model, path, arguments.top)
        except binnet_datasets.DataError as error:
            print(f"binnet: error: {error}", file=sys.stderr)
            unreadable += 1
            continue
        results.append({"image": path, "classes": found})
        console.say(f"{path}: " + ", ".join(f"{c['class']} {c['probability']:.2%}" for c in found))
    if arguments.json:
        print(json.dumps(results))
    return 1 if unreadable else 0


def _predict(model: Any, path: str, top: int) -> list[dict[str, Any]]:
    """The ``top`` most probable classes of one image, with their probabilities."""
    from binnet_kernels import softmax_cross_entropy

    image = binnet_datasets.read_image(path, model.spec.image_size, model.spec.in_channels)
    logits = model.logits(binnet_datasets.normalise(image[None], model.info.mean, model.info.std))
    _, probabilities = softmax_cross_entropy(logits, np.zeros(1, np.int64))
    order = np.argsort(-probabilities[0], kind="stable")[:top]
    return [
        {"class": model.info.class_name(int(i)), "label": int(i), "probability": float(probabilities[0, i])}
        for i in order
    ]
