"""Run folders in use, resuming with more epochs or other images, and options of the loss."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import binnet
import binnet_datasets
from binnet import Tensor
from binnet.cli import main
from binnet.console import Console
from binnet.modelfile import container
from binnet.modelfile.container import StorageError
from binnet.modelfile.info import Preprocessing
from binnet.signals import TerminatedError
from binnet.train import fit, trainer
from binnet.train.builders import balanced, few_images
from binnet.train.config import ConfigError, TrainConfig
from binnet.train.output import checkpoint
from binnet.train.output.run_folder import RunFolder, new_folder
from binnet.train.step import Targets, training_step
from binnet_datasets.files import replacing

CONFIG = TrainConfig(epochs=1, batch_size=300, lr=0.01)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("BINNET_DATA", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)


def photos(folder, classes=("cat", "dog"), count=8, seed=0):
    rng = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{seed}-{i}.png")
    return folder


# ---------------------------------------------------------------------------------------------- run folders


def test_folders_of_runs_that_start_at_once_are_their_own(tmp_path):
    found, start = [], threading.Barrier(8)

    def make():
        start.wait()
        found.append(new_folder(tmp_path / "runs" / "digits"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {"digits", *(f"digits-{i}" for i in range(2, 9))}
    assert {path.name for path in found} == {path.name for path in (tmp_path / "runs").iterdir()} == names


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_in_use_is_refused(tmp_path, resume):
    fit(CONFIG, tmp_path / "run")
    before = (tmp_path / "run" / "last.h5").read_bytes()
    with RunFolder(tmp_path / "run").held(), pytest.raises(StorageError, match=r"another training is running in .*run"):
        fit(CONFIG, tmp_path / "run", resume=resume)
    assert (tmp_path / "run" / "last.h5").read_bytes() == before


def test_errors_while_a_folder_is_held_are_not_those_of_the_log(tmp_path):
    with pytest.raises(OSError, match="No space") as caught, RunFolder(tmp_path / "run").held():
        raise OSError(28, "No space left on device")
    assert not isinstance(caught.value, StorageError)


def test_a_killed_process_loses_its_folder(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from binnet.train.output.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).held(): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(StorageError, match="another training is running"), RunFolder(tmp_path / "run").held():
        pass
    process.kill()
    process.communicate()
    with RunFolder(tmp_path / "run").held():
        pass


def test_no_folder_is_left_when_the_data_cannot_be_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "nowhere"]) == 1
    assert "expected a folder of images or an archive at nowhere, but there is nothing" in capsys.readouterr().err
    assert not list((tmp_path / "runs").iterdir())


# ---------------------------------------------------------------------------------------------- going on


def test_a_training_stopped_while_its_budget_is_measured_goes_on(tmp_path, monkeypatch):
    def stop(training, spent):
        raise KeyboardInterrupt

    config = replace(CONFIG, time_budget="1s")
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "fit_budget", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(config, tmp_path / "run")
    measured = []
    monkeypatch.setattr(trainer, "fit_budget", lambda training, spent: measured.append(training) or lasts_one(training))
    fit(config, tmp_path / "run", resume=True)
    assert len(measured) == 1
    fit(config, tmp_path / "run", resume=True)
    assert len(measured) == 1


def lasts_one(training):
    training.state.progress.total_steps = training.steps_per_epoch


def test_a_training_killed_before_its_first_checkpoint_begins_again(tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.toml").write_text(CONFIG.to_toml())
    assert main(["train", "--epochs", "1", "--out", str(folder)]) == 1
    assert "already holds a training; continue with --resume" in capsys.readouterr().err
    assert main(["train", "--resume", str(folder), "--quiet"]) == 0
    assert checkpoint.read_config(folder / "last.h5") == CONFIG


def test_more_epochs_go_on(tmp_path, capsys):
    fit(replace(CONFIG, epochs=3), tmp_path / "whole")
    fit(CONFIG, tmp_path / "run")
    assert main(["train", "--resume", str(tmp_path / "run"), "--epochs", "3", "--quiet"]) == 0
    progress = container.load(tmp_path / "run" / "last.h5")[2]["progress"]
    assert (progress["epoch"], progress["total_steps"]) == (3, 15)
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 4
    assert "epochs = 3" in (tmp_path / "run" / "config.toml").read_text()
    assert main(["train", "--resume", str(tmp_path / "run"), "--epochs", "2"]) == 1
    assert "--epochs must be at least the 3 that are done, got 2" in capsys.readouterr().err


def test_more_epochs_of_a_constant_rate_are_the_longer_training(tmp_path):
    config = replace(CONFIG, schedule="constant")
    fit(replace(config, epochs=2), tmp_path / "whole")
    fit(config, tmp_path / "run")
    fit(replace(config, epochs=2), tmp_path / "run", resume=True)
    arrays, expected = (container.load(tmp_path / name / "last.h5")[1] for name in ("run", "whole"))
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_patience_ends_a_training_early(tmp_path):
    fit(replace(CONFIG, epochs=9, lr=0, patience=2), tmp_path / "run")
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 3  # the first is the best, and two more
    assert "no better epoch in the last 2: the training ends early" in (tmp_path / "run" / "log.txt").read_text()
    fit(replace(CONFIG, epochs=9, lr=0, patience=2), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "metrics.csv").read_text().splitlines() == rows
    fit(replace(CONFIG, epochs=20, lr=0, patience=2), tmp_path / "run", resume=True)
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 1 + 3 + 2  # asked for more: two more


def _rename(folder):
    (folder / "dog").rename(folder / "bird")


def _replace_class(folder):
    shutil.rmtree(folder / "dog")
    photos(folder, ("bird",), seed=5)


def _add_class(folder):
    photos(folder, ("bird",), seed=5)


def _add(folder):
    photos(folder, ("cat",), count=1, seed=7)


def _remove(folder):
    next((folder / "cat").iterdir()).unlink()


def _relabel(folder):
    for path in [*(folder / "cat").iterdir()]:
        path.rename(folder / path.name)
    for path in [*(folder / "dog").iterdir()]:
        path.rename(folder / "cat" / path.name)
    for path in folder.glob("*.png"):
        path.rename(folder / "dog" / path.name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_rename, r"the classes have changed \(gone: dog, new: bird\)"),
        (_replace_class, r"the classes have changed \(gone: dog, new: bird\)"),
        (_add_class, r"the classes have changed \(none gone, new: bird\)"),
        (_add, r"1 added \(cat/7-0.png\)"),
        (_remove, "1 removed"),
        (_relabel, "(some have another class|moved between)"),
    ],
)
def test_other_images_are_noticed_on_resume(tmp_path, change, message):
    config = TrainConfig(data=str(photos(tmp_path / "pets")), model="lenet5", epochs=1, batch_size=8)
    fit(config, tmp_path / "run")
    before = (tmp_path / "run" / "last.h5").read_bytes()
    change(tmp_path / "pets")
    with pytest.raises(StorageError, match=rf"was trained on other images: .*{message}.*; put them back"):
        fit(replace(config, epochs=2), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "last.h5").read_bytes() == before


def test_a_model_knows_its_images(tmp_path):
    config = TrainConfig(data=str(photos(tmp_path / "pets")), model="lenet5", epochs=1, batch_size=8, image_size=16)
    fit(config, tmp_path / "run")
    dataset = binnet_datasets.load(None, tmp_path / "pets")
    info = binnet.load(tmp_path / "run" / "packed.h5").info
    assert info.trained_on.tolist() == sorted(dataset.train.images.keys.tolist())
    assert info.preprocessing == Preprocessing(20, 18)  # 16 · 256 / 224, rounded
    arrays = container.load(tmp_path / "run" / "best.h5")[1]
    assert arrays["validated_on"].tolist() == sorted(dataset.test.images.keys.tolist())


# ---------------------------------------------------------------------------------------------- the loss, the images


def test_weighted_cross_entropy_by_hand(backend):
    rng = np.random.default_rng(0)
    x, labels, weights = rng.standard_normal((6, 3)), np.array([0, 1, 2, 2, 2, 1]), np.array([3.0, 1.0, 0.5])
    logits = Tensor(x, requires_grad=True)
    loss = binnet.cross_entropy(logits, labels, 0.1, weights)
    loss.backward()
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    target = 0.9 * np.eye(3)[labels] + 0.1 / 3
    w = weights[labels] / weights[labels].sum()
    assert loss.item() == pytest.approx(-(w[:, None] * target * np.log(p)).sum(), rel=1e-6)
    np.testing.assert_allclose(logits.grad, w[:, None] * (p - target), atol=1e-6)
    with pytest.raises(ValueError, match="class_weights must be finite numbers above 0"):
        binnet.cross_entropy(logits, labels, class_weights=[1, 0, 1])


def labelled(counts, size=4):
    labels = np.repeat(np.arange(len(counts)), counts)
    return binnet_datasets.Split(np.zeros((len(labels), size, size, 1), np.uint8), labels)


def test_balanced_weights_and_few_images():
    data = binnet_datasets.Dataset("x", labelled([6, 2, 12]), labelled([5, 0, 9]), ("cat", "dog", "owl"))
    np.testing.assert_allclose(balanced(data), [20 / 18, 20 / 6, 20 / 36], rtol=1e-6)
    assert few_images(data) == [
        "warning: fewer than 5 training images of dog (2)",
        "warning: fewer than 5 validation images of dog (0)",
    ]


@pytest.mark.parametrize("class_weights", [None, np.array([0.2, 3, 1.5], np.float32)], ids=["equal", "weighted"])
@pytest.mark.parametrize("mix", [False, True])
def test_accumulated_gradients_are_those_of_the_whole_batch(mix, class_weights):
    from binnet.nn import Flatten, Linear, Sequential
    from binnet.optim import SGD
    from binnet.train.portion import Mix

    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((9, 4, 4, 1)).astype(np.float32), rng.integers(0, 3, 9)
    mixed, results = Mix.draw(0.5, 9, 0, 0, 0) if mix else None, []
    for accumulate in (1, 4):
        net = Sequential(Flatten(), Linear(16, 3, rng=1))
        config = TrainConfig(accumulate=accumulate)
        step = training_step(net, SGD(net.parameters(), 0.1), x, Targets(labels, mixed, class_weights), config, 0.1)
        results.append((step, net.state_dict()))
    (one, weights), (other, accumulated) = results
    assert one[0] == pytest.approx(other[0], rel=1e-6)
    assert one[1] == other[1]
    for name, array in weights.items():
        np.testing.assert_allclose(accumulated[name], array, rtol=1e-5, atol=1e-6)


def test_an_update_sees_all_accumulated_batches(tmp_path):
    fit(replace(CONFIG, batch_size=100, accumulate=3), tmp_path / "run")
    assert container.load(tmp_path / "run" / "last.h5")[2]["progress"]["total_steps"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val": "0.2"}, "--val is about images of your own: name them with --data"),
        ({"classes": "2", "dataset": "mnist", "data": "x"}, "--classes is about images of your own"),
        ({"class_weights": "balanced", "loss": "squared_hinge"}, "--class-weights needs --loss cross_entropy"),
        ({"label_smoothing": 0.1, "loss": "squared_hinge"}, "--label-smoothing needs --loss cross_entropy"),
        ({"recipe": "imagenet-64"}, "the recipe imagenet-64 needs images: name a store or folder of them with --data"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_dict(options)


def test_classes_and_validation_images_are_chosen(tmp_path, capsys):
    photos(tmp_path / "pets", ("cat", "dog", "owl"))
    flags = ["--model", "lenet5", "--epochs", "1", "--batch-size", "8", "--out", str(tmp_path / "run"), "--lr", "0"]
    assert main(["train", str(tmp_path / "pets"), *flags, "--classes", "cat,owl", "--val", "0.5"]) == 0
    out = capsys.readouterr().out
    info = binnet.load(tmp_path / "run" / "packed.h5").info
    assert info.class_names == ("cat", "owl")
    assert "warning: with a learning rate of 0 no weight will change" in out
    assert main(["train", str(tmp_path / "pets"), "--data", "x"]) == 1
    assert "the data is named twice" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- signals and streams


def test_sigterm_saves_like_ctrl_c(tmp_path):
    argv = [sys.executable, "-m", "binnet", "train", "--epochs", "500", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch"):
            break
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.startswith("binnet: stopped, everything is saved; continue with: binnet train --resume")
    assert container.load(tmp_path / "run" / "last.h5")[2]["progress"]["epoch"] >= 1


def test_output_that_is_closed_or_narrow(tmp_path):
    folder = photos(tmp_path / "фото")
    line = f"{sys.executable} -m binnet data build '{folder}' '{tmp_path}/a.h5' >&- 2>&-"
    assert subprocess.run(line, shell=True, check=False).returncode == 0
    argv = [sys.executable, "-m", "binnet", "data", "build", str(folder), str(tmp_path / "фото.h5")]
    done = subprocess.run(argv, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u0444\u043e\u0442\u043e.h5" in done.stdout


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (TerminatedError, 143)])
def test_stopped_before_the_first_step(tmp_path, monkeypatch, capsys, stop, code):
    def interrupt(training, spent):
        raise stop

    monkeypatch.setattr(trainer, "fit_budget", interrupt)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["train", "--time-budget", "9s", "--out", str(tmp_path / "run")]) == code
    assert capsys.readouterr().err == f"binnet: stopped; continue with: binnet train --resume {tmp_path / 'run'}\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_leaves_no_temporary_file(tmp_path, monkeypatch, capsys):
    def build(*_, **__):
        with replacing(tmp_path / "a.h5") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(binnet_datasets, "build_store", build)
    assert main(["data", "build", str(tmp_path), str(tmp_path / "a.h5")]) == 143
    assert capsys.readouterr().err == "binnet: stopped\n"
    assert not list(tmp_path.iterdir())


def test_compiling_is_said_before_it_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BINNET_CACHE_DIR", str(tmp_path / "kernels"))
    assert trainer.compiled_code_is_missing()
    monkeypatch.setattr(trainer, "Training", lambda *_: pytest.fail(capsys.readouterr().out))
    with pytest.raises(pytest.fail.Exception, match=r"compiling kernels \(once\)"):
        fit(CONFIG, tmp_path / "run", console=Console())
