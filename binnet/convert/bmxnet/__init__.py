"""BMXNet (arXiv:1705.09864), a fork of MXNet: ``NAME-0001.params`` with the network in ``NAME-symbol.json``."""

from __future__ import annotations

import re
from pathlib import Path

from ...engine import PackedModel
from ..report import ConversionError, Imported, Options
from .operators import build
from .params import read_params
from .symbol import read_symbol


def read(source: Path, options: Options) -> Imported:
    """A BMXNet model. ``options.structure`` names the network's file where it is not found beside the source."""
    arrays = read_params(source)
    structure = Path(options.structure) if options.structure else _beside(source)
    built = build(read_symbol(structure), arrays, options)
    try:
        model = PackedModel(built.graph(), options.info(source.name, "BMXNet"))
    except ValueError as error:
        raise ConversionError(str(error)) from error
    return Imported(model, built.report)


def _beside(source: Path) -> Path:
    stem = re.sub(r"-\d+$", "", source.stem)
    path = source.with_name(f"{stem}-symbol.json")
    if not path.is_file():
        raise ConversionError(f"there is no network {path} beside {source}; name it with --structure")
    return path
