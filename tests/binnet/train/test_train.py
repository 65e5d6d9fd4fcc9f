"""Training: its files, and that it resumes bit for bit wherever it was stopped."""

import csv
import errno
import importlib.util
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import binnet
import binnet_datasets
import binnet_kernels as bk
from binnet.cli import main
from binnet.engine import PackedModel
from binnet.modelfile import container
from binnet.modelfile.container import StorageError
from binnet.train import TrainingError, TrainingInterruptedError, fit, loop, trainer
from binnet.train.config import TrainConfig

EPOCHS = 3
FLAGS = ["--epochs", str(EPOCHS), "--seed", "3", "--crop-pad", "1", "--flip", "--batch-size", "40", "--lr", "0.01"]
CONFIG = TrainConfig(epochs=EPOCHS, seed=3, crop_pad=1, flip=True, batch_size=40, lr=0.01)
BATCHES = -(-1437 // 40)
TIMES = ("images_per_s", "seconds", "wait")  # what may differ between two runs


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Use one thread by default and restore the number afterwards; draw no curves, which is slow."""
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)
    before = bk.get_num_threads()
    bk.set_num_threads(1)
    yield
    bk.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """An uninterrupted training: folder and result."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    before = bk.get_num_threads()
    bk.set_num_threads(1)
    result = fit(CONFIG, folder)
    bk.set_num_threads(before)
    return folder, result


def metrics(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_same_numbers(folder, other):
    """Assert equal bits in all arrays and equal metrics except times."""
    for name in ("last.h5", "best.h5", "packed.h5"):
        arrays, other_arrays = (container.load(f / name)[1] for f in (folder, other))
        assert set(arrays) == set(other_arrays)
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, other_arrays[key], err_msg=f"{name} {key}", strict=True)
    ours, theirs = metrics(folder), metrics(other)
    assert [row["epoch"] for row in ours] == [str(e) for e in range(1, EPOCHS + 1)]
    for row in (*ours, *theirs):
        for column in TIMES:
            row.pop(column)
    assert ours == theirs
    assert (folder / "health.csv").read_bytes() == (other / "health.csv").read_bytes()


def assert_same_training(folder, other):
    """Assert equal bits in every file except for times."""
    assert_same_numbers(folder, other)
    for name in ("last.h5", "best.h5", "packed.h5"):
        description, other_description = (container.load(f / name)[2] for f in (folder, other))
        for d in (description, other_description):
            d.get("progress", {}).pop("seconds", None)
        assert description == other_description
    assert (folder / "config.toml").read_bytes() == (other / "config.toml").read_bytes()


def started(folder, *flags):
    """Start a training in another process."""
    argv = [sys.executable, "-m", "binnet", "train", "--out", str(folder), "--threads", "1", *FLAGS, *flags]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process, condition):
    """Wait until the condition holds; fail when the process ends before it does."""
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.005)


def finished_epochs(folder):
    path = folder / "metrics.csv"
    return path.read_text().count("\n") - 1 if path.exists() else 0


def test_files_and_result(uninterrupted):
    folder, result = uninterrupted
    curves = ["curves.png"] if importlib.util.find_spec("matplotlib") else []
    names = ["best.h5", "config.toml", *curves, "health.csv", "last.h5", "log.txt", "metrics.csv", "packed.h5"]
    assert sorted(p.name for p in folder.iterdir()) == names
    rows = metrics(folder)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert result.top1 == pytest.approx(max(float(row["val_top1"]) for row in rows), abs=1e-5)
    assert result.top1 > 0.6  # mirrored digits are hard
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) / 2
    assert result.n == 360
    assert result.packed_bytes == (folder / "packed.h5").stat().st_size
    assert result.float32_bytes == 4 * (20 * 25 + 50 * 25 * 20 + 500 * 200 + 5000 + 3 * 90 + 550 + 10)
    assert result.factor == result.float32_bytes / result.packed_bytes
    assert result.out == str(folder)
    assert 0 < result.seconds == container.load(folder / "last.h5")[2]["progress"]["seconds"]


def test_the_best_epoch_is_kept(uninterrupted):
    folder, result = uninterrupted
    rows = metrics(folder)
    ranks = [(float(r["val_top1"]), -float(r["val_loss"])) for r in rows]
    best = container.load(folder / "best.h5")[2]
    assert best["progress"]["epoch"] == 1 + ranks.index(max(ranks))
    assert best["data"]["provenance"]["top1"] == result.top1 == best["progress"]["best_top1"]
    assert container.load(folder / "last.h5")[2]["progress"]["epoch"] == EPOCHS


