"""``binnet verify``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from .. import shipped
from ..console import Console
from ..evaluation.loading import load_for
from ..graph import Graph
from ..modelfile import CHECKPOINT, PACKED, StorageError
from ..quantise.difference import difference_in_eight_bits
from . import options
from .formats.verify_c import add_c, refuse_without_c, run_c

if TYPE_CHECKING:
    from ..engine import PackedModel
    from ..evaluation.agreement import Agreement, Logits
    from ..evaluation.evaluate import Model

HELP = "check that a packed model, or its C program, predicts the same as what it was made from"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="best.h5 or last.h5 of a run folder, or the folder; with --c a packed model",
    )
    text = "the packed model; for a run folder it may be left out: packed.h5 is compared with best.h5"
    parser.add_argument("packed", metavar="PACKED", nargs="?", help=text)
    add_c(parser.add_argument_group("the exported C program (--c)"))
    options.add_data(parser)
    options.add_threads(parser)
    options.add_own(parser)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare the two models and return the exit code.

    Raises
    ------
    ValueError
        When the models are of different networks, or give an image different classes.
    StorageError
        When one of the files is not of the kind that is expected.
    """
    from ..evaluation.evaluate import model_file, open_model

    if arguments.c:
        return run_c(arguments)
    refuse_without_c(arguments)
    if arguments.packed is None:
        folder = Path(arguments.checkpoint)
        if not folder.is_dir():
            if not (file := shipped.find(folder)).exists():
                raise StorageError(f"there is no file {file}")
            raise ValueError("the following arguments are required: PACKED, or a run folder instead of CHECKPOINT")
        arguments.packed = str(model_file(folder))
    arguments.checkpoint = str(model_file(arguments.checkpoint, "best.h5"))
    options.set_threads(arguments)
    checkpoint, packed = open_model(arguments.checkpoint, arguments.model), open_model(arguments.packed)
    for model, path, kind in ((checkpoint, arguments.checkpoint, CHECKPOINT), (packed, arguments.packed, PACKED)):
        if model.kind != kind:
            raise StorageError(f"{path} is a {model.kind}, expected a {kind}")
    # Structure and normalisation first: with other ones a comparison of predictions would say nothing.
    eight_bits = packed.packed.real == "int8"
    compared = difference_in_eight_bits if eight_bits else Graph.difference
    difference = compared(checkpoint.packed.graph, packed.packed.graph)
    if difference:
        raise ValueError(f"{arguments.packed} is of another network than {arguments.checkpoint}: {difference}")
    if (checkpoint.info.mean, checkpoint.info.std) != (packed.info.mean, packed.info.std):
        raise ValueError(f"{arguments.packed} normalises images otherwise than {arguments.checkpoint}")
    console = Console(to_stderr=arguments.json)
    name, found = compare(checkpoint, packed.logits, arguments, console)
    if arguments.json:
        print(json.dumps({"dataset": name, **asdict(found)}))
    # Rounding may change a class, so such a model is compared by its weights instead; those in eight bits depend on
    # calibration images, which are not known here.
    if packed.packed.real == "float32":
        require_agreement(found, arguments.packed)
    elif not eight_bits and not _same_weights(checkpoint.packed.with_real(packed.packed.real), packed.packed):
        raise ValueError(f"{arguments.packed} does not hold the weights of {arguments.checkpoint} rounded to float16")
    console.say(in_words(found, name, packed.packed.real))
    return 0


def _same_weights(first: PackedModel, second: PackedModel) -> bool:
    """Whether all arrays are equal bit by bit, so that only their rounding can cause a difference."""
    ours, theirs = first.arrays(), second.arrays()
    return all(array.tobytes() == theirs[name].tobytes() for name, array in ours.items())


def compare(model: Model, packed: Logits, arguments: argparse.Namespace, console: Console) -> tuple[str, Agreement]:
    """Compare the logits of a checkpoint and a packed model on the data that a command names.

    Returns
    -------
    name : str
        Name of the data set.
    agreement : Agreement
        Number of different classes, and the largest difference of logits.
    """
    from ..evaluation.agreement import compare as compare_models

    model.info.normalisation(arguments.checkpoint)
    dataset = load_for(model, arguments.checkpoint, options.source_of(arguments), console)
    with console.progress(len(dataset.test)) as advance:
        found = compare_models(
            model.logits,
            packed,
            dataset.test,
            model.info,
            model.image_size,
            lambda count: advance(count, dataset.name),
        )
    return dataset.name, found


def require_agreement(found: Agreement, path: str) -> None:
    """Raise ValueError unless both models give every image the same class."""
    if found.differing:
        raise ValueError(f"{path} gives {found.differing:,} of {found.n:,} images another class; {_differences(found)}")


def in_words(found: Agreement, name: str, real: str) -> str:
    """The result of a comparison as a sentence; ``real`` is the dtype of the packed model's real weights."""
    images = f"{found.n:,} test images of {name}"
    if found.differing:
        return (
            f"with weights rounded to {real} {found.differing:,} of {images} get another class; {_differences(found)}"
        )
    return f"the same class for all {images}; {_differences(found)}"


def _differences(found: Agreement) -> str:
    """The largest difference in words."""
    if not found.largest:
        return "no logit differs by a bit"
    return f"the largest difference of logits is {found.largest:.3g}, {found.relative:.2g} of the largest logit"
