"""The command line: ``binnet COMMAND``.

One file a command: ``HELP``, ``add_arguments(parser)`` and ``run(arguments)``, which returns the exit code.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from ..console import printable
from ..signals import TerminatedError, terminable
from . import bench, cache, data, evaluate, inspect, pack, predict, reproduce, summary, trace, train, verify

COMMANDS = (train, evaluate, predict, summary, inspect, pack, verify, trace, bench, data, cache, reproduce)


class Parser(argparse.ArgumentParser):
    """argparse, with one sentence instead of the whole usage when something is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Parser(
        prog="binnet", description="Train and run binary neural networks (XNOR-Net, arXiv:1603.05279) on a CPU."
    )
    top.add_argument("--version", action="version", version=f"binnet {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP[0].upper() + command.HELP[1:] + ".")
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code.

    0 for success, 1 for an error told in one sentence, 2 for a wrong command line, 130 after Ctrl-C, 143 after SIGTERM.
    With ``BINNET_DEBUG`` set, errors show where they come from.
    """
    try:
        with terminable():
            _prepare_streams()
            arguments = parser().parse_args(argv)
            code: int = arguments.run(arguments)
            sys.stdout.flush()
            return code
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, MemoryError, OverflowError) as error:
        if os.environ.get("BINNET_DEBUG"):
            raise
        print(f"binnet: error: {printable(_sentence(error))}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, TerminatedError) as stop:
        print("binnet: stopped", file=sys.stderr)
        return 130 if isinstance(stop, KeyboardInterrupt) else 143


def _prepare_streams() -> None:
    """Make standard output and errors writable: what was closed goes nowhere, what cannot be encoded is escaped."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:  # closed by the shell; the next file that is opened must not take its place
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # as long as the process
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _sentence(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'cannot write the output'}: {error.strerror}"
    return " ".join(str(error).split())
