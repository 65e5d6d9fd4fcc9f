"""``binnet trace``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .. import models, shipped
from ..console import Console, printable
from ..train.config import ConfigError
from . import options

if TYPE_CHECKING:
    from ..lab.trace import Picture, Source

HELP = "show what a binary layer does with an image, equation by equation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    text = "checkpoint or packed model; omitted with --model NAME"
    parser.add_argument("file", metavar="FILE", nargs="?", help=text)
    parser.add_argument("image", metavar="IMAGE", help="image file")
    text = f"instead of FILE: a model that comes with binnet ({', '.join(shipped.names())}), or a network with random "
    text += (
        f"weights ({', '.join(models.names())}); or FILE.py:FUNCTION beside the checkpoint of a custom network: the "
    )
    text += "Python file is executed"
    parser.add_argument("--model", metavar="NAME", help=text)
    parser.add_argument("--layer", metavar="NAME", help="the binary layer to trace (default: the first)")
    text = "image size in pixels, for networks that accept any (default: the network's own)"
    parser.add_argument("--image-size", type=int, metavar="N", help=text)
    parser.add_argument(
        "--html", metavar="OUT.html", help="also write an interactive page, one file that any browser can open"
    )


def run(arguments: argparse.Namespace) -> int:
    """Trace an image and return the exit code: 1 when a step disagrees with an independent computation."""
    from ..lab.trace import trace_image
    from ..lab.trace.terminal import show

    console = Console()
    picture = trace_image(_source(arguments), arguments.image, arguments.layer, arguments.image_size)
    show(picture, console)
    failed = [check for check in picture.checks if not check.passed]
    for check in failed:
        console.say(f"failed: {check.says} (difference {check.difference:.3g})")
    console.say(f"{len(picture.checks) - len(failed)} of {len(picture.checks)} comparisons with other code agree")
    if arguments.html:
        _write(picture, arguments.html, console)
    return 1 if failed else 0


def _source(arguments: argparse.Namespace) -> Source:
    from ..lab.trace import named_source, open_source
    from ..models.own_network import is_own

    # FILE.py:FUNCTION does not replace the checkpoint, it rebuilds the network whose weights the checkpoint has.
    if arguments.file is not None and is_own(arguments.model):
        return open_source(arguments.file, arguments.model)
    if (arguments.file is None) == (arguments.model is None):
        raise ConfigError("trace takes either a FILE or --model NAME, and an IMAGE")
    if arguments.model is None:
        return open_source(arguments.file)
    options.check_model_name(arguments.model, (*shipped.names(), *models.names()))
    return named_source(arguments.model, arguments.image_size)


def _write(picture: Picture, path: str, console: Console) -> None:
    from ..lab.trace import write_page

    size = write_page(picture, path)
    console.say(f"{printable(path)}: {size / 1e6:.1f} MB, to be opened in a browser")
