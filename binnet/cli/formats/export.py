"""``binnet export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from binnet_system import commands

from ...console import Console
from ...convert import ConversionError
from ...engine import PackedModel, load
from ...evaluation.evaluate import model_file
from .. import options

HELP = "write a packed model as C source, as ONNX, or as an HTML page that classifies images"

_OPTIONS = {".c": ("name", "word_bits", "main"), ".onnx": ("qonnx",)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    text = "packed model, run folder, or name of a model that comes with binnet"
    parser.add_argument("file", metavar="FILE", help=text)
    text = "file to write; its suffix chooses the form: .c (with a header .h beside it), .onnx or .html"
    parser.add_argument("out", metavar="OUT", help=text)
    _add_c(parser.add_argument_group("for .c"))
    _add_onnx(parser.add_argument_group("for .onnx"))


def _add_c(group: argparse._ArgumentGroup) -> None:
    text = "prefix of the functions, a C identifier (default: made from the name of OUT)"
    group.add_argument("--name", metavar="NAME", help=text)
    text = "bits of a word that holds signs; 32 for small processors (default: 64)"
    group.add_argument("--word-bits", type=int, choices=(32, 64), help=text)
    text = "add a main function that reads an image (PPM, PGM or raw) and prints the best classes"
    group.add_argument("--main", action="store_true", help=text)


def _add_onnx(group: argparse._ArgumentGroup) -> None:
    text = "hold one-bit weights as QONNX's BipolarQuant instead of int8"
    group.add_argument("--qonnx", action="store_true", help=text)


def run(arguments: argparse.Namespace) -> int:
    """Export a model and return the exit code."""
    forms = {".c": _c, ".onnx": _onnx, ".html": _page}
    out = Path(arguments.out)
    if out.suffix not in forms:
        raise ConversionError(f"the name of the output must end in {', '.join(forms)}, got {out}")
    for suffix, names in _OPTIONS.items():
        for name in names if suffix != out.suffix else ():
            if getattr(arguments, name):
                raise ConversionError(f"--{name.replace('_', '-')} is for {suffix} files only, got {out}")
    file = model_file(arguments.file)
    for written in (out, out.with_suffix(".h")) if out.suffix == ".c" else (out,):
        options.refuse_overwriting(file, written, "model")
    forms[out.suffix](load(file), out, arguments)
    return 0


def _c(model: PackedModel, out: Path, arguments: argparse.Namespace) -> None:
    from ...convert.c import Settings, write

    settings = Settings(arguments.name, arguments.word_bits or 64, arguments.main)
    written = write(model, out, settings, _command(arguments))
    Console().say(written.summary)


def _command(arguments: argparse.Namespace) -> str:
    """The command for the comment in the file, with names instead of paths: the same in all folders."""
    words = ["binnet", "export", Path(arguments.file).name, Path(arguments.out).name]
    words += [] if arguments.name is None else ["--name", arguments.name]
    words += ["--word-bits", "32"] if arguments.word_bits == 32 else []
    words += ["--main"] if arguments.main else []
    return "".join(c if c.isprintable() else "?" for c in commands.for_any_system(words))


def _onnx(model: PackedModel, out: Path, arguments: argparse.Namespace) -> None:
    from ...convert.onnx.writing import write

    Console().say(write(model, out, qonnx=arguments.qonnx))


def _page(model: PackedModel, out: Path, arguments: argparse.Namespace) -> None:
    from ...convert.web import write

    Console().say(write(model, out))
