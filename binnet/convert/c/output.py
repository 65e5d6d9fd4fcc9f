"""Writes an exported program: NAME.c and NAME.h beside it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ...engine import PackedModel
from ..report import ConversionError
from .program import Settings, Source, generate


@dataclass(frozen=True)
class Written:
    """The files of an export, and a sentence about it."""

    source: Source
    files: tuple[Path, Path]
    summary: str


def write(model: PackedModel, out: Path, settings: Settings, command: str = "") -> Written:
    """Write ``out``, a ``.c`` file, and its header; each under a temporary name that is renamed when it is complete.

    ConversionError when the model cannot be exported or the files cannot be written.
    """
    if not out.stem.isprintable() or set(out.stem) & set('"\\?'):
        raise ConversionError(f"the name of a C file cannot have quotes, backslashes or ?, got {out.stem!r}")
    source = generate(model, settings, out.stem, command)
    header = out.with_suffix(".h")
    for path in (out, header):  # before one of the two is written
        if path.is_dir():
            raise ConversionError(f"cannot write {path}: it is a folder")
    try:
        for path, text in ((header, source.header), (out, source.text)):
            replace_text(path, text)
    except OSError as error:
        raise ConversionError(f"cannot write {out}: {error.strerror or error}") from error
    sizes = f"constants {source.flash:,} bytes, arena {source.ram:,} bytes, {source.macs:,} multiply-adds for an image"
    return Written(source, (out, header), f"{out} and {header.name}: {source.name}_predict, {sizes}")


def replace_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name and rename it; OSError when that fails, and then nothing is left."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
