"""Loading of data sets for the commands, with progress shown during downloads and builds."""

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
    """Load a data set with `binnet_datasets.load`, and show progress on the console."""
    with images_done(console) as building:
        return binnet_datasets.load(
            name, data, progress=_downloading(console), building=building, notes=console.say, **how
        )


@dataclass(frozen=True)
class Source:
    """The data that the options of a command select.

    Attributes
    ----------
    name : str or None
        Name of a data set.
    data : str or None
        Path of the data set's files; without a name, an image store, or a folder or archive of images.
    split : str
        The images of ``data`` to use, one of ``binnet_datasets.sources.choice.SPLITS``.
    labels : str or None
        CSV file with the class of each image of ``data``.
    layout : str or None
        The meaning of the folders of ``data``, see :class:`binnet_datasets.BuildOptions`.
    """

    name: str | None = None
    data: str | None = None
    split: str = "auto"
    labels: str | None = None
    layout: str | None = None


def load_for(model: Model, file: object, source: Source, console: Console) -> Dataset:
    """Load the data that a command selects, by default the model's own data set; the result's ``test`` is to be used.

    Raises
    ------
    DataError
        When the data set is unknown, or its images have other channels than the model, or as arrays another size.
    """
    name, data = source.name, source.data
    if name is None and (data is None or not (source.labels or binnet_datasets.holds_images(data))):
        name = _trained_on(model, file, data)
    if name is not None and (source.split not in ("auto", "test") or source.labels):
        raise DataError(f"--split and --labels are for your own images; {name} has its own test images")
    if name and data and source.name is None:
        dataset = _files_of(name, data, file, console)
    else:
        dataset = load(name, data, console) if name or data is None else _own_images(model, data, source, console)
    _check(model, dataset)
    return dataset


def _files_of(name: str, data: str, file: object, console: Console) -> Dataset:
    """The model's own data set, read from ``data`` because that holds no images of its own."""
    try:
        return load(name, data, console)
    except DataError as error:
        if not Path(data).exists():
            raise
        why = f"{data} holds no images, so it was read as {name}, which {file} was trained on"
        raise DataError(f"{error}; {why}") from error


def _own_images(model: Model, data: str, source: Source, console: Console) -> Dataset:
    """A part of a store, or the images of a folder or archive, stored in the same form as the training images."""
    members, layout = None, source.layout
    if source.labels is not None:
        if binnet_datasets.is_store(data):
            raise DataError(f"--labels is for folders and archives of images, but {data} is a store")
        if source.split not in ("auto", "all"):
            raise DataError(f"--labels names the images to evaluate on, so that --split {source.split} says nothing")
        members, notes = labelled_members(data, source.labels)
        layout = "classes"  # the form of labelled_members; folders such as "train" must not be taken for splits
        for note in notes:
            console.say(note)
    options = BuildOptions(model.info.preprocessing.stored_size, model.in_channels, layout=layout)
    split = "all" if source.labels else source.split
    with images_done(console) as building:
        return binnet_datasets.load_evaluation(
            data, split, options=options, building=building, notes=console.say, members=members
        )


def _trained_on(model: Model, file: object, data: str | None) -> str | None:
    """Name of the model's data set; None when ``data`` alone determines the images."""
    name, known = model.info.dataset, binnet_datasets.names()
    # "digits" has no files that a path could name. The path, in which no images were found, is reported instead.
    if name in known and not (data and name == "digits"):
        return name
    if data is not None:
        return None
    if not name:
        raise DataError(f"{file} does not say what it was trained on; name the data with --dataset or --data")
    raise DataError(f"{file} was trained on images of {name}; say where a store or folder of them is with --data")


def _check(model: Model, dataset: Dataset) -> None:
    """Raise DataError unless the images have the model's channels and, as arrays, its size; others are cropped."""
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
    """Context manager with a callback (done, total) that shows a bar, or without a terminal a line every 10 s.

    The bar appears at the first call, so that nothing is shown when nothing has to be built.
    """
    with ExitStack() as stack:
        bar: list[Advance] = []
        begun = shown = time.monotonic()
        before, first = 0, 0

        def report(done: int, total: int) -> None:
            nonlocal shown, before, begun, first
            if not bar:
                bar.append(stack.enter_context(console.progress(total)))
                begun, first = time.monotonic(), done  # a resumed build must not count earlier images in its rate
            bar[0](done - before, "")
            before = done
            now = time.monotonic()
            if now - shown > _EVERY and not sys.stdout.isatty():
                shown, rate = now, (done - first) / max(now - begun, 1e-3)
                left = f", {_minutes((total - done) / rate)} left" if rate else ""
                console.say(f"{done:,} of {total:,} images, {rate:,.0f} images/s{left}")

        yield report


def _minutes(seconds: float) -> str:
    """A duration in words, in seconds up to 100 s and in minutes above."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _downloading(console: Console) -> Callable[[int, int | None], None]:
    """The callback (bytes so far, bytes in all or None) that prints a line for every 10 MB of a download."""
    reported = 0

    def report(done: int, total: int | None) -> None:
        nonlocal reported
        if done // 10_000_000 > reported:
            console.say(f"downloaded {done / 1e6:.0f} MB" + (f" of {total / 1e6:.0f}" if total else ""))
        reported = done // 10_000_000

    return report
