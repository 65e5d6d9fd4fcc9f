"""Writes an exported program: NAME.c and NAME.h beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from binnet_datasets.files import replacing, why

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
    """Write ``out``, a ``.c`` file, and its header; neither replaces an old one before both are complete.

    ConversionError when the model cannot be exported or the files cannot be written.
    """
    if not out.stem.isprintable() or set(out.stem) & set('"\\?'):
        raise ConversionError(f"the name of a C file cannot have quotes, backslashes or ?, got {out.stem!r}")
    source = generate(model, settings, out.stem, command)
    header = out.with_suffix(".h")
    for path in (out, header):
        if path.is_dir():
            raise ConversionError(f"cannot write {path}: it is a folder")
    try:
        with replacing(out) as program, replacing(header) as declarations:
            for path, text in ((program, source.text), (declarations, source.header)):
                path.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise ConversionError(f"cannot write {out} and {header.name}: {why(error)}") from error
    sizes = f"constants {source.flash:,} bytes, arena {source.ram:,} bytes, {source.macs:,} multiply-adds for an image"
    return Written(source, (out, header), f"{out} and {header.name}: {source.name}_predict, {sizes}")
