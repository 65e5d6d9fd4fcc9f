"""``binnet import``."""

from __future__ import annotations

import argparse
import codecs
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from binnet_datasets.sources import label_files

from ...console import Console
from ...convert import FORMATS, ConversionError, Options, read
from .. import options

if TYPE_CHECKING:
    from ...convert import Imported

HELP = "turn a one-bit model of another tool into a packed model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    parser.add_argument("source", metavar="SOURCE", help="model file of the other tool; nothing in it is executed")
    parser.add_argument("out", metavar="OUT", help="packed model to write")
    parser.add_argument("--from", dest="form", required=True, choices=FORMATS, help="format of SOURCE")
    text = "for pytorch: name of a mapping that comes with binnet, or a TOML file, see docs/convert.md"
    parser.add_argument("--mapping", metavar="NAME", help=text)
    text = "for formats of two files: the file with the network (default: the one beside SOURCE)"
    parser.add_argument("--structure", metavar="FILE", help=text)
    text = "size of an image, where SOURCE does not hold it"
    parser.add_argument("--input-shape", type=_shape, metavar="H,W,C", help=text)
    text = "{} of each channel of images scaled to 0..1, or one for all (default: unknown, and then the model takes "
    text += "arrays but no image files)"
    parser.add_argument("--mean", type=_numbers, metavar="X,X", help=text.format("mean"))
    parser.add_argument("--std", type=_numbers, metavar="X,X", help=text.format("standard deviation"))
    text = "names of the classes with commas, or a text file with one a line"
    parser.add_argument("--class-names", metavar="NAMES", help=text)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Import a model and return the exit code."""
    console = Console(to_stderr=arguments.json)
    given = Options(
        arguments.input_shape,
        arguments.mean,
        arguments.std,
        _names(arguments.class_names),
        arguments.mapping,
        arguments.structure,
    )
    for name in (arguments.source, arguments.structure or arguments.source):
        options.refuse_overwriting(name, arguments.out, "file to import")
    found = read(arguments.source, arguments.form, given)
    found.model.save(arguments.out)
    report = found.report
    if arguments.json:
        print(json.dumps({"out": arguments.out, **asdict(report)}))
        return 0
    console.table(["layer", "kind", "became", "note"], [[r.name, r.kind, r.became, r.note] for r in report.rows])
    for name, reason in report.left_out:
        console.say(f"left out: {name}: {reason}")
    console.say(_sentence(arguments.out, found))
    return 0


def _sentence(out: str, found: Imported) -> str:
    size = Path(out).stat().st_size
    unknown = "" if found.model.info.mean else "; how images are normalised is unknown, --mean and --std say it"
    return f"{out}: {size:,} bytes, {len(found.report.rows)} layers imported{unknown}"


def _shape(text: str) -> tuple[int, int, int]:
    words = text.split(",")
    if len(words) != 3 or not all(word.strip().isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"expected rows, columns and channels such as 28,28,1, got {text!r}")
    h, w, c = map(int, words)
    return h, w, c


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected numbers with commas between them, got {text!r}") from error


def _names(given: str | None) -> tuple[str, ...]:
    """The names of the classes: words with commas, or the lines of a file."""
    if given is None:
        return ()
    if not os.path.isfile(given):  # Path would refuse a long list as a long name
        return tuple(given.split(","))
    content = Path(given).read_bytes()
    if b"\0" in content and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConversionError(f"{given} is not a text file")
    return tuple(label_files.decoded(content).splitlines())