def test_what_the_files_know(uninterrupted):
    folder, result = uninterrupted
    info = binnet.load(folder / "packed.h5").info
    mean, std = binnet_datasets.load("digits").mean_std()
    assert (info.dataset, info.class_names) == ("digits", tuple("0123456789"))
    np.testing.assert_allclose([*info.mean, *info.std], [*mean, *std])
    assert info.provenance["config"] == CONFIG.to_dict()
    assert info.provenance["binnet"] == binnet.__version__
    assert info.provenance["top1"] == result.top1


def test_killed_in_the_middle(uninterrupted, tmp_path):
    process = started(tmp_path / "run")
    wait_for(process, lambda: finished_epochs(tmp_path / "run") >= 1)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert finished_epochs(tmp_path / "run") < EPOCHS
    threads = str(min(2, os.cpu_count()))
    assert main(["train", "--resume", str(tmp_path / "run"), "--threads", threads, "--quiet"]) == 0
    assert_same_training(tmp_path / "run", uninterrupted[0])


@pytest.mark.slow
def test_killed_in_the_first_epoch(uninterrupted, tmp_path):
    process = started(tmp_path / "run")
    wait_for(process, lambda: (tmp_path / "run" / "last.h5").exists())
    process.kill()
    process.communicate()
    assert finished_epochs(tmp_path / "run") == 0
    fit(CONFIG, tmp_path / "run", resume=True)
    assert_same_training(tmp_path / "run", uninterrupted[0])


@pytest.mark.slow
def test_killed_ten_times_at_random(tmp_path):
    """Whatever was being written, only the work since the last checkpoint is lost."""
    fit(replace(CONFIG, batch_size=4), tmp_path / "whole")  # first, so that all kernels are compiled
    folder, moments, reached = tmp_path / "run", random.Random(0), (0, 0)
    # A checkpoint every 0.01 s, so that many kills fall into the writing of one; batches enough for ten kills.
    flags = ["--out", str(folder), *FLAGS, "--batch-size", "4", "--checkpoint-every", "0.0002"]
    for _ in range(10):
        argv, before = [sys.executable, "-m", "binnet", "train", "--threads", "1", *flags], starts(folder)
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for(process, lambda before=before: starts(folder) > before and (folder / "last.h5").exists())
        time.sleep(moments.uniform(0, 1.2))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        progress = container.load(folder / "last.h5")[2]["progress"]
        assert (progress["epoch"], progress["batch"]) >= reached
        assert finished_epochs(folder) >= progress["epoch"]
        reached = progress["epoch"], progress["batch"]
        flags = ["--resume", str(folder)]
    assert reached > (0, 0)
    assert main(["train", *flags, "--threads", "1", "--checkpoint-every", "0", "--quiet"]) == 0
    assert_same_numbers(folder, tmp_path / "whole")
    assert not list(folder.glob(".*"))


def starts(folder):
    """The number of processes that have started to train in this folder."""
    log = folder / "log.txt"
    return log.read_text().count("  options: ") if log.exists() else 0


def test_interrupted_by_the_user(uninterrupted, tmp_path):
    folder = tmp_path / "my run"
    process = started(folder)
    wait_for(process, lambda: finished_epochs(folder) >= 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == f"binnet: stopped, everything is saved; continue with: binnet train --resume '{folder}'\n"
    assert main(["train", "--resume", str(folder), "--quiet"]) == 0
    assert_same_training(folder, uninterrupted[0])


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 17, BATCHES - 2, BATCHES - 1, BATCHES])
def test_interrupted_at_every_place_of_an_epoch(uninterrupted, tmp_path, interrupt_at, number):
    handler = signal.getsignal(signal.SIGINT)
    interrupt_at(number)
    with pytest.raises(TrainingInterruptedError):
        fit(CONFIG, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is handler
    progress = container.load(tmp_path / "run" / "last.h5")[2]["progress"]
    assert (progress["epoch"], progress["batch"]) == divmod(number + 1, BATCHES)
    fit(CONFIG, tmp_path / "run", resume=True)
    assert_same_training(tmp_path / "run", uninterrupted[0])


def test_interrupted_twice_and_resumed_twice(uninterrupted, tmp_path, interrupt_at):
    interrupt_at(5, 20, 60)
    with pytest.raises(TrainingInterruptedError):
        fit(CONFIG, tmp_path / "run")
    for _ in range(2):
        with pytest.raises(TrainingInterruptedError):
            fit(CONFIG, tmp_path / "run", resume=True)
    fit(CONFIG, tmp_path / "run", resume=True)
    assert_same_training(tmp_path / "run", uninterrupted[0])


def test_a_second_interruption_stops_at_once(tmp_path, monkeypatch):
    def step(*args):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop, "training_step", step)
    with pytest.raises(KeyboardInterrupt):
        fit(CONFIG, tmp_path / "run")


