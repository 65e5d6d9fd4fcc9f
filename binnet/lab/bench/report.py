"""Benchmark report: results, machine and options, as JSON, in the terminal and as Markdown."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from binnet_datasets.files import replacing
from binnet_system import commands

from ...console import Console
from .layers import Row
from .tables import TABLES

FORMAT = "binnet benchmark 1"


@dataclass(frozen=True)
class Report:
    """Results of one run of ``binnet bench``.

    Attributes
    ----------
    what : str
        ``layers``, ``figure4``, ``network``, ``training`` or ``cold``.
    command : str
        The command line that repeats the measurement.
    machine : dict
        The fields of :class:`binnet.lab.bench.machine.Machine`.
    settings : dict
        The options of the command.
    tables : dict of lists of rows
        Results by the names of :data:`binnet.lab.bench.tables.TABLES`; times in seconds.
    """

    what: str
    command: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    tables: dict[str, list[Row]]

    def save(self, path: Path) -> None:
        """Write the report as JSON, atomically; ValueError when that is not possible."""
        try:
            with replacing(path) as temporary:
                temporary.write_text(
                    json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", "utf-8", newline="\n"
                )
        except OSError as error:
            raise _cannot_write(path, error) from error

    def show(self, console: Console) -> None:
        """Print header and tables on a console."""
        for line in header(self.machine):
            console.say(line)
        for name, rows in self.tables.items():
            table = TABLES[name]
            console.say(f"\n{table.title}\n")
            console.table(list(table.columns), table.cells(rows))
            console.say("\n" + "\n".join(table.notes))

    def markdown(self) -> str:
        """The report as Markdown, to stand below a heading of the second level."""
        lines = [*(f"- {line}" for line in header(self.machine)), "", "```", self.command, "```", ""]
        for name, rows in self.tables.items():
            lines += _markdown_table(name, rows)
        return "\n".join(lines)


def load(path: Path) -> Report:
    """Read a report that :meth:`Report.save` wrote; ValueError with the path when it is anything else."""
    try:
        values = json.loads(path.read_text("utf-8"))
        # A table that this version does not know would fail later, when it is printed.
        if values.pop("format") != FORMAT or set(values["tables"]) - set(TABLES):
            raise KeyError("format")
        return Report(**values)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} was not written by binnet bench --json") from error


def header(machine: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines about the machine, its instructions, threads, package versions, date and load."""
    yield f"{machine['cpu']}, {machine['cores']} logical cores, {machine['system']}"
    yield f"instructions: {machine['instructions']}"
    yield f"threads: {machine['threads']} (threading layer: {machine['threading_layer']})"
    yield ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    load = "" if machine["load"] is None else f", load average before {machine['load']}"
    yield f"{machine['date']}{load}"


def command(what: str, settings: Mapping[str, Any]) -> str:
    """The command line of a measurement, built from its options."""
    words = ["binnet", "bench", what]
    if "target" in settings:  # the only positional argument
        words.append(str(settings["target"]))
    for name, value in settings.items():
        if name == "target":
            continue
        if value is True:
            words.append("--" + name.replace("_", "-"))
        elif value is not None and value is not False:
            words += ["--" + name.replace("_", "-"), f"{value}"]
    return commands.line(words)


def check_writable(path: Path) -> None:
    """Raise ValueError when a file cannot be written, before minutes are spent on a measurement."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is not a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        # A temporary file shows whether the folder is writable, without touching an earlier report at this path.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> ValueError:
    return ValueError(f"cannot write {path}: {error.strerror or error}")


def _markdown_table(name: str, rows: list[Row]) -> Iterator[str]:
    table = TABLES[name]
    yield from (f"### {table.title}", "")
    yield "| " + " | ".join(table.columns) + " |"
    yield "|---|" + "---:|" * (len(table.columns) - 1)
    for cells in table.cells(rows):
        yield "| " + " | ".join(map(_plain_text, cells)) + " |"
    yield ""
    for note in table.notes:
        yield from (_plain_text(note), "")


def _plain_text(text: str) -> str:
    """Replace the characters that are Markdown for emphasis or the end of a cell."""
    return text.replace("*", "∗").replace("~", "≈").replace("|", "\\|")
