"""Training: Algorithm 1 of the paper over epochs, into a run folder. ``python -m binnet.train`` is ``binnet train``."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import binnet_datasets
from binnet_datasets import Augment, Dataset, batches, num_batches
from binnet_kernels.checks import Float

from . import __version__, checkpoint, models, ops, optim, packed
from .checkpoint import Progress
from .config import TrainConfig
from .console import Advance, Console
from .evaluate import Ints, Scores, evaluate, open_model, run
from .info import DataInfo
from .models import Network
from .optim import Optimizer
from .run_folder import EpochFigures, RunFolder
from .schedules import learning_rate
from .tensor import Tensor


class TrainingError(ValueError):
    """Training had to stop, or its result was refused."""


class TrainingInterruptedError(Exception):
    """The user asked to stop; everything is saved."""


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


def fit(config: TrainConfig, out: str | Path, *, resume: bool = False, console: Console | None = None) -> Result:
    """Train a network, keep the best one and pack it.

    Parameters
    ----------
    config
        What to do. With ``resume`` it must be the configuration of the run in ``out``.
    out
        The run folder: ``config.toml, metrics.csv, log.txt, last.h5, best.h5, packed.h5``.
    resume
        Go on from ``last.h5``; the weights end up the same bits as if training had never stopped.
    console
        Where to report; quiet when not given.

    Returns
    -------
    Result

    Raises
    ------
    TrainingError
        When the loss is no longer finite, or the packed model does not predict as the unpacked one.
    TrainingInterruptedError
        After Ctrl-C, when the state is saved.
    DataError, StorageError
        When data cannot be read, or files not be written.
    """
    console = console or Console(quiet=True)
    dataset = binnet_datasets.load(config.dataset, config.data, progress=_downloading(console))
    folder = RunFolder(Path(out))
    run_ = _Training(config, dataset, folder, console)
    if resume:
        run_.progress = checkpoint.restore(folder.last, run_.network, run_.optimizer)
        folder.keep_figures(run_.progress.epoch)
        run_.say(f"resuming after {run_.progress.epoch} epochs and {run_.progress.batch} batches")
    else:
        folder.start(config)
        run_.save(folder.last)  # a training that is stopped in its first epoch can go on as well
    run_.train()
    return _pack_best(folder, dataset, run_.progress, run_)


class _Training:
    """One training in memory."""

    def __init__(self, config: TrainConfig, dataset: Dataset, folder: RunFolder, console: Console) -> None:
        self.config, self.dataset, self.folder, self.console = config, dataset, folder, console
        mean, std = dataset.mean_std()
        provenance = {"config": config.to_dict(), "binnet": __version__}
        self.info = DataInfo(dataset.name, dataset.class_names, _floats(mean), _floats(std), provenance)
        self.network = build_network(config, dataset)
        self.optimizer = build_optimizer(config, self.network)
        self.progress = Progress()
        self.steps_per_epoch = num_batches(len(dataset.train), config.batch_size)
        self._batches()  # refuses options that do not fit the images before anything is trained or written

    def say(self, text: str) -> None:
        """One line for the person and for ``log.txt``."""
        self.console.say(text)
        self.folder.log(text)

    def train(self) -> None:
        """All epochs that are left."""
        c, d = self.config, self.dataset
        params = sum(p.data.size for p in self.network.parameters())
        what = f"{c.model} ({c.binarize}, {params:,} parameters) on {d.name}"
        self.say(
            f"{what}: {len(d.train):,} training images, {len(d.test):,} for validation; run folder {self.folder.path}"
        )
        left = (c.epochs - self.progress.epoch) * len(d.train) - self.progress.seen
        quiet = np.errstate(over="ignore", invalid="ignore")  # an overflow shows in the loss, which is checked
        with _stop_signal() as stop, self.console.progress(left) as advance, quiet:
            while self.progress.epoch < c.epochs:
                self._epoch(stop, advance)

    def _epoch(self, stop: threading.Event, advance: Advance) -> None:
        start, p = time.perf_counter(), self.progress
        self.network.train()
        lr, before = 0.0, p.seen
        for images, labels in self._batches():
            lr = self._learning_rate()
            loss, right = training_step(self.network, self.optimizer, images, labels, self.config, lr)
            if not math.isfinite(loss):
                where = f"epoch {p.epoch + 1}, batch {p.batch + 1}"
                raise TrainingError(f"the loss became {loss} at {where} (lr {lr:.3g}); try a lower --lr")
            p.loss_sum, p.correct = p.loss_sum + loss * len(labels), p.correct + right
            p.batch, p.seen = p.batch + 1, p.seen + len(labels)
            advance(len(labels), f"epoch {p.epoch + 1}/{self.config.epochs}")
            if stop.is_set() and p.batch < self.steps_per_epoch:
                p.seconds += time.perf_counter() - start
                self.save(self.folder.last)
                raise TrainingInterruptedError(str(self.folder.path))
        rate = (p.seen - before) / (time.perf_counter() - start)
        self._finish_epoch(lr, rate, start)
        if stop.is_set() and p.epoch < self.config.epochs:
            raise TrainingInterruptedError(str(self.folder.path))

    def _batches(self) -> Iterator[tuple[Float, Ints]]:
        """The batches of this epoch that are still to be done."""
        c, p = self.config, self.progress
        augment = Augment(pad=c.crop_pad, flip=c.flip)
        order: dict[str, Any] = {"shuffle": True, "seed": c.seed, "epoch": p.epoch, "augment": augment}
        every = batches(self.dataset.train, c.batch_size, mean=self.info.mean, std=self.info.std, **order)
        for _ in range(p.batch):
            next(every)
        return every

    def _learning_rate(self) -> float:
        c, p, n = self.config, self.progress, self.steps_per_epoch
        warmup = round(c.warmup_epochs * n)
        return learning_rate(p.epoch * n + p.batch, c.epochs * n, c.lr, c.schedule, warmup_steps=warmup)

    def _finish_epoch(self, lr: float, rate: float, start: float) -> None:
        scores = evaluate(run(self.network.eval()), self.dataset.test, self.info)
        p = self.progress
        seconds = p.seconds + time.perf_counter() - start
        train_loss, train_top1, better = p.loss_sum / p.seen, p.correct / p.seen, _better(scores, p)
        best = (scores.top1, scores.loss) if better else (p.best_top1, p.best_loss)
        self.progress = Progress(p.epoch + 1, best_top1=best[0], best_loss=best[1], seconds=seconds)
        figures = (scores.loss, scores.top1, scores.top5, rate, seconds)
        self.folder.add_figures(EpochFigures(p.epoch + 1, lr, train_loss, train_top1, *figures))
        if better:
            self.save(self.folder.best, scores)
        self.save(self.folder.last, scores)
        self.say(
            f"epoch {p.epoch + 1:3d}/{self.config.epochs}  loss {train_loss:.4f}  train {train_top1:7.2%}  "
            f"val {scores.top1:7.2%}{' *' if better else '  '}  {rate:,.0f} images/s"
        )

    def save(self, path: Path, scores: Scores | None = None) -> None:
        """Write a checkpoint, with the scores of the epoch just finished if there is one."""
        reached: dict[str, Any] = {"epoch": self.progress.epoch}
        if scores:
            reached |= {"top1": scores.top1, "top5": scores.top5}
        info = replace(self.info, provenance={**self.info.provenance, **reached})
        checkpoint.save(path, self.network, self.optimizer, self.config, info, self.progress)


def training_step(
    network: Network, optimizer: Optimizer, images: Float, labels: Ints, config: TrainConfig, lr: float
) -> tuple[float, int]:
    """One step: binarise and forward, backward with the binary weights, update the real ones (Algorithm 1).

    Returns
    -------
    loss : float
        Mean over the batch.
    correct : int
        Images whose most probable class was right.
    """
    optimizer.zero_grad()
    logits = network(Tensor(images))
    if config.loss == "squared_hinge":
        loss = ops.squared_hinge(logits, labels)
    else:
        loss = ops.cross_entropy(logits, labels, config.label_smoothing)
    loss.backward()
    optimizer.lr = lr
    optimizer.step()
    return float(loss.item()), int((logits.numpy().argmax(axis=1) == labels).sum())


def build_network(config: TrainConfig, dataset: Dataset) -> Network:
    """The network of a configuration, with fresh weights."""
    c, d = config, dataset
    shape = (d.num_classes, d.channels, d.image_size)
    return models.build(c.model, c.binarize, *shape, seed=c.seed, **c.binary_options())


def build_optimizer(config: TrainConfig, network: Network) -> Optimizer:
    """The optimiser of a configuration, at its first step."""
    params, decay = network.parameters(), config.weight_decay
    if config.optimizer == "sgd":
        return optim.SGD(params, config.lr, config.momentum, config.nesterov, decay)
    return optim.Adam(params, config.lr, weight_decay=decay)


def _pack_best(folder: RunFolder, dataset: Dataset, progress: Progress, run_: _Training) -> Result:
    """Pack the best network, and refuse to when that changes a prediction."""
    best = open_model(folder.best)
    expected = evaluate(best.logits, dataset.test, best.info)
    scores = evaluate(best.packed, dataset.test, best.info)
    differing = int((scores.predictions != expected.predictions).sum())
    if differing:
        raise TrainingError(
            f"the packed model predicts {differing} of {scores.n} images differently; it was not written"
        )
    best.packed.save(folder.packed)
    summary = packed.summarise(best.packed)
    result = Result(
        str(folder.path),
        scores.top1,
        scores.top5,
        scores.n,
        summary.float32_bytes,
        summary.file_bytes,
        progress.seconds,
    )
    run_.folder.log(f"packed: top1 {result.top1:.4f}, {result.packed_bytes} bytes, {result.factor:.1f} times smaller")
    return result


def _better(scores: Scores, progress: Progress) -> bool:
    return (scores.top1, -scores.loss) > (progress.best_top1, -progress.best_loss)


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """Ctrl-C sets an event, so that a step is never cut in two; a second one stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _downloading(console: Console) -> Any:
    """Report a download in lines, at most one for every 10 MB."""
    reported = {"mb": 0}

    def report(done: int, total: int | None) -> None:
        mb = done // 10_000_000
        if mb > reported["mb"]:
            console.say(f"downloaded {done / 1e6:.0f} MB" + (f" of {total / 1e6:.0f}" if total else ""))
        reported["mb"] = mb

    return report


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in np.asarray(values))


if __name__ == "__main__":
    import sys

    from .cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
