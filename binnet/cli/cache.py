"""``binnet cache``."""

from __future__ import annotations

import argparse
import json
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
    if arguments.action == "clear":
        # Files that another process deleted in the meantime do not count.
        chosen = {kind: [file for file in files if delete(file)] for kind, files in chosen.items()}
    found = [_summary(kind, files, arguments.action) for kind, files in chosen.items()]
    if arguments.json:
        print(json.dumps({row["kind"]: {k: v for k, v in row.items() if k != "kind"} for row in found}))
        return 0
    rows = [[row["kind"], f"{len(row['files']):,}", _size(row["bytes"]), row["folder"]] for row in found]
    counts = f"{sum(len(row['files']) for row in found):,}", _size(sum(row["bytes"] for row in found))
    heads = ["deleted" if arguments.action == "clear" else "in the cache", "files", "size", "folder"]
    console.table(heads, rows, ["in all", *counts, ""])
    return 0


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
