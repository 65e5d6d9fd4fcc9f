"""A complete training run: data, run folder, training loop and packed model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import binnet_datasets

from ..console import Console
from ..engine.summary import summarise
from ..evaluation import loading
from ..evaluation.evaluate import evaluate, open_model
from ..modelfile import CHECKPOINT, container
from ..models.own_network import is_own
from ..nn import BatchNorm
from ..parallel.agreement import machine_facts, require_same
from ..parallel.communicator import Communicator
from ..parallel.workers import Workers
from ..profiler import Profile
from .builders import few_images
from .config import ConfigError, TrainConfig
from .divergence import TrainingError
from .loop import Training
from .origin import Origin
from .output import checkpoint, tensorboard
from .output.checkpoint import Begun
from .output.curves import Curves
from .output.image_record import ImageRecord
from .output.run_folder import LAST, RunFolder
from .output.tensorboard import Board
from .throughput import fit_budget

_FOLLOWED = 50  # steps after which running statistics are those of the images, with a momentum of 0.1


@dataclass(frozen=True)
class Result:
    """Result of a training.

    Attributes
    ----------
    out : str
        Path of the run folder.
    top1, top5 : float
        Validation accuracies of the best epoch, as shares in [0, 1].
    n : int
        Number of validation images.
    float32_bytes, packed_bytes : int
        Size of the parameters at four bytes each, and of the packed file.
    seconds : float
        Time of training and validation, compilation included.
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
        """Compression factor: size in float32 over size of the packed file."""
        return self.float32_bytes / self.packed_bytes


@dataclass(frozen=True)
class Place:
    """Where a training stands in a run of several stages.

    Attributes
    ----------
    run : Path
        Folder of the whole run, which ``--resume`` takes.
    before : Path or None
        Checkpoint of the stage before, which must have been trained on the same images.
    followed : bool
        Whether another stage follows. Then a signal during the last validation stops the run, too.
    """

    run: Path
    before: Path | None = None
    followed: bool = False


def fit_stage(
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    profile: Profile | None = None,
    communicator: Communicator | None = None,
    place: Place | None = None,
) -> Result:
    """Train a network in one stage, keep the best epoch and pack it.

    Parameters
    ----------
    config
        Configuration. With ``resume`` it must be the configuration of the run in ``out``.
    out
        The run folder; :func:`binnet.train.stages.fit` lists its files.
    resume
        Continue from ``last.h5``; the final weights are bit for bit those of an uninterrupted training. With another
        number of epochs, the schedule continues as that of a training of the new length.
    console
        Receives progress and messages; nothing is printed without it.
    profile
        Profiler that measures some of the first steps.
    communicator
        Workers that share the training, from :func:`binnet.parallel.start.connected`; all of them call this function.
    place
        Where the training stands in a run of several stages; None for a run of its own.

    Returns
    -------
    Result
        Accuracy of the best epoch, sizes and time.

    Raises
    ------
    Exception
        Those of :func:`binnet.train.stages.fit`, but for stages that are not possible.
    """
    if config.tensorboard:
        tensorboard.check()
    # Checkpoint, pretrained model, teacher and custom network are read first: their errors show before any download.
    # The code of a custom network may read real weights wherever it likes, so that it cannot have stand-ins.
    options = config.micro_batches, config.local_norm, not is_own(config.model), config.compress
    workers = Workers(communicator, *options)
    communicator = workers.communicator
    origin = Origin.of(config, Path(out) / LAST, resume, communicator)
    begun = origin.begun
    console = console or Console(quiet=True)
    how = {"options": config.build_options(origin.channels), "max_corrupt": config.max_corrupt}
    # The first worker downloads files and builds stores, which the others then read.
    dataset = communicator.first_then_all(lambda: loading.load(config.dataset, config.data, console, **how))
    start = time.perf_counter()  # the time budget is for training, not for fetching data
    config = config.resolved(dataset)
    if communicator.first(compiled_code_is_missing):
        console.say("compiling kernels (once): this takes about half a minute, until the first step is done")
    with RunFolder(Path(out), communicator).held() as folder:
        place = place or Place(folder.path)
        communicator.name_run(place.run)
        training = Training(config, dataset, folder, console, origin, workers)
        _require_same(training)
        training.profile, training.followed = profile, place.followed
        if begun is not None:
            _resume(training, begun)
        else:
            _require_norms(training)
            communicator.first(lambda: _require_images_of(place.before, training))
            folder.start(config, again=resume, own=origin.own, teacher=origin.teacher)
        _report_setup(training, begun is not None)
        progress = training.state.progress
        if begun is None:
            progress.total_steps = 0 if config.time_budget else progress.total_steps
            training.save(folder.last)  # so that a training stopped in its first epoch can be resumed
        # 0 steps: the budget has not been measured, also when a training was stopped during the measurement.
        if config.time_budget and not progress.total_steps:
            fit_budget(training, time.perf_counter() - start)
            training.save(folder.last)
        communicator.first(lambda: _add_reports(training))  # the others have no reports
        training.train()
        return communicator.first(lambda: _pack_best(training))


