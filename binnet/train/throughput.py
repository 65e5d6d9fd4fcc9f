"""Measured throughput: the number of steps that a time budget allows on this machine."""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator
from contextlib import closing
from copy import deepcopy

import numpy as np

from binnet_datasets import Loader, View
from binnet_kernels.checks import Float

from ..evaluation.evaluate import run
from . import budget
from .loop import Training
from .portion import Ints
from .step import training_step

_MEASURED = 0.02  # share of the budget that the measurement may take, after compilation
_FEWEST = 5  # minimum number of measured steps
_BATCH = 256  # batch size of a validation


def fit_budget(training: Training, spent: float) -> None:
    """Set the number of steps of a training that has not begun, so that it ends within its time budget.

    Steps are measured with a learning rate of 0, and their changes to the state are undone, so that the training equals
    one of the same length without a budget. The estimate includes validation and checkpoints at the end of each epoch,
    and two validations of the packed model. The length is stored in every checkpoint. It is corrected at the end of an
    epoch only when the training would miss the budget by more than a twentieth (:func:`binnet.train.budget.corrected`).

    Parameters
    ----------
    training
        Its configuration has a time budget; its ``state.progress.total_steps`` is set.
    spent
        Seconds of the budget that have passed already.
    """
    start = time.perf_counter()
    limit = budget.seconds(str(training.config.time_budget))
    state = training.state
    # Even with a rate of 0, steps change running statistics and the optimiser's moments.
    before = state.network.state_dict(), deepcopy((state.optimizer.updates, state.optimizer.state))
    with np.errstate(over="ignore", invalid="ignore"):
        step = _step_seconds(training, limit)
        validation = _validation_seconds(training)
    state.network.load_state_dict(before[0])
    state.optimizer.updates, state.optimizer.state = before[1]
    training.workers.forget()
    epoch_end = validation + _save_seconds(training)
    # The measurement itself counts, and so do two validations for the comparison with the packed model.
    left = limit - spent - (time.perf_counter() - start) - 2 * validation
    n = training.steps_per_epoch
    # The clocks of workers differ, so the first one decides.
    steps = training.communicator.first(lambda: budget.steps_within(left, step, epoch_end, n))
    state.progress.total_steps = steps
    training.say(
        f"time budget {training.config.time_budget}: {steps:,} steps of {step:.3g} s, which is "
        f"{budget.in_epochs(steps, n)}; a validation takes {validation:.2g} s"
    )
    if left < n * step + epoch_end:
        training.say("one epoch takes longer than the time budget, and is trained all the same")


def _step_seconds(training: Training, limit: float) -> float:
    """Mean seconds of a step, with loading and teacher; the first two steps compile the kernels and are not counted."""
    s = training.state
    training.to_training()
    with closing(_endless(training.loader)) as batches:
        for number, (where, images, labels) in enumerate(batches, start=-1):
            training_step(s.network, s.optimizer, images, training.targets(labels, *where), training.config, 0.0)
            now = time.perf_counter()
            if number <= 0:  # steps -1 and 0 compile; the clock starts after them
                first = now
            elif training.communicator.agreed(number >= _FEWEST and now - first > _MEASURED * limit):
                break
    return (now - first) / number


def _endless(loader: Loader) -> Generator[tuple[tuple[int, int], Float, Ints], None, None]:
    """The batches of epoch 0, 1, 2, … without end, with epoch and number of each."""
    for epoch in itertools.count():
        with closing(loader.epoch(epoch)) as batches:
            for number, (images, labels) in enumerate(batches):
                yield (epoch, number), images, labels


def _validation_seconds(training: Training) -> float:
    """Seconds of a validation, extrapolated from one batch."""
    split, info = training.dataset.test, training.info
    size, (mean, std) = training.state.spec.image_size, info.normalisation()
    loader = Loader(split, _BATCH, mean=mean, std=std, view=View(size), workers=0)
    with closing(loader.epoch()) as batches:
        images, _ = next(batches)
    logits = run(training.state.network.eval())
    logits(images)  # compiles what only evaluation uses
    start = time.perf_counter()
    logits(images)
    return (time.perf_counter() - start) * len(split) / len(images)


def _save_seconds(training: Training) -> float:
    """Seconds of two checkpoints, ``last.h5`` and ``best.h5``, which is the most that an epoch writes."""
    start = time.perf_counter()
    training.save(training.folder.last)
    return 2 * (time.perf_counter() - start)
