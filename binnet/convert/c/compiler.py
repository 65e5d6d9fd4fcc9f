"""Finds a C compiler and compiles exported programs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from binnet_system import commands
from binnet_system.machine import WINDOWS

from ..report import ConversionError

SECONDS = 300  # that a compiler may take
NAMES = ("cc", "gcc", "clang")


def find(given: str | None = None) -> list[str]:
    """The words of a command that compiles C.

    Parameters
    ----------
    given
        The command; without it that of the environment variable ``CC``, or the first of cc, gcc, clang that is
        installed, or the clang of the package ``ziglang``.

    Raises
    ------
    ConversionError
        When there is none.
    """
    chosen = given or os.environ.get("CC")
    if chosen:
        words = words_of(chosen)
        found = shutil.which(words[0]) if words else None
        if found is None:
            raise ConversionError(f"there is no C compiler {chosen!r}")
        return [found, *words[1:]]
    for name in NAMES:
        if found := shutil.which(name):
            return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise ConversionError('there is no C compiler; install one, or python -m pip install "binnet[compiler]"')


def compile_program(
    command: Sequence[str],
    sources: Sequence[Path],
    out: Path,
    flags: Sequence[str] = (),
    libraries: Sequence[str] = () if WINDOWS else ("-lm",),
) -> None:
    """Compile C files to a program; ConversionError with the first line of the compiler's complaint when it fails."""
    words = [*command, *flags, *map(str, sources), "-o", str(out), *libraries]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ConversionError(f"{command[0]} did not end within {SECONDS} seconds") from error
    except OSError as error:
        raise ConversionError(f"cannot run {command[0]}: {error.strerror or error}") from error
    if done.returncode or not out.is_file():
        # In the language of the person, and in whatever code the compiler writes it.
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        complaint = next((line for line in lines if "error" in line), lines[0] if lines else "it gave no reason")
        raise ConversionError(f"{commands.line(command)} cannot compile the program: {complaint.strip()}")


def words_of(command: str) -> list[str]:
    """The words of a command line; ConversionError when a quote is not closed."""
    try:
        return commands.words(command)
    except ValueError as error:
        raise ConversionError(f"cannot read the command {command!r}: {error}") from error
