"""The trained model that a training begins with: its arrays, and the options that rebuild its network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ... import engine, models
from ...evaluation.evaluate import model_file
from ...graph import KbitConv, Quantise, Sign, XnorConv
from ...modelfile import CHECKPOINT, PACKED, StorageError, container
from ...modelfile.info import DataInfo
from ...models import ModelSpec
from ...models.own_network import is_own
from ...nn.options import CHOICES
from ..config import ConfigError, TrainConfig, checked
from ..options import recipes

Array = npt.NDArray[Any]
_WITH_SIGNS = (KbitConv, Quantise, Sign, XnorConv)  # nodes whose inputs or results have few bits


@dataclass(frozen=True)
class Pretrained:
    """A trained model that a network is initialised from.

    Attributes
    ----------
    file : str
        Path or name as the user gave it.
    kind : str
        ``CHECKPOINT`` or ``PACKED``.
    spec : ModelSpec or None
        Specification of its network, without the source of a custom one when it is packed; None when the file has none.
    image_size, channels : (rows, columns), int
        Of its images.
    info : DataInfo
        Class names, normalisation and preprocessing of its data.
    arrays : dict of str to array
        State of the network of a checkpoint, or :meth:`binnet.PackedModel.arrays` of a packed model, by name.
    takes_signs : bool
        Whether it is a packed model with layers whose inputs have few bits: its normalisations before and behind those
        have the sizes of their sums.
    """

    file: str
    kind: str
    spec: ModelSpec | None
    image_size: tuple[int, int]
    channels: int
    info: DataInfo
    arrays: dict[str, Array]
    takes_signs: bool = False

    def options(self, given: Mapping[str, Any], own_images: bool) -> dict[str, Any]:
        """The training options that rebuild this model's network: model, mode, layer options and image size.

        Parameters
        ----------
        given
            Options that are set already; they are left out of the result, except that its ``model_options`` are those
            of the model with the given ones over them. With another ``model`` among them, only the image size is taken
            over.
        own_images
            Whether the training images can be resized, which images of the built-in data sets cannot.

        Raises
        ------
        ConfigError
            When only a Python file can build the network and no ``model`` is given: code is never run from a model
            file. When the given ``model_options`` are not options of the network.
        """
        spec, model = self.spec, given.get("model")
        if model is None and (spec is None or is_own(spec.name)):
            raise ConfigError(
                f"{self.file} is not of a network that comes with binnet: "
                "name the Python file that builds it with --model FILE:FUNCTION"
            )
        rows, columns = self.image_size
        found: dict[str, Any] = {"image_size": rows} if own_images and rows == columns else {}
        same = spec is not None and (
            model in (None, spec.name) or (is_own(model) and Path(str(model)).name == spec.name)
        )
        if spec is not None and same:
            found |= {"model": spec.name, "binarize": spec.binarize}
            found |= {name: value for name, value in spec.options.items() if name in CHOICES}
            found = {name: value for name, value in found.items() if name not in given}
            if spec.name in models.names():
                found["model_options"] = _own_options(spec, given.get("model_options"))
        return {name: value for name, value in found.items() if value not in ("", None)}


def _own_options(spec: ModelSpec, given: str | None) -> str | None:
    """The options that only this network has, as in its specification but for those that are given."""
    try:
        over = {} if given is None else models.own_options(spec.name, given)
    except ValueError as error:
        raise ConfigError(f"--model-options: {error}") from error
    return models.written_own_options(spec.name, {**spec.options, **over})


def read(file: str) -> Pretrained:
    """Read a pretrained model.

    Parameters
    ----------
    file
        Path of a checkpoint, packed model or run folder, or the name of a model that comes with binnet.

    Raises
    ------
    StorageError
        When the file cannot be read or is damaged.
    """
    path = model_file(file, "best.h5")
    kind, arrays, description = container.load(path)
    if kind != CHECKPOINT:
        model, built = engine.from_parts(path, arrays, description), description["built"]
        if model.real == "int8":
            raise StorageError(
                f"{file} has its real layers in eight bits, which cannot be trained: "
                "begin with the checkpoint that it was packed from, or that packed without --real int8"
            )
        try:
            # The source of a custom network means nothing here, and most packed models have its hash alone.
            known = {name: value for name, value in (built or {}).items() if name not in ("source", "sha256")}
            spec = ModelSpec.from_dict(known) if known else None
        except (TypeError, ValueError) as error:
            raise StorageError(f"{path} is damaged: {error}") from error
        takes_signs = any(isinstance(node, _WITH_SIGNS) for node in model.graph.nodes)
        size = model.image_size
        return Pretrained(str(file), PACKED, spec, size, model.in_channels, model.info, model.arrays(), takes_signs)
    try:
        spec = ModelSpec.from_dict(description["model"])
        info = DataInfo.from_dict(description["data"], arrays.get("trained_on"))
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} is damaged: {error}") from error
    prefix = "network."
    state = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
    return Pretrained(str(file), CHECKPOINT, spec, spec.image_size, spec.in_channels, info, state)


def configured(values: Mapping[str, Any]) -> TrainConfig:
    """The configuration of a training with an ``init`` among its options, whose model sets those that are open.

    Raises
    ------
    StorageError
        When the model cannot be read.
    ConfigError
        For options that do not go together, or not with the model.
    """
    for option in fields(TrainConfig):
        if option.name in values:
            checked(option, values[option.name])
    own_images = values.get("data") is not None and values.get("dataset") is None
    under = read(values["init"]).options({**recipes.network(values), **values}, own_images)
    if {**recipes.chosen(values, under), **values}.get("stages", 1) > 1:
        under.pop("weights", None)  # the last stage has binary weights
    own = {name: under[name] for name in ("model_options",) if name in under}  # those that are given are among them
    return TrainConfig.from_dict({**values, **own}, under)
