"""Description of the training data in a model file: preprocessing, class names and provenance."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
_LARGEST = float(np.finfo(np.float32).max)
MOST_KEYS = 50_000  # limit for a packed model: 400 kB of keys; more would be larger than its weights


@dataclass(frozen=True)
class Preprocessing:
    """The steps that bring an image of any size to the model's size.

    Attributes
    ----------
    stored_size : int or None
        Short side in pixels, 1 to 65536, to which an image is first resized with its proportions kept, as in a store.
        With None the whole image is resized to the model's size directly, which can change its proportions (this is
        how the data sets by name are prepared).
    short_side : int or None
        Short side in pixels to which the result is resized before its centre is cropped; None when ``stored_size`` is
        None.

    Raises
    ------
    ValueError
        On construction, when a value is out of range, or only one of them is None.
    """

    stored_size: int | None = None
    short_side: int | None = None

    def __post_init__(self) -> None:
        sides = (self.stored_size, self.short_side)
        if sides != (None, None) and not all(type(side) is int and 1 <= side <= 1 << 16 for side in sides):
            raise ValueError(f"stored_size and short_side must be numbers of pixels, or both None, got {sides}")


@dataclass(frozen=True)
class DataInfo:
    """Description of the data that a network was trained on.

    Attributes
    ----------
    dataset : str
        Name of the data set; empty when unknown.
    class_names : tuple of str
        In the order of the labels; empty when unknown.
    mean, std : tuple of float, or None
        Mean and standard deviation of each channel of images scaled to [0, 1]; the network's input is
        ``(image / 255 - mean) / std``. Both are None when unknown, and functions that need them then raise ValueError.
        Arrays and lists are accepted and converted.
    provenance : dict
        Configuration, seed, epoch and accuracy, as far as known.
    preprocessing : Preprocessing
        The steps that bring an image to the network's size.
    trained_on : uint64 (n,)
        Sorted keys of the training images, see :attr:`binnet_datasets.StoreImages.keys`; empty for the data sets by
        name, whose test images are fixed.

    Raises
    ------
    ValueError
        On construction, when a field has another type, a number is not finite in float32, a deviation is not above 0,
        or JSON cannot represent ``provenance``.
    """

    dataset: str = ""
    class_names: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    provenance: dict[str, Any] = field(default_factory=dict, hash=False)
    preprocessing: Preprocessing = Preprocessing()
    trained_on: Keys = field(default_factory=lambda: np.zeros(0, np.uint64), compare=False, repr=False)

    def __post_init__(self) -> None:
        self._check_words()
        # The class is frozen, so converted values are set through object.__setattr__.
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise ValueError(f"mean and std must be one number each for each channel, got {self.mean} and {self.std}")
        # Compared as float32, the type in which it divides: 1e-50 is 0 there.
        if self.std is not None and np.float32(min(self.std, default=0)) <= 0:
            raise ValueError(f"std must be above 0, got {self.std}")
        keys = np.asarray(self.trained_on)
        if keys.dtype != np.uint64 or keys.ndim != 1:
            raise ValueError(f"trained_on must be uint64 (n,), got {keys.dtype} {keys.shape}")
        object.__setattr__(self, "trained_on", np.unique(keys))

    def _check_words(self) -> None:
        """Raise ValueError unless the fields other than the numbers have types that a file can hold."""
        if not isinstance(self.dataset, str):
            raise ValueError(f"dataset must be a word, got {self.dataset!r}")
        if isinstance(self.class_names, str) or not isinstance(self.class_names, Iterable):
            raise ValueError(f"class_names must be a list of names, got {self.class_names!r}")
        if not all(isinstance(name, str) for name in self.class_names):
            raise ValueError("the names of the classes must be words")
        if not isinstance(self.preprocessing, Preprocessing):
            raise ValueError(f"preprocessing must be a Preprocessing, got {self.preprocessing!r}")
        if not isinstance(self.provenance, dict) or not _is_json(self.provenance):
            raise ValueError(f"provenance must be an object that JSON can hold, got {self.provenance!r}")

    def normalisation(self, what: object = "the model") -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std; ValueError when they are unknown, with ``what`` (such as the model's file) in the message."""
        if self.mean is None or self.std is None:
            raise ValueError(
                f"{what} does not say how images are normalised; "
                "give binnet.pack the mean and std that it was trained with"
            )
        return self.mean, self.std

    def check(self, in_channels: int, num_classes: int) -> None:
        """Raise ValueError unless this describes images of ``in_channels`` channels and ``num_classes`` classes."""
        if self.mean is not None and len(self.mean) not in (1, in_channels):
            raise ValueError(f"mean and std must be one number or {in_channels}, one a channel, got {len(self.mean)}")
        if self.class_names and len(self.class_names) != num_classes:
            raise ValueError(f"class_names must be {num_classes} names, one a class, got {len(self.class_names)}")

    def for_packing(self) -> DataInfo:
        """A copy for a packed model; it omits the keys when there are more than 50,000 training images."""
        if len(self.trained_on) <= MOST_KEYS:
            return self
        left_out = {"trained_on": f"not kept, {len(self.trained_on):,} images"}
        return replace(self, trained_on=np.zeros(0, np.uint64), provenance={**self.provenance, **left_out})

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, ready for JSON, except ``trained_on``, which is stored as an array."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "trained_on"}
        return {**kept, "preprocessing": asdict(self.preprocessing)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], trained_on: Keys | None = None) -> DataInfo:
        """The inverse of :meth:`to_dict`; ValueError when a field is missing, unknown or of another type."""
        names = {f.name for f in fields(cls)} - {"trained_on"}
        if not isinstance(values, dict) or set(values) != names:
            raise ValueError("the description of the data does not have the right fields")
        if not isinstance(values["class_names"], list | tuple) or not isinstance(values["provenance"], dict):
            raise ValueError("class_names must be a list, and provenance an object")
        if not all(values[name] is None or isinstance(values[name], list | tuple) for name in ("mean", "std")):
            raise ValueError("mean and std must be lists, or null")
        how = values["preprocessing"]
        if not isinstance(how, dict) or set(how) != {f.name for f in fields(Preprocessing)}:
            raise ValueError("the description of the preprocessing does not have the right fields")
        keys = np.zeros(0, np.uint64) if trained_on is None else trained_on
        return cls(
            **{**values, "dataset": str(values["dataset"]), "preprocessing": Preprocessing(**how), "trained_on": keys}
        )

    def class_name(self, label: int) -> str:
        """The name of class number ``label``, or the number itself when the names are unknown."""
        return self.class_names[label] if label < len(self.class_names) else str(label)


def _numbers(name: str, values: Any) -> tuple[float, ...] | None:
    """Mean or std as a tuple of finite floats."""
    if values is None:
        return None
    found = np.atleast_1d(np.asarray(values)).tolist()
    # bool is a subclass of int, and NaN compares as False.
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= _LARGEST for v in found):
        raise ValueError(f"{name} must be one finite number for each channel, got {values!r}")
    return tuple(map(float, found))


def _is_json(values: Any) -> bool:
    """Whether ``values`` can be written like the description of a model file."""
    try:
        json.dumps(values, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