def _require_same(training: Training) -> None:
    """WorkersDifferError unless all workers have the same programs, processors, options and images."""
    if training.communicator.size > 1:
        facts = machine_facts() | {"options": training.config.to_dict(), "images": training.images.digest}
        require_same(training.communicator, facts)


def _require_images_of(before: Path | None, training: Training) -> None:
    """StorageError when the stage before was trained on other images."""
    if before is not None:
        _, arrays, description = container.load(before, CHECKPOINT)
        names = description["data"]["class_names"]
        ImageRecord.read(names, arrays, description).require_same(training.images, before)


def _require_norms(training: Training) -> None:
    """ConfigError when the statistics of normalisations are to stay and there are none."""
    until, modules = training.config.statistics_until, training.state.network.named_modules()
    if until < 1 and not any(isinstance(module, BatchNorm) for _, module in modules):
        raise ConfigError(
            f"--statistics-until must be 1 for {training.config.model}, which has no binnet.nn.BatchNorm, got {until}"
        )


def _resume(training: Training, begun: Begun) -> None:
    """Restore the state of the checkpoint; a changed number of epochs sets the length of the whole training anew."""
    folder, config, whole = training.folder, training.config, training.state.progress.total_steps
    checkpoint.restore(folder.last, training.state, training.images)
    progress = training.state.progress
    if config.epochs != begun.config.epochs:
        if config.epochs < progress.epoch + (progress.batch > 0):
            raise ConfigError(f"--epochs must be at least the {progress.epoch} that are done, got {config.epochs}")
        progress.total_steps, progress.best_epoch = whole, progress.epoch  # patience counts from here on
    folder.resume(config, progress.epoch)


def compiled_code_is_missing() -> bool:
    """Whether the kernel cache is empty, so that the first step has to compile."""
    from binnet_kernels.simd import cache as kernel_cache  # brings Numba, which training needs anyway

    return kernel_cache.is_empty()


def _report_setup(training: Training, resume: bool) -> None:
    """Report model, data and the options that differ from their defaults."""
    c, d, p = training.config, training.dataset, training.state.progress
    params = sum(p.array.size for p in training.state.network.parameters())
    spec = training.state.spec
    rows, columns = spec.image_size
    kind = ", ".join(word for word in (spec.binarize, f"{params:,} parameters") if word)
    training.say(
        f"{c.model} ({kind}) on {d.name}, {rows}x{columns} pixels: "
        f"{len(d.train):,} training images, {len(d.test):,} for validation; run folder {training.folder.path}"
    )
    # These are in the sentence above; the number of epochs follows from a time budget.
    shown_above = {"dataset", "data", "model", "binarize"} | ({"epochs"} if c.time_budget else set())
    changed = [f"{name} {_shown(value)}" for name, value in c.changed().items() if name not in shown_above]
    training.say(f"options: {', '.join(changed) if changed else 'the defaults'}")
    if c.data is None or binnet_datasets.is_store(c.data):  # reading a folder of images reports this itself
        for note in few_images(d):
            training.say(note)
    if training.state.start is not None:
        training.say(training.state.start.sentence())
    if known := int(np.isin(training.images.val, training.images.earlier).sum()):
        training.say(
            f"the model that this training begins with or learns from was trained on {known:,} of the {len(d.test):,} "
            "validation images: the accuracy will be better than that of new images"
        )
    if training.frozen:
        learning = sum(p.array.size for p in training.state.optimizer.params)
        training.say(f"frozen up to {c.freeze_until}: {learning:,} of {params:,} parameters learn")
    start = training.state.start
    if not c.lr or (not c.body_lr and start is not None and not start.new):
        training.say("warning: with a learning rate of 0 no weight will change")
    followed = round(c.statistics_until * p.total_steps)  # 0 of a time budget that has yet to be measured
    if c.statistics_until < 1 and 0 < followed < _FOLLOWED:
        training.say(
            f"warning: normalisations keep statistics of only {followed} steps, and need about {_FOLLOWED} to be those "
            "of the images"
        )
    if resume:
        training.say(f"resuming after {p.epoch} epochs and {p.batch} batches")


def _add_reports(training: Training) -> None:
    """Add the reports of learning curves and TensorBoard, where they are installed and asked for."""
    folder = training.folder
    if Curves.available():
        training.reports.append(Curves(folder))
    else:
        training.say('no curves.png without matplotlib: python -m pip install "binnet[plot]"')
    if training.config.tensorboard:
        training.reports.append(Board(folder.tensorboard, training.state.progress.epoch))


def _pack_best(training: Training) -> Result:
    """Pack the best epoch; TrainingError when the packed model changes a prediction on the validation images."""
    folder, test = training.folder, training.dataset.test
    best = open_model(folder.best, training.origin.own)
    # A packed model may round differently, because it folds normalisations, but it must not change a class.
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
