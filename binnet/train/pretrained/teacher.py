"""A teacher: a trained model whose scores another network learns (knowledge distillation, arXiv:1503.02531)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from binnet_datasets import DataError, Dataset
from binnet_kernels.checks import Float

from ...engine import PackedModel
from ...evaluation.evaluate import logits_of, open_model
from ...evaluation.matching import labels_by_class
from ...modelfile import StorageError
from ...modelfile.info import DataInfo
from ...models.own_network import OwnNetworkError
from ..config import ConfigError

TEACHER = "teacher.h5"  # in the run folder


@dataclass(frozen=True)
class Teacher:
    """A trained model that never learns.

    Attributes
    ----------
    file : str
        Path or name as the user gave it.
    model : PackedModel
        The model; a checkpoint is packed on reading, so that a training and its continuation run the same engine.
    """

    file: str
    model: PackedModel

    @classmethod
    def read(cls, file: str | Path) -> Teacher:
        """Read a teacher.

        Parameters
        ----------
        file
            Path of a checkpoint or packed model, run folder, whose ``packed.h5`` is read, or the name of a model that
            comes with binnet.

        Raises
        ------
        StorageError
            When the file cannot be read or is damaged, or is a checkpoint of a custom network, which only a Python file
            can build.
        ValueError
            When the model does not say how images are normalised, or does not give one score a class.
        """
        try:
            model = open_model(file)
        except OwnNetworkError as error:
            raise StorageError(
                f"{file} holds a custom network, and the code in a file is never run: give --teacher its packed model, "
                "such as packed.h5 of its run folder"
            ) from error
        model.require_classifier(file)
        return cls(str(file), model.packed)

    def fitted(self, dataset: Dataset, info: DataInfo, image_size: tuple[int, int]) -> Callable[[Float], Float]:
        """The teacher's logits in the order of the data's classes, for images as a training normalises them.

        The images may be mixtures (mixup). A model that reads pixels takes the nearest ones.

        Parameters
        ----------
        dataset
            Its classes must be those of the teacher by name, in any order.
        info
            The normalisation of the images. Where the teacher has another, they are converted in float64, and rounded
            once.
        image_size
            Rows and columns of the images. They must be those that the teacher was trained on, as in evaluation.

        Returns
        -------
        function of float32 (N, H, W, C) to float32 (N, num_classes)

        Raises
        ------
        ConfigError
            When classes, image size or channels are not those of the teacher.
        """
        model, order = self.model, self._order(dataset)
        if model.input_shape != (*image_size, dataset.channels):
            raise ConfigError(
                f"the teacher {self.file} takes images of {_shape(model.input_shape)}, but this training has "
                f"{_shape((*image_size, dataset.channels))}; --image-size sets the size of images of your own"
            )
        logits = logits_of(model, model)
        convert = _conversion(info, model.info)
        return lambda images: logits(convert(images))[:, order]

    def _order(self, dataset: Dataset) -> npt.NDArray[np.int64]:
        """The teacher's number of each class of the data, int64 (num_classes,)."""
        if not self.model.info.class_names:
            raise ConfigError(
                f"the teacher {self.file} does not say what its classes are called: "
                "give binnet.pack its class_names, in the order of its scores"
            )
        count = self.model.num_classes
        try:
            order, _ = labels_by_class(self.model.info, count, dataset)
        except DataError as error:
            raise ConfigError(f"the teacher {self.file} has other classes: {error}") from error
        known = set(order.tolist()) - {-1}
        for number, name in enumerate(dataset.class_names):
            if order[number] < 0:
                raise ConfigError(f"the teacher {self.file} was not trained on the class {name} of {dataset.name}")
        for label in range(count):
            if label not in known:
                name = self.model.info.class_name(label)
                raise ConfigError(f"the teacher {self.file} has the class {name}, which {dataset.name} does not have")
        if len(order) != count:
            raise ConfigError(f"two classes of {dataset.name} are one of the teacher {self.file}")
        return order


def _conversion(info: DataInfo, teacher: DataInfo) -> Callable[[Float], Float]:
    """A function from images normalised by ``info`` to the same images as the teacher normalises them."""
    if info.normalisation() == teacher.normalisation():
        return lambda images: images
    (mean, std), (own_mean, own_std) = (np.array(each.normalisation(), np.float64) for each in (info, teacher))
    scale, shift = std / own_std, (mean - own_mean) / own_std
    return lambda images: (images * scale + shift).astype(np.float32)


def _shape(shape: tuple[int, ...]) -> str:
    rows, columns, channels = shape
    return f"{rows}x{columns} pixels and {channels} channel{'s' * (channels != 1)}"
