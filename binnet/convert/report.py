"""What an import is asked for and what it gives: options, the model, and the table of what became of each part."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..engine import PackedModel
from ..modelfile.info import DataInfo


class ConversionError(ValueError):
    """A model that cannot be converted, with the reason in one sentence."""


@dataclass(frozen=True)
class Options:
    """What a file of another tool does not say.

    Attributes
    ----------
    input_shape : (rows, columns, channels), or None
        Of an image; needed where the file does not hold it.
    mean, std : tuple of float, or None
        Of each channel of images scaled to [0, 1], as in :class:`binnet.modelfile.info.DataInfo`.
    class_names : tuple of str
    mapping : str or None
        Name of a mapping that comes with binnet, or a TOML file, for formats that hold arrays without a network.
    structure : str or None
        The file with the network, for formats of two files, where it is not found beside the source.
    """

    input_shape: tuple[int, int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    class_names: tuple[str, ...] = ()
    mapping: str | None = None
    structure: str | None = None

    def info(self, source: str, form: str) -> DataInfo:
        """The description of the data for the imported model, with where it came from."""
        provenance = {"imported_from": source, "format": form}
        try:
            return DataInfo("", self.class_names, self.mean, self.std, provenance)
        except ValueError as error:
            raise ConversionError(str(error)) from error


@dataclass(frozen=True)
class Row:
    """One part of the file and what it became.

    Attributes
    ----------
    name, kind : str
        As the file calls it.
    became : str
        Kinds of the nodes made of it, such as ``"XnorConv 5x5, 64 filters"``.
    note : str
        What a reader has to know, such as ``"pads count as +1"``; or empty.
    """

    name: str
    kind: str
    became: str
    note: str = ""


@dataclass
class Report:
    """The table that ``binnet import`` prints.

    Attributes
    ----------
    rows : list of Row
        In the order of the network.
    left_out : list of (name, reason)
        What was read and not used, such as the state of an optimiser.
    """

    rows: list[Row] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Imported:
    """A model and the report on how it was made."""

    model: PackedModel
    report: Report
