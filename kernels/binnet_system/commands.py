"""Commands as lines: those that a person can paste into the shell of this system, and those that a person gives."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence

from .machine import WINDOWS


def line(words: Sequence[str]) -> str:
    """One line that the shell reads as these words; on Windows cmd and PowerShell alike."""
    return " ".join(map(_quoted, words)) if WINDOWS else for_any_system(words)


def for_any_system(words: Sequence[str]) -> str:
    """One line that the shells of Linux and macOS read as these words: for files, which are the same everywhere."""
    return shlex.join(words)


def _quoted(word: str) -> str:
    """The word in double quotes where it needs them: single quotes mean nothing to cmd."""
    if re.fullmatch(r"[\w.:\\/=,+@~-]+", word):
        return word
    # Backslashes before a quote are doubled, also before the one that ends the word.
    inner = re.sub(r"(\\+)$", r"\1\1", re.sub(r'(\\*)"', r'\1\1\\"', word))
    return f'"{inner}"'


def words(command: str) -> list[str]:
    """The words of a command; ValueError when a quote is not closed. On Windows a backslash is part of a path."""
    if not WINDOWS:
        return shlex.split(command)
    if shutil.which(command):  # a path with spaces may stand without quotes
        return [command]
    found = shlex.split(command, posix=False)
    return [word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word for word in found]


def program(name: str) -> str:
    """The name of a file that can be run."""
    return f"{name}.exe" if WINDOWS else name