@pytest.mark.parametrize(("threads", "workers"), [(2, 1), (1, 0), (2, 3)])
def test_threads_and_workers_do_not_change_a_bit(uninterrupted, tmp_path, threads, workers):
    if os.cpu_count() < threads:
        pytest.skip("one core")
    bk.set_num_threads(threads)
    fit(replace(CONFIG, workers=workers), tmp_path / "run")
    assert_same_numbers(tmp_path / "run", uninterrupted[0])


def test_everything_random_goes_on_where_it_was(tmp_path, interrupt_at):
    """Resume with another number of threads and workers, with mixup, random scale and random state."""
    config = TrainConfig(epochs=EPOCHS, batch_size=40, mixup=0.4, clip_norm=1.0, label_smoothing=0.1, warmup_epochs=1.5)
    config = replace(config, scale_min=9, scale_max=12, decay_until=0.5, weight_decay=0.01, optimizer="sgd", lr=0.1)
    config = replace(config, statistics_until=0.4)  # from step 44 on, before the interruption
    fit(config, tmp_path / "whole")
    interrupt_at(50)
    with pytest.raises(TrainingInterruptedError):
        fit(config, tmp_path / "run")
    bk.set_num_threads(min(2, os.cpu_count()))
    fit(replace(config, workers=3), tmp_path / "run", resume=True)
    assert_same_numbers(tmp_path / "run", tmp_path / "whole")
    assert float(metrics(tmp_path / "run")[-1]["val_top1"]) > 0.5


def test_a_full_disk_loses_nothing(uninterrupted, tmp_path, monkeypatch):
    original, writes = Path.write_bytes, []

    def write_bytes(self, data):
        writes.extend([self] * (".h5" in self.name))
        if len(writes) > 4:
            original(self, data[:1000])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_bytes)
        with pytest.raises(StorageError, match=r"cannot write .*h5: No space left on device"):
            fit(CONFIG, tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))
    fit(CONFIG, tmp_path / "run", resume=True)
    assert_same_training(tmp_path / "run", uninterrupted[0])


def test_resuming_what_is_finished_changes_nothing(uninterrupted, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for file in uninterrupted[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "packed.h5").unlink()
    assert replace(fit(CONFIG, folder, resume=True), out="") == replace(uninterrupted[1], out="")
    assert_same_training(folder, uninterrupted[0])


def test_another_seed_gives_another_network(uninterrupted, tmp_path):
    fit(replace(CONFIG, seed=4, epochs=1, warmup_epochs=0), tmp_path / "run")
    ours, theirs = (container.load(f / "last.h5")[1] for f in (tmp_path / "run", uninterrupted[0]))
    assert (ours["network.conv2.weight"] != theirs["network.conv2.weight"]).any()


def test_outside_the_main_thread(tmp_path):
    """Signals can only be caught in the main thread; in other threads training runs without them."""
    results = []
    config = TrainConfig(epochs=1, batch_size=300, optimizer="sgd", loss="squared_hinge", nesterov=True)
    thread = threading.Thread(target=lambda: results.append(fit(config, tmp_path / "run")))
    thread.start()
    thread.join()
    assert results[0].n == 360


def test_options_that_do_not_fit_the_images_leave_no_training_behind(tmp_path):
    with pytest.raises(ValueError, match="--crop-pad must be less than the image of 8x8 pixels, got 8"):
        fit(TrainConfig(crop_pad=8), tmp_path / "run")
    with pytest.raises(ValueError, match="nesterov needs a momentum above 0"):
        fit(TrainConfig(optimizer="sgd", nesterov=True, momentum=0), tmp_path / "run")
    assert not (tmp_path / "run" / "config.toml").exists()
    assert not (tmp_path / "run" / "last.h5").exists()


def test_a_packed_model_that_predicts_otherwise_is_not_written(uninterrupted, tmp_path, monkeypatch):
    original = trainer.open_model

    class Wrong(PackedModel):
        def __call__(self, x):
            return -super().__call__(x)

    def wrong(path, own):
        model = original(path)
        return replace(model, packed=Wrong(model.packed.graph, model.info))

    monkeypatch.setattr(trainer, "open_model", wrong)
    config = TrainConfig(epochs=1, batch_size=300)
    with pytest.raises(TrainingError, match=r"predicts .* of 360 images differently; it was not written"):
        fit(config, tmp_path / "run")
    assert (tmp_path / "run" / "best.h5").exists()
    assert not (tmp_path / "run" / "packed.h5").exists()
