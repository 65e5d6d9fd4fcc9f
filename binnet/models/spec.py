"""The description from which a network can be built again, and the network that carries it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from ..nn import Named, Sequential
from ..ops import NotFiniteError
from ..tensor import Tensor

LARGEST_SIDE = 4096  # of images that a file may ask for


@dataclass(frozen=True)
class ModelSpec:
    """What :func:`binnet.models.build` was asked for, with all defaults filled in.

    Attributes
    ----------
    name, binarize, num_classes, in_channels
        As given to ``build``.
    image_size : (rows, columns)
    options
        Every option of the binary layers and of the model, so that later defaults do not change saved networks.
    """

    name: str
    binarize: str
    num_classes: int
    in_channels: int
    image_size: tuple[int, int]
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def build(self, seed: int = 0) -> Network:
        """A new network of this description."""
        from . import build

        size = self.image_size
        return build(self.name, self.binarize, self.num_classes, self.in_channels, size, seed, **self.options)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, ready for JSON or TOML."""
        return {**asdict(self), "image_size": list(self.image_size)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelSpec:
        """The inverse of :meth:`to_dict`; ValueError naming the fields when they are not the right ones."""
        names = {f.name for f in fields(cls)}
        if set(values) != names:
            raise ValueError(f"a model spec has the fields {', '.join(sorted(names))}, got {', '.join(sorted(values))}")
        size = values["image_size"]
        if not isinstance(size, list | tuple) or len(size) != 2 or not all(_is_side(side) for side in size):
            raise ValueError(f"image_size must be two whole numbers from 1 to {LARGEST_SIDE}, got {size!r}")
        if not isinstance(values["options"], dict):
            raise ValueError(f"options must be an object, got {values['options']!r}")
        return cls(**{**values, "image_size": tuple(size), "options": dict(values["options"])})

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """The inverse of :meth:`to_json`."""
        return cls.from_dict(json.loads(text))


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_SIDE


class Network(Sequential):
    """A whole network: (N, H, W, in_channels) images to (N, num_classes) scores (logits).

    Parameters
    ----------
    spec
        What it was built from.
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
        if not np.isfinite(x.array).all():  # the first sign would hide it; a thousandth of a training step
            raise NotFiniteError("the images have values that are not finite")
        return super().forward(x)

    @property
    def label(self) -> str:
        """The model's name, to begin messages with."""
        return f"{self.spec.name} (Network)"
