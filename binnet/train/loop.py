"""The training loop: epochs of steps, each followed by validation and a checkpoint, until the schedule ends."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from binnet_datasets import DataError, Dataset
from binnet_kernels.checks import Float

from ..console import Advance, Console
from ..evaluation.evaluate import Scores, evaluate, run
from ..modelfile import PACKED
from ..ops import NotFiniteError
from ..parallel.agreement import digest, require_same
from ..parallel.workers import ALONE, Workers
from ..profiler import Profile
from ..schedules import is_past, learning_rate, weight_decay
from ..signals import Stop, stop_signal
from . import budget, diagnostics
from .averaging import Averages
from .builders import balanced, build_info, build_loader, build_network, build_optimizer
from .config import TrainConfig
from .diagnostics import Health
from .divergence import check_loss, diverged, doubtful, finite
from .origin import Origin
from .output import checkpoint
from .output.figures import EpochFigures
from .output.image_record import ImageRecord
from .output.report import Report
from .output.run_folder import RunFolder
from .output.state import Progress, State
from .portion import Ints, Mix
from .pretrained import finetune, freezing
from .pretrained.unpacking import calibrate
from .step import Targets, fix_statistics, training_step

_WAIT_SHOWN = 0.03  # from this share of the time on, waiting for data is reported


class TrainingInterruptedError(Exception):
    """The training was stopped by Ctrl-C, SIGTERM or SIGUSR1, and its state has been saved.

    Attributes
    ----------
    signal : int
        Number of the signal.
    """

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(str(folder))
        self.signal = number


class Training:
    """A training run: network, optimiser, batches, progress and the run folder.

    Parameters
    ----------
    config
        Complete configuration, in which the model is set.
    dataset
        Training and validation images.
    folder
        Run folder that receives checkpoints, tables and log.
    console
        Receives progress and messages.
    origin
        Custom network, pretrained model, teacher and checkpoint, as far as there are any.
    workers
        How the workers divide the batches; by default this process is the only one and divides none.

    Raises
    ------
    ValueError
        When options do not fit the images, or there are no validation images.
    """

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        folder: RunFolder,
        console: Console,
        origin: Origin,
        workers: Workers = ALONE,
    ) -> None:
        self.workers, self.communicator = workers, workers.communicator
        self.config, self.dataset, self.folder, self.console, self.origin = config, dataset, folder, console, origin
        if not len(dataset.test):
            raise DataError(f"expected images for validation in {dataset.name}, but there are none")
        spec, network = build_network(config, dataset, origin.own)
        self.images = ImageRecord.of(dataset, origin.seen)
        # A resumed fine-tuning keeps what its checkpoint says; only a new one reads the pretrained model.
        start = None if origin.begun is None else origin.begun.start
        if origin.pretrained is not None:
            start = finetune.begin(network, spec, origin.pretrained, dataset)
        until, model = config.freeze_until, origin.pretrained
        self.frozen = [] if until is None or start is None else freezing.freeze(network, spec, until, start, model)
        self.info = build_info(config, dataset, spec.image_size, self.images.seen, start)
        self.loader = build_loader(config, dataset, spec.image_size, start, self.workers)
        if origin.pretrained is not None and start is not None and start.kind == PACKED:
            # A packed model has no running variances; batch normalisation needs them before the first step.
            # Each worker measures the same images, and so takes whole batches.
            calibrate(network, start.taken, build_loader(config, dataset, spec.image_size, start))
        self.steps_per_epoch = len(self.loader)
        progress = Progress(config.epochs * self.steps_per_epoch)
        optimizer = build_optimizer(config, network, start, self.workers)
        averages = Averages(network, config.ema, self.workers) if config.ema else None
        self.state = State(network, optimizer, progress, diagnostics.signs(network), spec, start, averages)
        self.class_weights = balanced(dataset) if config.class_weights == "balanced" else None
        # A share of 0 trains on the labels alone, so that scores would be computed for nothing.
        teacher = origin.teacher if config.teacher_share else None
        self.teacher = None if teacher is None else teacher.fitted(dataset, self.info, spec.image_size)
        self.reports: list[Report] = []
        self.profile: Profile | None = None
        self.followed = False  # whether another stage of the run follows
        self._saved = self._since = time.perf_counter()
        self._step_seconds = self._save_seconds = 0.0  # measured; seconds per step are smoothed over epochs

    def targets(self, labels: Ints, epoch: int, batch: int) -> Targets:
        """What the network should answer for the images of a batch with these labels, int64 (n,)."""
        mix = Mix.draw(self.config.mixup, len(labels), self.config.seed, epoch, batch)
        return Targets(labels, mix, self.class_weights, self.teacher)

    def to_training(self) -> None:
        """Switch the network to training mode, except for frozen layers."""
        self.state.network.train()
        for module in self.frozen:
            module.training = False  # their batch statistics and dropout must not change what was learned

    def say(self, text: str) -> None:
        """Print a line on the console and add it to ``log.txt``."""
        self.console.say(text)
        self.folder.log(text)

    @property
    def epochs(self) -> int:
        """Number of epochs in all; the last one may have fewer steps."""
        return -(-self.state.progress.total_steps // self.steps_per_epoch)

    def train(self) -> None:
        """Run all remaining steps, with validation and a checkpoint after each epoch.

        Raises
        ------
        TrainingError
            When the loss diverges or a number is no longer finite.
        TrainingInterruptedError
            After Ctrl-C, SIGTERM or SIGUSR1, when the state has been saved.
        """
        quiet = np.errstate(over="ignore", invalid="ignore")  # an overflow shows in the loss, which is checked
        self._saved = time.perf_counter()
        with stop_signal() as stop, self.console.progress(self._images_left()) as advance, quiet:
            try:
                while self.state.progress.epoch < self.epochs:
                    self._epoch(stop, advance)
            finally:
                for report in self.reports:
                    report.close()

    def _images_left(self) -> int:
        p, images = self.state.progress, len(self.dataset.train)
        # Whole epochs count in images, because their last batch is smaller; a cut one has full batches only.
        whole, rest = divmod(p.total_steps, self.steps_per_epoch)
        return (whole - p.epoch) * images + rest * self.loader.batch_size - p.seen

    def _epoch(self, stop: Stop, advance: Advance) -> None:
        p, n, start = self.state.progress, self.steps_per_epoch, time.perf_counter()
        # A resumed epoch starts at batch p.batch; the loader skips the batches that were done before.
        steps, lr, first, before = min(n, p.total_steps - p.epoch * n), 0.0, p.batch, p.seen
        self.to_training()
        with closing(self.loader.epoch(p.epoch, skip=p.batch)) as batches:
            for images, labels in itertools.islice(batches, steps - p.batch):
                lr = self._step(images, labels)
                advance(len(labels), f"epoch {p.epoch + 1}/{self.epochs}")
                if p.batch < steps:  # after the last step of an epoch its end saves the state
                    self._between_steps(stop)
        spent = time.perf_counter() - start
        seconds_per_step = spent / max(steps - first, 1)
        self._step_seconds = (
            0.7 * self._step_seconds + 0.3 * seconds_per_step if self._step_seconds else seconds_per_step
        )
        self._finish_epoch(lr, (p.seen - before) / spent, self.loader.waited / spent)
        self._agree(stop)
        # A signal during the very last validation changes nothing: the training is complete.
        if stop.signal and (self.state.progress.epoch < self.epochs or self.followed):
            raise TrainingInterruptedError(self.folder.path, stop.signal)

    def _step(self, images: Float, labels: Ints) -> float:
        """Train on one batch and return the learning rate used."""
        c, s, p = self.config, self.state, self.state.progress
        step, n = p.epoch * self.steps_per_epoch + p.batch, p.total_steps
        warmup = min(round(c.warmup_epochs * self.steps_per_epoch), n)
        lr = learning_rate(step, n, c.lr, c.schedule, warmup_steps=warmup, milestones=c.milestones, factors=c.factors)
        s.optimizer.weight_decay = weight_decay(step, n, c.weight_decay, c.decay_until)
        if is_past(step, n, c.statistics_until):
            fix_statistics(s.network, self.workers)
        targets = self.targets(labels, p.epoch, p.batch)
        with finite(lr, p, self.folder), nullcontext() if self.profile is None else self.profile.step():
            loss, correct = training_step(s.network, s.optimizer, images, targets, c, lr)
            if s.averages is not None:
                s.averages.update()
        check_loss(loss, lr, p, self.dataset.num_classes, self.folder)
        p.loss_sum, p.correct = p.loss_sum + loss * len(labels), p.correct + correct
        p.batch, p.seen = p.batch + 1, p.seen + len(labels)
        self.communicator.beat(p.epoch * self.steps_per_epoch + p.batch)
        return lr

    def _between_steps(self, stop: Stop) -> None:
        """Write a checkpoint on a stop signal, or when the interval between checkpoints has passed."""
        every = self.config.checkpoint_every * 60  # minutes to seconds; 0 switches it off
        due = self._agree(stop, every > 0 and time.perf_counter() - self._saved > every)
        if (stop.signal or due) and not doubtful(self.state.progress):
            self.save(self.folder.last)
        if stop.signal:
            raise TrainingInterruptedError(self.folder.path, stop.signal)

    def _agree(self, stop: Stop, due: bool = False) -> bool:
        """Whether any worker finds a checkpoint due; a signal that one of them got counts for all."""
        flags = self.communicator.agreed(stop.signal | int(due) << 8)  # numbers of signals are below 256
        stop.signal = flags & 255
        return flags > 255

    def _finish_epoch(self, lr: float, rate: float, wait: float) -> None:
        p, network = self.state.progress, self.state.network
        if doubtful(p):
            what = f"the loss was far too high in the last {p.high} batches of epoch {p.epoch + 1} (lr {lr:.3g})"
            raise diverged(self.folder, what)
        start = time.perf_counter()
        self.workers.complete(self.state.network.buffers())
        watch = diagnostics.watch(network.eval(), len(self.dataset.test))
        with finite(lr, p, self.folder), self.state.averaged(), watch as seen:
            how: dict[str, Any] = {"image_size": self.state.spec.image_size, "communicator": self.communicator}
            scores = evaluate(run(network), self.dataset.test, self.info, **how)
        self._require_same_weights()
        seen = diagnostics.merged(self.communicator.gather(seen))
        # Flips are counted against the end of the previous epoch, so compare before the signs are replaced.
        together, layers = diagnostics.measure(network, seen, self.state.signs)
        self.state.signs = diagnostics.signs(network)
        better = (scores.top1, -scores.loss) > (p.best_top1, -p.best_loss)  # the loss decides between equal accuracies
        validation = time.perf_counter() - start
        self._next_epoch(scores, better)
        self._correct_length(validation)
        self._stop_early()
        # p is still the progress of the finished epoch; self.state.progress is already that of the next one.
        seconds = self.state.progress.seconds
        train = (p.loss_sum / p.seen, p.correct / p.seen)
        figures = EpochFigures(
            p.epoch + 1, lr, *train, scores.loss, scores.top1, scores.top5, rate, seconds, wait, **vars(together)
        )
        self.folder.add_figures(figures, layers)
        if better:
            with self.state.averaged():
                self.save(self.folder.best, scores)
        self.save(self.folder.last, scores)
        self._report_epoch(figures, layers, better)

    def _require_same_weights(self) -> None:
        """WorkersDifferError when the weights of workers have become different, by a fault of memory or of binnet."""
        if self.communicator.size > 1:
            weights = {"weights": digest(self.state.network.state_dict())}
            require_same(self.communicator, weights)

    def _next_epoch(self, scores: Scores, better: bool) -> None:
        self._add_elapsed()
        p = self.state.progress
        self.state.progress = p = replace(p, epoch=p.epoch + 1, batch=0, loss_sum=0.0, correct=0, seen=0)
        if better:
            p.best_top1, p.best_loss, p.best_epoch = scores.top1, scores.loss, p.epoch

    def _stop_early(self) -> None:
        """End the training when the last ``patience`` epochs brought no improvement."""
        p, patience = self.state.progress, self.config.patience
        if patience and p.epoch - p.best_epoch >= patience and p.epoch < self.epochs:
            p.total_steps = p.epoch * self.steps_per_epoch
            self.say(f"no better epoch in the last {patience}: the training ends early")

    def _correct_length(self, validation: float) -> None:
        """Correct the number of steps of a training with a time budget when the time per step has changed."""
        if self.config.time_budget is None:
            return
        p, limit, n = self.state.progress, budget.seconds(self.config.time_budget), self.steps_per_epoch
        done = min(p.epoch * n, p.total_steps)
        left = limit - p.seconds - 2 * validation  # checking the packed model costs two more validations
        epoch_end = validation + 2 * self._save_seconds  # last.h5, and best.h5 in the worst case
        figures = p.total_steps, done, left, limit, self._step_seconds, epoch_end, n
        total = self.communicator.first(lambda: budget.corrected(*figures))
        if total != p.total_steps:
            p.total_steps = total
            self.say(f"the pace has changed: {total:,} steps in all, which is {budget.in_epochs(total, n)}")

    def _report_epoch(self, f: EpochFigures, layers: Mapping[str, Health], better: bool) -> None:
        waiting = f"  waiting for data {f.wait:.0%}" if f.wait > _WAIT_SHOWN else ""
        self.say(
            f"epoch {f.epoch:3d}/{self.epochs}  loss {f.train_loss:.4f}  train {f.train_top1:7.2%}  "
            f"val {f.val_top1:7.2%}{' *' if better else '  '}  {f.images_per_s:,.0f} images/s{waiting}"
        )
        self.communicator.first(lambda: self._tell_reports(f, layers))

    def _tell_reports(self, f: EpochFigures, layers: Mapping[str, Health]) -> None:
        for report in self.reports:
            report.epoch(f, layers)

    def _add_elapsed(self) -> None:
        """Add the time since the last call to the seconds of the training."""
        now = time.perf_counter()
        self.state.progress.seconds += now - self._since
        self._since = now

    def save(self, path: Path, scores: Scores | None = None) -> None:
        """Write a checkpoint.

        Parameters
        ----------
        path
            The file; it is replaced as a whole.
        scores
            Validation scores of the epoch that just finished; None in the middle of an epoch.

        Raises
        ------
        TrainingError
            When a number of the state is not finite; an earlier file at ``path`` is kept then.
        StorageError
            When the file cannot be written.
        """
        if not scores:  # the end of an epoch has counted its time already
            self._add_elapsed()
        p = self.state.progress
        reached: dict[str, Any] = {"epoch": p.epoch}
        if scores:
            reached |= {"top1": scores.top1, "top5": scores.top5}
        info = replace(self.info, provenance={**self.info.provenance, **reached})
        start = time.perf_counter()
        self.workers.complete(self.state.network.buffers())
        try:
            checkpoint.save(path, self.state, self.config, info, self.images)
        except NotFiniteError as error:
            where = f"after {p.epoch} epochs and {p.batch} batches (lr {self.state.optimizer.lr:.3g})"
            raise diverged(self.folder, f"{error} {where}") from error
        self._saved = time.perf_counter()
        self._save_seconds = self._saved - start
