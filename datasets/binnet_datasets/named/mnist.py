"""MNIST and Fashion-MNIST: four idx files in one folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..dataset import Dataset, Split
from ..errors import DataError
from .idx import read_idx

DIGIT_NAMES = tuple("0123456789")
FASHION_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_mnist(folder: Path) -> Dataset:
    """Load MNIST from a folder: see `load_idx_folder`."""
    return load_idx_folder(folder, "mnist", DIGIT_NAMES)


def load_fashion_mnist(folder: Path) -> Dataset:
    """Load Fashion-MNIST from a folder: see `load_idx_folder`."""
    return load_idx_folder(folder, "fashion-mnist", FASHION_NAMES)


def load_idx_folder(folder: Path, name: str, class_names: tuple[str, ...]) -> Dataset:
    """Load a data set from the four idx files in ``folder``.

    They are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the same with ``t10k``; each may have a dot
    for the second hyphen from the right (``train-images.idx3-ubyte``) and may end in ``.gz``.

    Returns
    -------
    Dataset of images uint8 (N, 28, 28, 1)

    Raises
    ------
    DataError
        When a file is missing or damaged, images are not 28 x 28, or labels do not fit the images or the classes.
    """
    if not folder.is_dir():
        came = "a file" if folder.exists() else "nothing"
        raise DataError(f"expected a folder with the idx files of {name} at {folder}, but there is {came}")
    num_classes = len(class_names)
    return Dataset(
        name, _load_split(folder, "train", num_classes), _load_split(folder, "t10k", num_classes), class_names
    )


def _load_split(folder: Path, prefix: str, num_classes: int) -> Split:
    """Load and check the images and labels of one split."""
    images_path = _find(folder, f"{prefix}-images", "idx3-ubyte")
    labels_path = _find(folder, f"{prefix}-labels", "idx1-ubyte")
    images, labels = read_idx(images_path, ndim=3), read_idx(labels_path, ndim=1)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or len(images) == 0:
        raise DataError(f"expected uint8 images (N, 28, 28) in {images_path}, but got {images.dtype} {images.shape}")
    if labels.dtype != np.uint8 or len(labels) != len(images):  # files of two data sets may be mixed
        raise DataError(
            f"expected {len(images)} uint8 labels in {labels_path}, one for each image, "
            f"but got {len(labels)} of {labels.dtype}"
        )
    if labels.max() >= num_classes:
        raise DataError(f"expected labels 0..{num_classes - 1} in {labels_path}, but got {labels.max()}")
    return Split(images[..., None], labels.astype(np.int64))


def _find(folder: Path, stem: str, suffix: str) -> Path:
    """Return the first of the usual names that is there."""
    # Copies on Kaggle have the dot.
    usual = [f"{stem}{joint}{suffix}{ending}" for joint in "-." for ending in ("", ".gz")]
    for name in usual:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"expected one of {', '.join(usual)} in {folder}, but found none of them")
