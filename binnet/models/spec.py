"""The description from which a network can be rebuilt, and the network class that holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from binnet_kernels.checks import Float

from ..autograd import Tensor
from ..nn import Named, Sequential
from ..ops import NotFiniteError

LARGEST_SIDE = 4096  # of images that a file may ask for


@dataclass(frozen=True)
class ModelSpec:
    """Description of a network and its arguments, for :func:`binnet.models.build` or a custom network's function.

    Attributes
    ----------
    name : str
        As given to ``build``; ``FILE.py:FUNCTION`` for a custom network, without the folder.
    binarize : str
        As given to ``build``; empty when a custom network's function does not take it.
    num_classes, in_channels : int
    image_size : (rows, columns)
    options
        Every option of the binary layers and of the model, so that later defaults do not change saved networks; for a
        custom network, those that its function takes.
    source : str or None
        The text of a custom network's file. It is kept to be compared, and is never run from here.
    """

    name: str
    binarize: str
    num_classes: int
    in_channels: int
    image_size: tuple[int, int]
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    source: str | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of ``source`` in hexadecimal digits; empty without a source."""
        return "" if self.source is None else hashlib.sha256(self.source.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, ready for JSON or TOML; ``source`` and its ``sha256`` only where there is one."""
        found = {**asdict(self), "image_size": list(self.image_size)}
        if self.source is None:
            del found["source"]
            return found
        return {**found, "sha256": self.sha256}

    def provenance(self) -> dict[str, Any]:
        """The description for a packed model: all but the source, of which the SHA-256 is enough."""
        return {name: value for name, value in self.to_dict().items() if name != "source"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelSpec:
        """The inverse of :meth:`to_dict`; ValueError naming the fields when they are not the right ones."""
        own = {"source", "sha256"} & set(values)
        names = {f.name for f in fields(cls)} - {"source"} | own
        if set(values) != names or len(own) == 1:  # the source and its hash are there both or neither
            raise ValueError(f"a model spec has the fields {', '.join(sorted(names))}, got {', '.join(sorted(values))}")
        size = values["image_size"]
        if not isinstance(size, list | tuple) or len(size) != 2 or not all(_is_side(side) for side in size):
            raise ValueError(f"image_size must be two whole numbers from 1 to {LARGEST_SIDE}, got {size!r}")
        if not isinstance(values["options"], dict):
            raise ValueError(f"options must be an object, got {values['options']!r}")
        if own and not isinstance(values["source"], str):
            raise ValueError(f"source must be text, got {type(values['source']).__name__}")
        kept = {name: value for name, value in values.items() if name != "sha256"}
        spec = cls(**{**kept, "image_size": tuple(size), "options": dict(values["options"])})
        if own and values["sha256"] != spec.sha256:
            raise ValueError(f"the source of {spec.name} does not have the SHA-256 beside it")
        return spec


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_SIDE


def check_images(images: Float) -> None:
    """NotFiniteError unless all values are finite: the first sign would hide it. A thousandth of a training step."""
    if not np.isfinite(images).all():
        raise NotFiniteError("the images have values that are not finite")


class Network(Sequential):
    """A whole network: (N, H, W, in_channels) images to (N, num_classes) scores (logits).

    Parameters
    ----------
    spec
        The description that it was built from.
    layers
        Layers with their names.
    fixed_size
        Whether only images of ``spec.image_size`` fit; networks that end in a global average take others too.
    """

    def __init__(self, spec: ModelSpec, layers: Sequence[Named], fixed_size: bool = True) -> None:
        super().__init__(*layers)
        self.spec, self.fixed_size = spec, fixed_size

    def forward(self, x: Tensor) -> Tensor:
        axes: tuple[str | int, ...] = self.spec.image_size if self.fixed_size else ("H", "W")
        self.expect(x.shape, "N", *axes, self.spec.in_channels)
        check_images(x.array)
        return super().forward(x)

    @property
    def label(self) -> str:
        """The model's name, to begin messages with."""
        return f"{self.spec.name} (Network)"
