"""Data sets for commands: opened with a sign of life while something is downloaded or built."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import binnet_datasets
from binnet_datasets import BuildOptions, DataError, Dataset

from ..console import Advance, Console
from .label_table import labelled_members

if TYPE_CHECKING:
    from .evaluate import Model

_EVERY = 10.0  # seconds between lines where there is no terminal for a bar


def load(name: str | None, data: str | Path | None, console: Console, **how: Any) -> Dataset:
    """Load a data set as `binnet_datasets.load` does, and show on the console what it waits for."""
    with images_done(console) as building:
        return binnet_datasets.load(
            name, data, progress=_downloading(console), building=building, notes=console.say, **how
        )


@dataclass(frozen=True)
class Source:
    """Which data a command names.

    Attributes
    ----------
    name : str or None
        A data set by name.
    data : str or None
        Where its files are; without a name, an image store, or a folder or archive of images.
    split : str
        Which images of ``data``: one of ``binnet_datasets.sources.choice.SPLITS``.
    labels : str or None
        CSV file that says of which class each image of ``data`` is.
    layout : str or None
        How the folders of ``data`` are read, see :class:`binnet_datasets.BuildOptions`.
    """

    name: str | None = None
    data: str | None = None
    split: str = "auto"
    labels: str | None = None
    layout: str | None = None


def load_for(model: Model, file: object, source: Source, console: Console) -> Dataset:
    """Load the data that a command names, or else those that the model was trained on; ``test`` is what is asked for.

    Raises
    ------
    DataError
        When nothing says which they are, or they do not fit the model's channels, or as arrays its size.
    """
    name, data = source.name, source.data
    if name is None and (data is None or not (source.labels or binnet_datasets.holds_images(data))):
        name = _trained_on(model, file, data)
    if name is not None and (source.split not in ("auto", "test") or source.labels):
        raise DataError(f"--split and --labels are for images of one's own; {name} has its own test images")
    dataset = load(name, data, console) if name or data is None else _own_images(model, data, source, console)
    _check(model, dataset)
    return dataset


def _own_images(model: Model, data: str, source: Source, console: Console) -> Dataset:
    """A part of a store, or the images of a folder or archive, stored as the model's training images were."""
    members, layout = None, source.layout
    if source.labels is not None:
        if binnet_datasets.is_store(data):
            raise DataError(f"--labels is for folders and archives of images, but {data} is a store")
        if source.split not in ("auto", "all"):
            raise DataError(f"--labels names the images to evaluate on, so that --split {source.split} says nothing")
        members, notes = labelled_members(data, source.labels)
        layout = "classes"
        for note in notes:
            console.say(note)
    options = BuildOptions(model.info.preprocessing.stored_size, model.in_channels, layout=layout)
    split = "all" if source.labels else source.split
    with images_done(console) as building:
        return binnet_datasets.load_evaluation(
            data, split, options=options, building=building, notes=console.say, members=members
        )


def _trained_on(model: Model, file: object, data: str | None) -> str | None:
    """Name of the model's data set; None when ``data`` has to say all."""
    name, known = model.info.dataset, binnet_datasets.names()
    if name in known and not (data and name == "digits"):
        return name
    if data is not None:
        return None
    if not name:
        raise DataError(f"{file} does not say what it was trained on; name the data with --dataset or --data")
    raise DataError(f"{file} was trained on images of {name}; say where a store or folder of them is with --data")


def _check(model: Model, dataset: Dataset) -> None:
    """DataError unless the images have the model's channels and, as arrays, its size; others are cut to it."""
    channels = dataset.test.channels
    ours, theirs = f"images of {model.in_channels} channels", f"{channels}"
    if isinstance(dataset.test.images, np.ndarray):
        ours = "{}x{}x{} images".format(*model.image_size, model.in_channels)
        theirs = "{}x{}x{}".format(*dataset.test.images.shape[1:])
        fits = dataset.test.images.shape[1:] == (*model.image_size, model.in_channels)
    else:
        fits = channels == model.in_channels
    if not fits:
        raise DataError(f"the model takes {ours}, but {dataset.name} has {theirs}")


@contextmanager
def images_done(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar of images with rate and time left, or lines from time to time; appears at the first call (done, total)."""
    with ExitStack() as stack:
        bar: list[Advance] = []
        begun = shown = time.monotonic()
        before, first = 0, 0

        def report(done: int, total: int) -> None:
            nonlocal shown, before, begun, first
            if not bar:
                bar.append(stack.enter_context(console.progress(total)))
                begun, first = time.monotonic(), done
            bar[0](done - before, "")
            before = done
            now = time.monotonic()
            if now - shown > _EVERY and not sys.stdout.isatty():
                shown, rate = now, (done - first) / max(now - begun, 1e-3)
                left = f", {_minutes((total - done) / rate)} left" if rate else ""
                console.say(f"{done:,} of {total:,} images, {rate:,.0f} images/s{left}")

        yield report


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _downloading(console: Console) -> Callable[[int, int | None], None]:
    """Report a download in lines, at most one for every 10 MB."""
    reported = 0

    def report(done: int, total: int | None) -> None:
        nonlocal reported
        if done // 10_000_000 > reported:
            console.say(f"downloaded {done / 1e6:.0f} MB" + (f" of {total / 1e6:.0f}" if total else ""))
        reported = done // 10_000_000

    return report
