"""A mapping: the TOML file that says which nodes the tensors of a state dict become; see docs/convert-pytorch.md."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from ..report import ConversionError, Options

LARGEST = 1 << 20  # bytes of a mapping


@dataclass(frozen=True)
class Mapping:
    """The entries of a mapping file.

    Attributes
    ----------
    about : str
        Which network this is, in one sentence.
    layers : list of dict
        In order; each has ``kind`` and options.
    blocks : dict of str to list of dict
        Lists of layers that ``layers`` uses by name, as if it were a kind.
    input_shape : (rows, columns, channels), or None
    any_size : bool
        Whether the network takes images of other sizes, too.
    mean, std : tuple of float, or None
    class_names : tuple of str
    epsilon : float
        ε of each batch normalisation that does not have its own.
    ignore : tuple of str
        Patterns such as ``"*.num_batches_tracked"`` of names of tensors that no layer needs.
    state_dict : str or None
        Name of the state dict inside the file, when it has several.
    """

    layers: list[dict[str, Any]]
    about: str = ""
    blocks: dict[str, list[dict[str, Any]]] | None = None
    input_shape: tuple[int, int, int] | None = None
    any_size: bool = False
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    class_names: tuple[str, ...] = ()
    epsilon: float = 1e-5
    ignore: tuple[str, ...] = ()
    state_dict: str | None = None

    def options(self, given: Options) -> Options:
        """What the mapping says about images and classes, where ``given`` does not say it."""
        return Options(
            given.input_shape or self.input_shape,
            given.mean or self.mean,
            given.std or self.std,
            given.class_names or self.class_names,
        )


def names() -> list[str]:
    """The mappings that come with binnet."""
    folder = resources.files(__package__).joinpath("mappings")
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml"))


def read_mapping(name: str | None) -> Mapping:
    """The mapping called ``name``, or the one in a TOML file; ConversionError when there is none or it is wrong."""
    listed = f"the mappings of binnet are {', '.join(names())}, and docs/convert-pytorch.md says how to write one"
    if name is None:
        raise ConversionError(f"a state dict has no network: name a mapping; {listed}")
    if name in names():
        return _parsed(resources.files(__package__).joinpath("mappings", f"{name}.toml").read_text("utf-8"))
    if not Path(name).is_file():
        raise ConversionError(f"there is no mapping and no file {name}; {listed}")
    try:
        if Path(name).stat().st_size > LARGEST:
            raise ConversionError(f"{name} is too large for a mapping")
        return _parsed(Path(name).read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{name} is not a text file that can be read") from error
    except ConversionError as error:
        raise ConversionError(f"mapping {name}: {error}") from error


def _parsed(text: str) -> Mapping:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ConversionError(f"it is not TOML: {str(error)[:200]}") from error
    known = {field.name for field in fields(Mapping)}
    unknown = table.keys() - known
    if unknown:
        raise ConversionError(f"it has the unknown entry {min(unknown)!r}; there are: {', '.join(sorted(known))}")
    for key, value in table.items():
        table[key] = _CHECKS[key](key, value)
    if not table.get("layers"):
        raise ConversionError("it has no layers")
    return Mapping(**table)


# ------------------------------------------------------------------------------------------- types of the entries


def _word(key: str, value: Any) -> str:
    if type(value) is not str:
        raise ConversionError(f"{key} must be a string, got {_shown(value)}")
    return value


def _words(key: str, value: Any) -> tuple[str, ...]:
    if type(value) is not list:
        raise ConversionError(f"{key} must be a list of strings, got {_shown(value)}")
    return tuple(_word(key, each) for each in value)


def _flag(key: str, value: Any) -> bool:
    if type(value) is not bool:
        raise ConversionError(f"{key} must be true or false, got {_shown(value)}")
    return value


def _number(key: str, value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e30:
        raise ConversionError(f"{key} must be a number, got {_shown(value)}")
    return float(value)


def _numbers(key: str, value: Any) -> tuple[float, ...]:
    if type(value) is not list or not value:
        raise ConversionError(f"{key} must be a list of numbers, got {_shown(value)}")
    return tuple(_number(key, each) for each in value)


def _shape(key: str, value: Any) -> tuple[int, ...]:
    if type(value) is not list or len(value) != 3 or not all(type(n) is int for n in value):
        raise ConversionError(f"{key} must be [rows, columns, channels], got {_shown(value)}")
    return tuple(value)


def _layers(key: str, value: Any) -> list[dict[str, Any]]:
    tables = type(value) is list and all(type(each) is dict and type(each.get("kind")) is str for each in value)
    if not tables:
        raise ConversionError(f'{key} must be a list of layers such as {{ kind = "relu" }}')
    return list(value)


def _blocks(key: str, value: Any) -> dict[str, list[dict[str, Any]]]:
    if type(value) is not dict:
        raise ConversionError(f"{key} must be a table of lists of layers")
    return {name: _layers(f"{key}.{name}", layers) for name, layers in value.items()}


def _shown(value: Any) -> str:
    return str(value)[:60] if isinstance(value, str | int | float | list) else f"a {type(value).__name__}"


_CHECKS: dict[str, Any] = {
    "about": _word,
    "any_size": _flag,
    "blocks": _blocks,
    "class_names": _words,
    "epsilon": _number,
    "ignore": _words,
    "input_shape": _shape,
    "layers": _layers,
    "mean": _numbers,
    "state_dict": _word,
    "std": _numbers,
}
