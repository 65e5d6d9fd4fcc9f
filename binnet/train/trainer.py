"""One training from beginning to end: data, run folder, training loop and packed model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import binnet_datasets

from ..console import Console
from ..engine.summary import summarise
from ..evaluation import loading
from ..evaluation.evaluate import evaluate, open_model
from ..profiler import Profile
from .builders import few_images
from .config import ConfigError, TrainConfig
from .loop import Training, TrainingError
from .origin import Origin
from .output import checkpoint, tensorboard
from .output.checkpoint import Begun
from .output.curves import Curves
from .output.run_folder import LAST, RunFolder
from .output.tensorboard import Board
from .throughput import fit_budget


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
        The run folder: ``config.toml, metrics.csv, health.csv, log.txt, last.h5, best.h5, packed.h5``,
        ``curves.png`` where matplotlib is installed, and a copy of the file of a network of one's own.
    resume
        Go on from ``last.h5``; the weights end up the same bits as if training had never stopped. With another number
        of epochs the schedule is that of a training of the new length, from the epochs that are done on.
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
        After Ctrl-C or SIGTERM, when the state is saved.
    OwnNetworkError
        When the file of a network of one's own cannot be run, does not build a network, or has changed on resume.
    ConfigError
        When ``tensorboard`` is asked for and not installed, or ``epochs`` are fewer than are done.
    DataError, StorageError
        When data cannot be read, or files not be written; when another training has the folder, or has begun there;
        when the images are not those that a resumed training was begun with.
    """
    if config.tensorboard:
        tensorboard.check()
    origin = Origin.of(config, Path(out) / LAST, resume)
    begun = origin.begun
    console = console or Console(quiet=True)
    how = {"options": config.build_options(origin.channels), "max_corrupt": config.max_corrupt}
    dataset = loading.load(config.dataset, config.data, console, **how)
    start = time.perf_counter()  # the time budget is for training, not for fetching data
    config = config.resolved(dataset.channels, dataset.image_size)
    if compiled_code_is_missing():
        console.say("compiling kernels (once): this takes about half a minute, until the first step is done")
    with RunFolder(Path(out)).held() as folder:
        training = Training(config, dataset, folder, console, origin)
        training.profile = profile
        if begun is not None:
            _resume(training, begun)
        else:
            folder.start(config, again=resume, own=origin.own)
        _introduce(training, begun is not None)
        progress = training.state.progress
        if begun is None:
            progress.total_steps = 0 if config.time_budget else progress.total_steps
            training.save(folder.last)  # a training that is stopped in its first epoch can go on as well
        if config.time_budget and not progress.total_steps:
            fit_budget(training, time.perf_counter() - start)
            training.save(folder.last)
        _add_reports(training)
        training.train()
        return _pack_best(training)


def _resume(training: Training, begun: Begun) -> None:
    """Go on where the checkpoint ends; with another number of epochs, to the end of a training of that length."""
    folder, config, whole = training.folder, training.config, training.state.progress.total_steps
    checkpoint.restore(folder.last, training.state, training.images)
    progress = training.state.progress
    if config.epochs != begun.config.epochs:
        if config.epochs < progress.epoch + (progress.batch > 0):
            raise ConfigError(f"--epochs must be at least the {progress.epoch} that are done, got {config.epochs}")
        progress.total_steps, progress.best_epoch = whole, progress.epoch  # patience counts from here on
    folder.resume(config, progress.epoch)


def compiled_code_is_missing() -> bool:
    """Whether the kernels have to be compiled first."""
    from binnet_kernels.simd import cache as kernel_cache  # brings Numba, which training needs anyway

    return kernel_cache.is_empty()


def _introduce(training: Training, resume: bool) -> None:
    """Say what is trained on what, with which options."""
    c, d, p = training.config, training.dataset, training.state.progress
    params = sum(p.data.size for p in training.state.network.parameters())
    spec = training.state.spec
    rows, columns = spec.image_size
    kind = ", ".join(word for word in (spec.binarize, f"{params:,} parameters") if word)
    training.say(
        f"{c.model} ({kind}) on {d.name}, {rows}x{columns} pixels: "
        f"{len(d.train):,} training images, {len(d.test):,} for validation; run folder {training.folder.path}"
    )
    said = {"dataset", "data", "model", "binarize"} | ({"epochs"} if c.time_budget else set())
    changed = [f"{name} {_shown(value)}" for name, value in c.changed().items() if name not in said]
    training.say(f"options: {', '.join(changed) if changed else 'the defaults'}")
    if c.data is None or binnet_datasets.is_store(c.data):  # a folder of images has been described when it was read
        for note in few_images(d):
            training.say(note)
    if training.state.start is not None:
        training.say(training.state.start.sentence())
    if training.frozen:
        learning = sum(p.data.size for p in training.state.optimizer.params)
        training.say(f"frozen up to {c.freeze_until}: {learning:,} of {params:,} parameters learn")
    if not c.lr:
        training.say("warning: with a learning rate of 0 no weight will change")
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
    best = open_model(folder.best, training.origin.own)
    expected = evaluate(best.logits, test, best.info, image_size=best.image_size)
    scores = evaluate(best.packed, test, best.info, image_size=best.image_size)
    differing = int((scores.predictions != expected.predictions).sum())
    if differing:
        raise TrainingError(
            f"the packed model predicts {differing} of {scores.n} images differently; it was not written"
        )
    best.packed.save(folder.packed)
    summary = summarise(best.packed)
    sizes = (summary.float32_bytes, summary.file_bytes)
    result = Result(str(folder.path), scores.top1, scores.top5, scores.n, *sizes, training.state.progress.seconds)
    folder.log(f"packed: top1 {result.top1:.4f}, {result.packed_bytes} bytes, {result.factor:.1f} times smaller")
    return result


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(f"{v:.4g}" for v in value) if isinstance(value, list) else str(value)
