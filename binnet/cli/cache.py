"""``binnet cache``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from ..console import Console
from . import options
from .cached_files import CachedFile, cached_files, delete, kinds

HELP = "list or delete the files that binnet keeps in its cache"
_KINDS = ("kernels", "stores", "archives", "downloads")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to its parser."""
    text = "list (the default), or clear, which deletes only files that binnet wrote"
    parser.add_argument("action", choices=("list", "clear"), nargs="?", default="list", help=text)
    text = "kernels (compiled code), stores (of image folders), archives (unpacked), downloads (default: all)"
    parser.add_argument("kind", choices=_KINDS, nargs="?", help=text)
    options.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """List the cache, or delete its files, and return the exit code."""
    console = Console(to_stderr=arguments.json)
    chosen = {kind: cached_files(kind) for kind in ([arguments.kind] if arguments.kind else _KINDS)}
    refused: list[OSError] = []
    if arguments.action == "clear":
        chosen = {kind: list(_deleted(files, refused)) for kind, files in chosen.items()}
    found = [_summary(kind, files, arguments.action) for kind, files in chosen.items()]
    if arguments.json:
        print(json.dumps({row["kind"]: {k: v for k, v in row.items() if k != "kind"} for row in found}))
    else:
        _show(console, found, arguments.action)
    if refused:
        raise refused[0]
    return 0


def _deleted(files: list[CachedFile], refused: list[OSError]) -> Iterator[CachedFile]:
    """Delete files and yield those that were there; errors are kept, and the other files deleted all the same."""
    for file in files:
        try:
            if delete(file):
                yield file
        except OSError as error:
            refused.append(error)


def _show(console: Console, found: list[dict[str, Any]], action: str) -> None:
    rows = [[row["kind"], f"{len(row['files']):,}", _size(row["bytes"]), row["folder"]] for row in found]
    counts = f"{sum(len(row['files']) for row in found):,}", _size(sum(row["bytes"] for row in found))
    heads = ["deleted" if action == "clear" else "in the cache", "files", "size", "folder"]
    console.table(heads, rows, ["in all", *counts, ""])


def _summary(kind: str, files: list[CachedFile], action: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "folder": str(kinds()[kind]),
        "bytes": sum(file.bytes for file in files),
        "files": [str(file.path) for file in files],
        "deleted": action == "clear",
    }


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
