"""``binnet trace``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .. import models, shipped
from ..console import Console, printable
from ..train.config import ConfigError

if TYPE_CHECKING:
    from ..lab.trace import Picture, Source

HELP = "show what a binary layer does with an image, equation by equation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    text = "checkpoint or packed model; left out with --model"
    parser.add_argument("file", metavar="FILE", nargs="?", help=text)
    parser.add_argument("image", metavar="IMAGE", help="image file")
    text = f"a model that comes with binnet ({', '.join(shipped.names())}), or a network with random weights "
    text += (
        f"({', '.join(models.names())}), in the place of FILE; or FILE.py:FUNCTION, which a checkpoint of a network of "
    )
    text += "one's own needs: the file's code is run"
    parser.add_argument("--model", metavar="NAME", help=text)
    parser.add_argument("--layer", metavar="NAME", help="a binary layer (default: the first)")
    text = "side of the image, where the network takes any (default: the network's own)"
    parser.add_argument("--image-size", type=int, metavar="N", help=text)
    parser.add_argument(
        "--html", metavar="OUT.html", help="also write a page to look around in, one file for any browser"
    )


def run(arguments: argparse.Namespace) -> int:
    """Trace; the exit code is 1 when the steps do not agree with other code."""
    from ..lab.trace import trace_image
    from ..lab.trace.terminal import show

    console = Console()
    picture = trace_image(_source(arguments), arguments.image, arguments.layer, arguments.image_size)
    show(picture, console)
    failed = [check for check in picture.checks if not check.passed]
    for check in failed:
        console.say(f"not so: {check.says} (difference {check.difference:.3g})")
    console.say(f"{len(picture.checks) - len(failed)} of {len(picture.checks)} comparisons with other code agree")
    if arguments.html:
        _write(picture, arguments.html, console)
    return 1 if failed else 0


def _source(arguments: argparse.Namespace) -> Source:
    from ..lab.trace import named_source, open_source
    from ..models.own_network import is_own

    if arguments.file is not None and is_own(arguments.model):
        return open_source(arguments.file, arguments.model)
    if (arguments.file is None) == (arguments.model is None):
        raise ConfigError("trace takes either a FILE or --model NAME, and an IMAGE")
    return named_source(arguments.model, arguments.image_size) if arguments.model else open_source(arguments.file)


def _write(picture: Picture, path: str, console: Console) -> None:
    from ..lab.trace import write_page

    size = write_page(picture, path)
    console.say(f"{printable(path)}: {size / 1e6:.1f} MB, to be opened in a browser")
