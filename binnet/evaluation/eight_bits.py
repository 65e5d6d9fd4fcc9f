"""A model with its real layers in eight bits, calibrated on training images and compared on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from binnet_datasets import DataError, Dataset, Loader, Split
from binnet_datasets.subset import choose

from ..console import Console
from ..engine.preprocessing import view_of
from ..graph.graph import Float
from ..quantise import Calibration, Quantised, quantise
from .evaluate import Scores, evaluate
from .loading import Source, load_for
from .matching import match

if TYPE_CHECKING:
    from .evaluate import Model

_BATCH = 32


@dataclass(frozen=True)
class Comparison:
    """A model in eight bits, and the accuracy before and after.

    Attributes
    ----------
    quantised : Quantised
    dataset : str
        Name of the data set.
    before, after : Scores
        Of the real model and of that in eight bits, on the same images.
    """

    quantised: Quantised
    dataset: str
    before: Scores
    after: Scores

    @property
    def drop(self) -> float:
        """How much lower top-1 is in eight bits, in percentage points; negative where it is higher."""
        # Of counts, so that equal counts give exactly 0.
        right = [round(scores.top1 * scores.n) for scores in (self.before, self.after)]
        return 100 * (right[0] - right[1]) / self.before.n


def compare_in_eight_bits(
    model: Model, file: object, source: Source, count: int, keep: Sequence[str], console: Console
) -> Comparison:
    """Quantise a model with training images, and measure its accuracy before and after on test images.

    Parameters
    ----------
    model
        A classifier; its packed model is quantised.
    file
        What messages call the model.
    source
        Data set, store, or folder or archive of images. Training images are those of its split "train".
    count
        Number of training images, at least 1; drawn at random, the same ones each time.
    keep
        Names of layers that stay real.
    console
        Progress, and notes about images.

    Raises
    ------
    ValueError, DataError
        When an option is out of range, the images cannot be used, or the model cannot be quantised.
    """
    if count < 1:
        raise ValueError(f"calibration needs at least one image, got {count}")
    model.require_classifier(file)
    dataset = load_for(model, file, source, console)
    calibrated_on = _training_images(model, file, dataset, source, console)
    matched = match(model.info, model.num_classes, dataset, include_trained=False)
    for sentence in matched.sentences():
        console.say(sentence)
    quantised = quantise(model.packed, Calibration(_drawn(model, calibrated_on, count), keep))
    scores = []
    with console.progress(2 * len(matched.split)) as advance:
        for packed in (model.packed, quantised.model):
            scores.append(
                evaluate(
                    packed,
                    matched.split,
                    model.info,
                    tick=lambda n: advance(n, dataset.name),
                    image_size=model.image_size,
                )
            )
    return Comparison(quantised, dataset.name, *scores)


def _training_images(model: Model, file: object, dataset: Dataset, source: Source, console: Console) -> Split:
    """The training images that belong to the test images of a source; the latter where there are no others."""
    if len(dataset.train):
        return dataset.train
    try:
        return load_for(model, file, replace(source, split="train"), console).test
    except DataError:
        console.say(f"{dataset.name} has no training images; calibrating on the images of the comparison")
        return dataset.test


def _drawn(model: Model, split: Split, count: int) -> Float:
    """Normalised images of a split, drawn at random without repetition."""
    chosen = np.random.default_rng(0).permutation(len(split))[:count]
    part = choose(split, np.sort(chosen))
    mean, std = model.info.normalisation()
    loader = Loader(part, _BATCH, mean=mean, std=std, view=view_of(model.info, part, model.image_size))
    return np.concatenate([images for images, _ in loader.epoch()])
