"""Output of the commands: lines, tables, and on a terminal a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

Advance = Callable[[int, str], None]


def printable(text: str) -> str:
    """The text with unprintable characters escaped: a file or class name must not control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def sentence_of(error: BaseException) -> str:
    """An error as one sentence for people."""
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'cannot write the output'}: {error.strerror}"
    return " ".join(str(error).split())


class Console:
    """The output of the commands.

    Parameters
    ----------
    quiet
        Show nothing but errors.
    to_stderr
        Write to standard error, because a program reads standard output (``--json``).
    """

    def __init__(self, quiet: bool = False, to_stderr: bool = False) -> None:
        file = sys.stderr if to_stderr else sys.stdout
        self._rich = RichConsole(file=file, quiet=quiet, highlight=False, emoji=False)

    def say(self, text: str) -> None:
        """Print one or several lines."""
        # Without markup: "[red]" may be part of a name.
        self._rich.print("\n".join(map(self._shown, text.split("\n"))), markup=False, soft_wrap=True)

    def paint(self, text: Text) -> None:
        """Print text with colours; lines are neither wrapped nor truncated."""
        self._rich.print(text, soft_wrap=True)

    @property
    def colours(self) -> bool:
        """Whether the output shows colours."""
        return self._rich.color_system is not None and not self._rich.no_color

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]], total: Sequence[str] | None = None) -> None:
        """Print a table; columns after the first are aligned to the right."""
        table = Table(box=None, header_style="bold", pad_edge=False)
        for i, head in enumerate(heads):
            table.add_column(head, justify="left" if i == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(self._shown(cell)) for cell in row))
        if total:
            table.add_section()
            table.add_row(*(Text(cell, style="bold") for cell in total))
        before, unlimited = self._rich.width, self._rich.options.update(width=10_000)
        needed = self._rich.measure(table, options=unlimited).maximum
        self._rich.width = max(before, needed)  # a narrow terminal then wraps lines, and no number is cut off
        self._rich.print(table)
        self._rich.width = before

    def _shown(self, text: str) -> str:
        """The text with all escaped that is unprintable, or missing in the code page of the output."""
        encoding = self._rich.encoding
        return printable(text).encode(encoding, "backslashreplace").decode(encoding)

    @contextmanager
    def progress(self, total: int, unit: str = "images") -> Iterator[Advance]:
        """Context manager with a function ``advance(count, label)``, which moves a bar if there is a terminal."""
        if not self._rich.is_terminal or self._rich.quiet:
            yield lambda count, label: None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(unit),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._rich, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda count, label: bar.update(task, advance=count, description=self._shown(label))


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Units per second."""
        return Text("" if task.speed is None else f"{task.speed:,.0f} {self._unit}/s")
