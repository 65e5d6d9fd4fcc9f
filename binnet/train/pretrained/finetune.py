"""Fine-tuning: initialise a network from a trained model with all arrays that fit by name and shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from binnet_datasets import DataError, Dataset

from ... import engine, models
from ...evaluation.evaluate import model_file
from ...evaluation.matching import labels_by_class
from ...modelfile import CHECKPOINT, PACKED, StorageError, container
from ...modelfile.info import DataInfo
from ...models import ModelSpec
from ...models.own_network import is_own
from ...nn import BatchNorm, Module, Parameter
from ...nn.options import BINARY_INPUTS, CHOICES
from ..config import ConfigError, TrainConfig
from ..options import recipes
from .unpacking import stored, unpacked

Array = npt.NDArray[Any]
_SHOWN = 8  # maximum number of array names in a message


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
        Specification of its network; None when the file has none.
    channels : int
        Number of channels of its images.
    info : DataInfo
        Class names, normalisation and preprocessing of its data.
    arrays : dict of str to array
        State of the network of a checkpoint, or :meth:`binnet.PackedModel.arrays` of a packed model, by name.
    """

    file: str
    kind: str
    spec: ModelSpec | None
    channels: int
    info: DataInfo
    arrays: dict[str, Array]

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
        if spec is None and model is not None:
            return {}
        if spec is None or (spec.source is not None and model is None):
            raise ConfigError(
                f"{self.file} is not of a network that comes with binnet: "
                "name the Python file that builds it with --model FILE:FUNCTION"
            )
        rows, columns = spec.image_size
        found: dict[str, Any] = {"image_size": rows} if own_images and rows == columns else {}
        if model in (None, spec.name) or (is_own(model) and spec.source is not None):
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


@dataclass(frozen=True)
class Start:
    """Record of a network's initialisation, stored in checkpoints so that resuming does not need the model file.

    Attributes
    ----------
    file, kind : str
        Those of the :class:`Pretrained` model.
    taken, new : tuple of str
        Names of the network's arrays that came from the file, and of those with fresh values.
    mean, std : tuple of float, or None
        Normalisation of the pretrained model, which the training keeps because its first layer was trained on it. None
        when the file has none or is for another number of channels.
    """

    file: str
    kind: str
    taken: tuple[str, ...]
    new: tuple[str, ...]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Start:
        """The inverse of :meth:`to_dict`; TypeError or KeyError when the fields are not the right ones."""
        names = {key: tuple(map(str, values[key])) for key in ("taken", "new")}
        mean, std = (None if values[key] is None else tuple(map(float, values[key])) for key in ("mean", "std"))
        return cls(str(values["file"]), str(values["kind"]), **names, mean=mean, std=std)

    def sentence(self) -> str:
        """A sentence for the log: which arrays were taken and which are new."""
        arrays = len(self.taken) + len(self.new)
        new = f"new: {_some(self.new)}" if self.new else "nothing is new"
        return f"from {self.file} ({self.kind}): {len(self.taken)} of {arrays} arrays; {new}"


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
        # A packed model built by a Python file records that file's hash; its network has no named specification.
        spec = ModelSpec.from_dict(built) if built and "sha256" not in built else None
        return Pretrained(str(file), PACKED, spec, model.in_channels, model.info, model.arrays())
    try:
        spec = ModelSpec.from_dict(description["model"])
        info = DataInfo.from_dict(description["data"], arrays.get("trained_on"))
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} is damaged: {error}") from error
    prefix = "network."
    state = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
    return Pretrained(str(file), CHECKPOINT, spec, spec.in_channels, info, state)


def configured(values: Mapping[str, Any]) -> TrainConfig:
    """The configuration of a training with an ``init`` among its options, whose model sets those that are open.

    Raises
    ------
    StorageError
        When the model cannot be read.
    ConfigError
        For options that do not go together, or not with the model.
    """
    own_images = values.get("data") is not None and values.get("dataset") is None
    under = read(values["init"]).options({**recipes.network(values), **values}, own_images)
    own = {name: under[name] for name in ("model_options",) if name in under}  # those that are given are among them
    return TrainConfig.from_dict({**values, **own}, under)


