"""Data sets for commands: opened with a sign of life while something is downloaded or built."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import binnet_datasets
from binnet_datasets import DataError, Dataset

from .console import Advance, Console

if TYPE_CHECKING:
    from .evaluate import Model

_EVERY = 10.0  # seconds between lines where there is no terminal for a bar


def load(name: str | None, data: str | Path | None, console: Console, **how: Any) -> Dataset:
    """Load a data set as `binnet_datasets.load` does, and show on the console what it waits for."""
    with images_done(console) as building:
        return binnet_datasets.load(
            name, data, progress=_downloading(console), building=building, notes=console.say, **how
        )


def load_for(model: Model, file: object, name: str | None, data: str | None, console: Console) -> Dataset:
    """Load the data that a command names, or else those that the model was trained on.

    Raises
    ------
    DataError
        When nothing says which they are, or they do not fit the model's channels and classes, or as arrays its size.
    """
    if name is None and (data is None or not binnet_datasets.holds_images(data)):
        name = _trained_on(model, file, data)
    dataset = load(name, data, console)
    _check(model, dataset)
    if model.info.class_names and model.info.class_names != dataset.class_names:
        console.say(f"note: the classes of {dataset.name} are not called as those that the model was trained on")
    return dataset


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
    spec, test = model.spec, dataset.test
    ours, theirs = (f"{n} channels and {k} classes" for n, k in ((spec.in_channels, spec.num_classes), _shape(dataset)))
    if isinstance(test.images, np.ndarray):  # others are cut to the size of the model
        ours = "{}x{}x{} images of {} classes".format(*spec.image_size, spec.in_channels, spec.num_classes)
        theirs = "{}x{}x{} images of {} classes".format(*dataset.image_size, *_shape(dataset))
    if ours != theirs:
        raise DataError(f"the model takes {ours}, but {dataset.name} has {theirs}")


def _shape(dataset: Dataset) -> tuple[int, int]:
    return dataset.channels, dataset.num_classes


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
