"""``binnet verify FILE --c``: the exported C program of a packed model against the engine."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ...console import Console
from .. import options

if TYPE_CHECKING:
    from ...convert.c.check import Program
    from ...engine import PackedModel
    from ...graph.graph import Float

# Sums of n products differ by n 2^-24 of their magnitudes at most when they are rounded otherwise, 1e-4 for n = 1,600.
ROUNDING = 1e-4  # of the largest score
MOST_FLIPPED = 0.05  # share of images whose scores may differ by more, because a sum next to 0 changed its sign
BATCH = 64
_MOST = float(np.finfo(np.float32).max)
# Kinds whose results have the same bits on every processor: whole numbers, and single operations of IEEE arithmetic.
EXACT = frozenset(
    (
        *("Input", "Constant", "XnorConv", "KbitConv", "Int8Conv", "Int8BwnConv", "QuantiseLinear", "Quantise", "Sign"),
        *("BatchNorm", "Scale", "Shift", "Relu", "PRelu", "Clip", "MaxPool", "Add", "Multiply", "Divide"),
        *("Flatten", "Reshape", "Pad", "Concatenate"),
    )
)


def add_c(group: argparse._ArgumentGroup) -> None:
    """Add the options of ``--c``."""
    text = "export CHECKPOINT, here a packed model, as C, compile it, and compare its scores with the engine's"
    group.add_argument("--c", action="store_true", help=text)
    text = "compare on N images of random numbers instead of test images"
    group.add_argument("--random", type=int, metavar="N", help=text)
    text = (
        "command that compiles C, with options such as -m32 (default: the compiler that is found, for this processor)"
    )
    group.add_argument("--cc", metavar="COMMAND", help=text)
    text = "command that runs the program, such as qemu-aarch64-static"
    group.add_argument("--runner", metavar="COMMAND", help=text)
    group.add_argument("--word-bits", type=int, choices=(32, 64), help="as for binnet export (default: 64)")


def refuse_without_c(arguments: argparse.Namespace) -> None:
    """Raise ValueError when an option of ``--c`` is given without it."""
    for name in ("random", "cc", "runner", "word_bits"):
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} is for --c only")


def run_c(arguments: argparse.Namespace) -> int:
    """Compare and return the exit code.

    Raises
    ------
    ValueError
        When the scores differ by more than roundings explain, a class differs, or the self-test fails.
    """
    from ...convert.c import Settings
    from ...convert.c.check import Machine, Program
    from ...engine import load
    from ...evaluation.evaluate import model_file

    if arguments.packed is not None or arguments.model is not None:
        raise ValueError("--c takes one packed model, and neither PACKED nor --model")
    if arguments.random is not None and arguments.random < 1:
        raise ValueError(f"--random must be at least 1, got {arguments.random}")
    given = arguments.dataset, arguments.data, arguments.layout, arguments.split != "auto"
    if arguments.random is not None and any(given):
        raise ValueError("--random takes the place of --dataset, --data, --split and --layout")
    console = Console(to_stderr=arguments.json)
    options.set_threads(arguments)
    file = model_file(arguments.checkpoint)
    model = load(file)
    settings = Settings(word_bits=arguments.word_bits or 64)
    with Program(model, settings, Machine(arguments.cc, arguments.runner)) as program:
        if program.selftest():
            raise ValueError(f"the self-test of the program of {file} fails")
        what, images = _images(model, arguments, console)
        expected, found = _scores(model, program, images)
    result = _compared(expected, found)
    if arguments.json:
        print(json.dumps({"images": what, **result}))
    _require(result, f"the C program of {file}", what, is_exact(model))
    console.say(_sentence(result, what))
    return 0


def _images(model: PackedModel, arguments: argparse.Namespace, console: Console) -> tuple[str, Any]:
    """A description of the images, and the images: uint8, or float32 for a model of unknown normalisation."""
    from ...engine.pixels import pixels_of
    from ...engine.preprocessing import view_of
    from ...evaluation.evaluate import open_model
    from ...evaluation.loading import load_for

    if arguments.random is not None:
        shape = (arguments.random, *model.input_shape)
        rng = np.random.default_rng(0)
        if model.info.mean is None and not model.takes_pixels:
            return f"{arguments.random:,} random images", rng.standard_normal(shape, np.float32)
        return f"{arguments.random:,} random images", rng.integers(0, 256, shape, np.uint8)
    from binnet_datasets import Loader

    mean, std = model.info.normalisation(arguments.checkpoint)
    opened = open_model(arguments.checkpoint)
    dataset = load_for(opened, arguments.checkpoint, options.source_of(arguments), console)
    split = dataset.test
    loader = Loader(split, BATCH, mean=mean, std=std, view=view_of(model.info, split, model.image_size))
    pixels = [pixels_of(images, mean, std) for images, _ in loader.epoch()]
    return f"{len(split):,} test images of {dataset.name}", np.concatenate(pixels)


def _scores(model: PackedModel, program: Program, images: Any) -> tuple[Float, Float]:
    parts = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    scores = [(model(part).reshape(len(part), -1), program(part)) for part in parts]
    expected, found = (np.concatenate(each) for each in zip(*scores, strict=True))
    return expected, found


def _compared(expected: Float, found: Float) -> dict[str, Any]:
    """What differs, ready for JSON."""
    difference = np.abs(expected - found).max(axis=1)
    scale = float(np.abs(expected).max()) or 1.0
    return {
        "n": len(expected),
        "same_bits": int((expected == found).all(axis=1).sum()),
        "differing": int((expected.argmax(axis=1) != found.argmax(axis=1)).sum()),
        "flipped": int((~(difference <= ROUNDING * scale)).sum()),  # also for NaN
        "largest": _finite(difference.max()),
        "relative": _finite(difference.max() / scale),
    }


def _finite(value: Any) -> float:
    """A number that JSON can hold: the largest float in place of NaN and infinity."""
    return float(np.nan_to_num(value, nan=_MOST, posinf=_MOST))


def is_exact(model: PackedModel) -> bool:
    """Whether a model gives the same bits on every processor: no sum of floats, and no mean."""
    nodes = model.graph.nodes
    return all(node.kind in EXACT and not getattr(node, "use_k", False) for node in nodes)


def _require(result: dict[str, Any], program: str, what: str, exact: bool) -> None:
    """Raise ValueError when the differences are more than roundings explain."""
    if exact and result["same_bits"] < result["n"]:
        other = result["n"] - result["same_bits"]
        raise ValueError(f"{program} gives {other:,} of {what} other bits, although it adds whole numbers alone")
    if result["differing"]:
        raise ValueError(f"{program} gives {result['differing']:,} of {what} another class; {_differences(result)}")
    if result["flipped"] > MOST_FLIPPED * result["n"]:
        raise ValueError(
            f"{program} gives {result['flipped']:,} of {what} scores that differ by more than {ROUNDING:g} of the "
            f"largest; {_differences(result)}"
        )


def _sentence(result: dict[str, Any], what: str) -> str:
    if result["same_bits"] == result["n"]:
        return f"the C program gives the same bits as the engine for all {what}; its self-test passes"
    same = f"the same bits for {result['same_bits']:,}"
    bound = f"allowed are {ROUNDING:g} for {1 - MOST_FLIPPED:.0%} of them"
    words = f"the same class for all {what}, {same}; {_differences(result)}, {bound}"
    return f"the C program gives {words}; its self-test passes"


def _differences(result: dict[str, Any]) -> str:
    return f"the largest difference of scores is {result['largest']:.3g}, {result['relative']:.2g} of the largest score"
