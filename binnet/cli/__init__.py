"""The command line: ``binnet COMMAND``.

Each command is a module with ``HELP``, ``add_arguments(parser)`` and ``run(arguments)``, which returns the exit code.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from binnet_system.files import is_closed_pipe

from .. import __version__
from ..console import printable, sentence_of
from ..parallel.launcher import leave_the_word_to_the_first, speaks
from ..signals import TerminatedError, terminable
from . import bench, cache, data, evaluate, inspect, pack, predict, reproduce, summary, trace, train, verify
from .formats import export, import_

COMMANDS = (
    *(train, evaluate, predict, summary, inspect, pack, verify, export, import_, trace, bench, data, cache, reproduce),
)


_MARK = "\0"  # no word of a command line has it


class Parser(argparse.ArgumentParser):
    """Argument parser for options between the other words too, which reports an error in one sentence."""

    _nested = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # By itself argparse takes all words that may be left out from those before the first option. The intermixed
        # method reads the later ones too; it calls this method in turn, and cannot read the words of a subcommand.
        if self._nested or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._nested = True
        try:
            found, others = self.parse_known_intermixed_args(_marked(sys.argv[1:] if args is None else args), namespace)
        finally:
            self._nested = False
        for name, value in vars(found).items():
            setattr(found, name, _unmarked(value))
        return found, _unmarked(others)

    def error(self, message: str) -> NoReturn:
        leave_the_word_to_the_first(2)
        # Messages of argparse may span several lines; joined, an error is one line of a log.
        self.exit(2, f"{self.prog}: error: {' '.join(_unmarked(message).split())} (see {self.prog} --help)\n")


def _marked(words: Sequence[str]) -> list[str]:
    """The words without a ``--``, those after it marked so that they are no options.

    The intermixed method loses some of the words after a ``--`` before Python 3.13.
    """
    cut = words.index("--") if "--" in words else len(words)
    return [*words[:cut], *(_MARK + word for word in words[cut + 1 :])]


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(each) for each in value]
    return value.replace(_MARK, "") if isinstance(value, str) else value


def parser() -> argparse.ArgumentParser:
    """The argument parser with a subparser for each command."""
    top = Parser(
        prog="binnet", description="Train and run binary neural networks (XNOR-Net, arXiv:1603.05279) on a CPU."
    )
    top.add_argument("--version", action="version", version=f"binnet {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2].rstrip("_")  # import is a reserved word
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP[0].upper() + command.HELP[1:] + ".")
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv
        Words of the command line without the program's name; ``sys.argv`` without it.

    Returns
    -------
    int
        Exit code: 0 for success, 1 for an error, which is reported in one sentence, 130 after Ctrl-C, 143 after
        SIGTERM, 138 after SIGUSR1. Errors are raised with their traceback when the environment variable
        ``BINNET_DEBUG`` is set.

    Raises
    ------
    SystemExit
        With the code 2 for a wrong command line, and 0 after ``--help`` or ``--version``.
    """
    try:
        with terminable():
            _prepare_streams()
            arguments = parser().parse_args(argv)
            code: int = arguments.run(arguments)
            sys.stdout.flush()  # here, where a closed pipe is caught, and not while Python exits
            return code
    except (ValueError, TypeError, OSError, MemoryError, OverflowError) as error:
        if isinstance(error, OSError) and is_closed_pipe(error):  # the reader, such as head, has ended
            # Python flushes once more when it exits; into the null device that succeeds.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        if os.environ.get("BINNET_DEBUG"):
            raise
        print(f"binnet: error: {printable(sentence_of(error))}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, TerminatedError) as stop:
        if speaks():
            print("binnet: stopped", file=sys.stderr)
        return 130 if isinstance(stop, KeyboardInterrupt) else 128 + stop.signal


def _prepare_streams() -> None:
    """Make standard output and error writable: closed streams go to the null device, unencodable text is escaped."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:  # closed by the shell; otherwise the next opened file would get this descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # open until the process ends
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
