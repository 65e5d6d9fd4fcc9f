"""What a model file knows about its data: how images are normalised, what the classes are called, where it is from."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class DataInfo:
    """Attributes of the data that a network was trained on.

    Attributes
    ----------
    dataset : str
        Its name; empty when unknown.
    class_names : tuple of str
        In the order of the labels; empty when unknown.
    mean, std : tuple of float
        For each channel, of images scaled to [0, 1]; a network sees ``(image / 255 - mean) / std``.
    provenance : dict
        Configuration, seed, epoch and accuracy, as far as known.
    """

    dataset: str = ""
    class_names: tuple[str, ...] = ()
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    provenance: dict[str, Any] = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DataInfo:
        """The inverse of :meth:`to_dict`; ValueError when the fields are not the right ones."""
        if not isinstance(values, dict) or set(values) != {f.name for f in fields(cls)}:
            raise ValueError("the description of the data does not have the right fields")
        lists = {name: tuple(values[name]) for name in ("class_names", "mean", "std")}
        if not all(isinstance(name, str) for name in lists["class_names"]):
            raise ValueError("the names of the classes must be words")
        if len(lists["mean"]) != len(lists["std"]) or not all(map(_is_finite, lists["mean"] + lists["std"])):
            raise ValueError("mean and std must be one finite number each for each channel")
        if min(lists["std"], default=0) <= 0:
            raise ValueError("std must be above 0")
        return cls(str(values["dataset"]), **lists, provenance=dict(values["provenance"]))

    def class_name(self, label: int) -> str:
        """What class number ``label`` is called."""
        return self.class_names[label] if label < len(self.class_names) else str(label)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
