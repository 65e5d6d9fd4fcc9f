"""Training: Algorithm 1 of the paper over epochs, into a run folder. ``python -m binnet.train`` is ``binnet train``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import checkpoint, loading, packed, tensorboard
from .config import TrainConfig
from .console import Console
from .curves import Curves
from .evaluate import evaluate, open_model
from .loop import Training, TrainingError, TrainingInterruptedError
from .pace import fit_budget
from .profiler import Profile
from .run_folder import RunFolder
from .tensorboard import Board


@dataclass(frozen=True)
class Result:
    """What a training came to.

    Attributes
    ----------
    out : str
        The run folder.
    top1, top5, n
        Of the best epoch, on the validation images.
    float32_bytes, packed_bytes : int
        The parameters at four bytes each, and the packed file.
    seconds : float
        Spent on training and validation, compilation included.
    """

    out: str
    top1: float
    top5: float
    n: int
    float32_bytes: int
    packed_bytes: int
    seconds: float

    @property
    def factor(self) -> float:
        """How many times smaller the packed file is."""
        return self.float32_bytes / self.packed_bytes


def fit(
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    profile: Profile | None = None,
) -> Result:
    """Train a network, keep the best one and pack it.

    Parameters
    ----------
    config
        What to do. With ``resume`` it must be the configuration of the run in ``out``.
    out
        The run folder: ``config.toml, metrics.csv, health.csv, log.txt, last.h5, best.h5, packed.h5``, and
        ``curves.png`` where matplotlib is installed.
    resume
        Go on from ``last.h5``; the weights end up the same bits as if training had never stopped.
    console
        Where to report; quiet when not given.
    profile
        Watches some of the first steps.

    Returns
    -------
    Result

    Raises
    ------
    TrainingError
        When the loss diverges or is no longer finite, or the packed model does not predict as the unpacked one.
    TrainingInterruptedError
        After Ctrl-C, when the state is saved.
    ConfigError
        When ``tensorboard`` is asked for and not installed.
    DataError, StorageError
        When data cannot be read, or files not be written.
    """
    if config.tensorboard:
        tensorboard.check()
    console = console or Console(quiet=True)
    dataset = loading.load(config.dataset, config.data, console)
    start = time.perf_counter()  # the time budget is for training, not for fetching data
    config = config.resolved(dataset.channels, dataset.image_size)
    folder = RunFolder(Path(out))
    training = Training(config, dataset, folder, console)
    training.profile = profile
    if resume:
        checkpoint.restore(folder.last, training.state)
        folder.resume(training.state.progress.epoch)
    else:
        folder.start(config)
    _introduce(training, resume)
    if not resume:
        if config.time_budget is not None:
            fit_budget(training, time.perf_counter() - start)
        training.save(folder.last)  # a training that is stopped in its first epoch can go on as well
    _add_reports(training)
    training.train()
    return _pack_best(training)


def _introduce(training: Training, resume: bool) -> None:
    """Say what is trained on what, with which options."""
    c, d, p = training.config, training.dataset, training.state.progress
    params = sum(p.data.size for p in training.state.network.parameters())
    rows, columns = training.state.network.spec.image_size
    training.say(
        f"{c.model} ({c.binarize}, {params:,} parameters) on {d.name}, {rows}x{columns} pixels: "
        f"{len(d.train):,} training images, {len(d.test):,} for validation; run folder {training.folder.path}"
    )
    said = {"dataset", "data", "model", "binarize"} | ({"epochs"} if c.time_budget else set())
    changed = [f"{name} {_shown(value)}" for name, value in c.changed().items() if name not in said]
    training.say(f"options: {', '.join(changed) if changed else 'the defaults'}")
    if resume:
        training.say(f"resuming after {p.epoch} epochs and {p.batch} batches")


def _add_reports(training: Training) -> None:
    """Curves and TensorBoard, as far as there are any."""
    folder = training.folder
    if Curves.available():
        training.reports.append(Curves(folder))
    else:
        training.say("no curves.png without matplotlib: python -m pip install 'binnet[plot]'")
    if training.config.tensorboard:
        training.reports.append(Board(folder.tensorboard, training.state.progress.epoch))


def _pack_best(training: Training) -> Result:
    """Pack the best network, and refuse to when that changes a prediction."""
    folder, test = training.folder, training.dataset.test
    best = open_model(folder.best)
    expected = evaluate(best.logits, test, best.info, image_size=best.spec.image_size)
    scores = evaluate(best.packed, test, best.info, image_size=best.spec.image_size)
    differing = int((scores.predictions != expected.predictions).sum())
    if differing:
        raise TrainingError(
            f"the packed model predicts {differing} of {scores.n} images differently; it was not written"
        )
    best.packed.save(folder.packed)
    summary = packed.summarise(best.packed)
    sizes = (summary.float32_bytes, summary.file_bytes)
    result = Result(str(folder.path), scores.top1, scores.top5, scores.n, *sizes, training.state.progress.seconds)
    folder.log(f"packed: top1 {result.top1:.4f}, {result.packed_bytes} bytes, {result.factor:.1f} times smaller")
    return result


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(f"{v:.4g}" for v in value) if isinstance(value, list) else str(value)


__all__ = ["Result", "TrainingError", "TrainingInterruptedError", "fit"]

if __name__ == "__main__":
    import sys

    from .cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