def begin(network: Module, pretrained: Pretrained, dataset: Dataset) -> Start:
    """Copy the arrays that fit by name and shape into a network that is to be trained on a data set.

    The classifier, which is the last layer with a matrix of weights and what follows it, stays fresh where the classes
    have other names and identifiers; where the same classes are in another order, so are its rows. Normalisations stay
    fresh in a network with real inputs that begins with a packed one with binary inputs: their factors are for sums of
    signs, and the packed model does not have the variances that would tell those for other sums. Random states of
    layers, such as dropout, are not taken.

    Parameters
    ----------
    network
        The network that is changed.
    pretrained
        The model with the arrays.
    dataset
        The data to train on: its classes and channels.

    Returns
    -------
    Start
        Names of the arrays that were taken and of new ones, and the model's normalisation where it fits the channels.

    Raises
    ------
    StorageError
        When no array fits, or one that does is not finite.
    """
    order, of_classes = _order(pretrained.info, dataset), classifier(network)
    taken, new, misfits = {}, [], []
    for name, own, value in _candidates(network, pretrained):
        if value is None or value.shape != own.shape:
            misfits.append(_misfit(name, own, value))
            new.append(name)
        elif name in of_classes and order is None:
            new.append(name)
        else:
            if not np.isfinite(value).all():
                raise StorageError(f"{pretrained.file} is damaged: {name} has values that are not finite")
            taken[name] = value[order] if name in of_classes and len(value) == dataset.num_classes else value
    if not taken:
        reason = misfits[0] if misfits else "it has a classifier alone, and the classes are others"
        raise StorageError(f"no array of {pretrained.file} fits this network by name and shape: {reason}")
    network.load_state_dict(taken, strict=False)
    mean, std = pretrained.info.mean, pretrained.info.std
    fits = mean is not None and len(mean) in (1, dataset.channels)
    return Start(
        pretrained.file, pretrained.kind, tuple(taken), tuple(new), mean if fits else None, std if fits else None
    )


def _order(info: DataInfo, dataset: Dataset) -> Any:
    """The model's label of each class of the data: what orders the classifier's rows; None where classes differ."""
    count = len(info.class_names)
    if not count:
        return slice(None)
    try:
        labels, _ = labels_by_class(info, count, dataset)
    except DataError:
        return None
    return labels if sorted(labels.tolist()) == [*range(count)] else None


def _misfit(name: str, own: Array, value: Array | None) -> str:
    there = "has none" if value is None else f"has one of shape {value.shape}"
    return f"the network's {name} has shape {own.shape}, and the model {there}"


def classifier(network: Module) -> set[str]:
    """Names of the arrays of the classifier: the last layer with a weight of at least two axes and all later layers."""
    layers: list[set[str]] = []
    for path, module in network.named_modules():
        own = {f"{path}.{name}".lstrip("."): array for name, array in _arrays(module).items()}
        if any(array.ndim >= 2 for array in own.values()):
            layers = []  # a later layer with a weight matrix: what came before is not the classifier
        layers.append(set(own))
    return set().union(*layers)


def freeze(network: Module, until: str) -> list[Module]:
    """Freeze all layers up to and including one, in the network's order.

    Parameters
    ----------
    network
        The parameters of its frozen layers get ``requires_grad = False``.
    until
        Path of the last frozen layer or block, such as ``block2`` or ``block2.conv``.

    Returns
    -------
    list of Module
        The frozen layers, which must stay in evaluation mode.

    Raises
    ------
    ConfigError
        When there is no such layer, with a list of the layers, or when no parameter is left to learn.
    """
    modules = [(path, module) for path, module in network.named_modules() if path]
    inside = [i for i, (path, _) in enumerate(modules) if f"{path}.".startswith(f"{until}.")]
    if not inside:
        known = ", ".join(name for name, child in network.children() if child.parameters())
        raise ConfigError(f"unknown layer {until!r} in --freeze-until; there are: {known}, and the layers inside them")
    later = [path for path, _ in modules[inside[-1] + 1 :]]
    # A container around both frozen and learning layers is not frozen itself.
    before = modules[: inside[-1] + 1]
    frozen = [module for path, module in before if not any(p.startswith(f"{path}.") for p in later)]
    for module in frozen:
        for value in vars(module).values():
            if isinstance(value, Parameter):
                value.requires_grad = False
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError(f"--freeze-until {until} leaves nothing to learn")
    return frozen


def _candidates(network: Module, pretrained: Pretrained) -> Iterator[tuple[str, Array, Array | None]]:
    """Yield the name of each real array of a network, the array, and the pretrained one of this name or None."""
    state, skipped = network.state_dict(), _loses_signs(network, pretrained)
    for path, module in network.named_modules():
        prefix = f"{path}." if path else ""
        for name, own in _arrays(module).items():
            if prefix + name not in state:  # another name of a shared parameter
                continue
            find = unpacked if pretrained.kind == PACKED else stored
            is_skipped = skipped and isinstance(module, BatchNorm)
            yield prefix + name, own, None if is_skipped else find(pretrained.arrays, prefix, name, module)


def _loses_signs(network: Module, pretrained: Pretrained) -> bool:
    """Whether the model is packed and has binary inputs, and the network has real ones."""
    before, now = pretrained.spec, getattr(network, "spec", None)
    if pretrained.kind != PACKED or before is None or not isinstance(now, ModelSpec):
        return False
    return before.binarize in BINARY_INPUTS and now.binarize not in BINARY_INPUTS


def _arrays(module: Module) -> dict[str, Array]:
    """The parameters and floating-point buffers of a module itself, without those of its submodules, by name."""
    found = {name: value.array for name, value in vars(module).items() if isinstance(value, Parameter)}
    buffers = {name: getattr(module, name) for name in module.buffer_names}
    return found | {name: array for name, array in buffers.items() if array.dtype.kind == "f"}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
