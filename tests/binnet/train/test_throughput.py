"""Time budgets: they set the length of a training and change nothing else."""

import csv
from dataclasses import replace

import numpy as np
import pytest

import binnet_datasets
from binnet.console import Console
from binnet.modelfile import container
from binnet.train import TrainingInterruptedError, fit, loop, throughput, trainer
from binnet.train.config import TrainConfig
from binnet.train.origin import Origin
from binnet.train.output.run_folder import RunFolder

CONFIG = TrainConfig(epochs=2, batch_size=40, lr=0.01, crop_pad=1, flip=True)
BATCHES = -(-1437 // 40)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Switch off the drawing of curves, which is slow."""
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)


@pytest.fixture
def steps(monkeypatch):
    """Replace the measurement: a time budget gives this number of steps."""

    def come_to(number):
        monkeypatch.setattr(throughput.budget, "steps_within", lambda *args: number)
        monkeypatch.setattr(loop.budget, "corrected", lambda total, *args: total)

    return come_to


def assert_same_arrays(folder, other):
    for name in ("last.h5", "best.h5"):
        arrays, expected = (container.load(f / name)[1] for f in (folder, other))
        assert set(arrays) == set(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(arrays[key], array, err_msg=f"{name} {key}")


def losses(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [(row["epoch"], row["train_loss"], row["lr"]) for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"optimizer": "sgd", "mixup": 0.5}])
def test_a_time_budget_changes_only_the_length(tmp_path, steps, options):
    """The time per step is measured with the network itself, whose state is restored afterwards."""
    config = replace(CONFIG, **options)
    fit(config, tmp_path / "plain")
    steps(2 * BATCHES)
    fit(replace(config, epochs=99, time_budget="1s"), tmp_path / "budget")
    assert_same_arrays(tmp_path / "budget", tmp_path / "plain")
    assert losses(tmp_path / "budget") == losses(tmp_path / "plain")


@pytest.mark.slow
def test_the_last_epoch_may_be_cut_short(tmp_path, steps, interrupt_at):
    steps(BATCHES + 10)
    config = replace(CONFIG, time_budget="1s")
    fit(config, tmp_path / "whole")
    progress = container.load(tmp_path / "whole" / "last.h5")[2]["progress"]
    assert (progress["total_steps"], progress["epoch"]) == (BATCHES + 10, 2)
    assert [row[0] for row in losses(tmp_path / "whole")] == ["1", "2"]
    assert float(losses(tmp_path / "whole")[1][2]) < 0.0002  # cosine has come to its end

    interrupt_at(BATCHES + 3)
    with pytest.raises(TrainingInterruptedError):
        fit(config, tmp_path / "run")
    steps(7)  # not asked again
    fit(config, tmp_path / "run", resume=True)
    assert_same_arrays(tmp_path / "run", tmp_path / "whole")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


@pytest.fixture
def clock(monkeypatch):
    """A fake clock: two steps that compile, then 0.1 s per step, 0.5 s per 256 images, 0.25 s per checkpoint."""

    class Clock:
        now, steps = 1000.0, 0

        def perf_counter(self):
            return self.now

        def step(self, *args):
            self.now += 0.1 if self.steps >= 2 else 5
            self.steps += 1

        def validate(self, images):
            assert len(images) == 256
            self.now += 0.5

        def save(self, *args):
            self.now += 0.25

    made = Clock()
    monkeypatch.setattr(throughput, "time", made)
    monkeypatch.setattr(throughput, "training_step", made.step)
    monkeypatch.setattr(throughput, "run", lambda network: made.validate)
    monkeypatch.setattr(loop.Training, "save", made.save)
    return made


def begin(tmp_path, time_budget, **options):
    dataset, config = binnet_datasets.load("digits"), replace(CONFIG, time_budget=time_budget, **options)
    return loop.Training(config, dataset, RunFolder(tmp_path / "run"), Console(quiet=True), Origin())


def test_the_length_by_hand(tmp_path, clock):
    training = begin(tmp_path, "61s")
    throughput.fit_budget(training, spent=2.0)
    assert clock.steps == 2 + 13  # a fiftieth of the budget, and the step that exceeds it
    validation = 0.5 * 360 / 256
    left = 61 - 2 - 2 * 5 - 13 * 0.1 - 2 * 0.5 - 0.25 - 2 * validation
    epochs = int(left / (36 * 0.1 + validation + 0.5))
    rest = left - epochs * (36 * 0.1 + validation + 0.5) - validation - 0.5
    assert training.state.progress.total_steps == 36 * epochs + int(rest / 0.1) == 36 * 9 + 6
    assert training.epochs == 10
    text = (tmp_path / "run" / "log.txt").read_text()
    assert "time budget 61s: 330 steps of 0.1 s, which is 9.17 epochs; a validation takes 0.7 s" in text


def test_a_pace_that_changes(tmp_path, steps, monkeypatch):
    """The corrected length is used from the next step on, and is stored in the checkpoint."""
    steps(9 * BATCHES)
    asked = []

    def corrected(total, done, left, limit, step, epoch_end, steps_per_epoch):
        asked.append((total, done))
        assert left < limit == 60
        assert step > 0
        assert epoch_end > 0
        assert steps_per_epoch == BATCHES
        return BATCHES + 7

    monkeypatch.setattr(loop.budget, "corrected", corrected)
    fit(replace(CONFIG, time_budget="1m"), tmp_path / "run")
    assert asked == [(9 * BATCHES, BATCHES), (BATCHES + 7, BATCHES + 7)]
    progress = container.load(tmp_path / "run" / "last.h5")[2]["progress"]
    assert (progress["epoch"], progress["total_steps"]) == (2, BATCHES + 7)
    text = (tmp_path / "run" / "log.txt").read_text()
    assert text.count("the pace has changed: 43 steps in all, which is 1.19 epochs") == 1


def test_less_than_an_epoch_is_not_possible(tmp_path, clock):
    training = begin(tmp_path, "3s")
    throughput.fit_budget(training, spent=0.0)
    assert training.state.progress.total_steps == BATCHES
    assert "one epoch takes longer than the time budget" in (tmp_path / "run" / "log.txt").read_text()


def test_fewer_batches_than_there_are_steps_to_measure(tmp_path, clock):
    training = begin(tmp_path, "1m", batch_size=2000)
    throughput.fit_budget(training, spent=0.0)
    assert clock.steps > 10
    assert "steps of 0.1 s" in (tmp_path / "run" / "log.txt").read_text()
