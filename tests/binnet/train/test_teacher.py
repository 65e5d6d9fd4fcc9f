"""Training with a teacher: the loss, teachers that fit and those that do not, and that it resumes bit for bit."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

import binnet
import binnet_datasets
from binnet import models
from binnet.cli import main
from binnet.evaluation.evaluate import open_model
from binnet.modelfile import CHECKPOINT, container
from binnet.modelfile.container import StorageError
from binnet.modelfile.info import DataInfo
from binnet.nn import Flatten, Linear, Sequential, Softmax
from binnet.optim import SGD
from binnet.profiler import Profile
from binnet.train import TrainingInterruptedError, fit, throughput, trainer
from binnet.train.config import ConfigError, TrainConfig
from binnet.train.output import checkpoint
from binnet.train.portion import Mix
from binnet.train.pretrained.teacher import Teacher
from binnet.train.step import Targets, training_step
from naive import naive_softmax_cross_entropy
from naive_ops import naive_distillation

CONFIG = TrainConfig(epochs=2, batch_size=100, lr=0.01, crop_pad=1, flip=True, mixup=0.3)
BATCHES = -(-1437 // 100)
DIGITS = binnet_datasets.load("digits")
NAMES = DIGITS.class_names


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """The run folder of a float network for the digits, a teacher."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    fit(TrainConfig(epochs=2, batch_size=50, lr=0.005, binarize="float"), folder)
    return folder


def arrays(folder, name="last.h5"):
    return container.load(folder / name)[1]


def assert_same(folder, other):
    one, expected = arrays(folder), arrays(other)
    assert set(one) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(one[name], array, err_msg=name)


def linear(seed=1, bias=0.0):
    net = Sequential(Flatten(), Linear(64, 10, rng=seed))
    net[1].bias.data[...] += bias
    return net


def saved(path, names=NAMES, mean=0.25, std=0.5, net=None, shape=(8, 8, 1)):
    """A packed model, and the function that it computes of pixels / 255."""
    net = linear(bias=np.arange(10) / 4) if net is None else net
    binnet.pack(net, mean=mean, std=std, class_names=names, input_shape=shape).save(path)
    return str(path), lambda x: net(binnet.Tensor((x - mean) / std)).numpy()


# ---- the loss


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.9, 1.0])
def test_the_loss_is_the_formula(share, mixed, accumulate, rng):
    x, labels = rng.standard_normal((9, 8, 8, 1)).astype(np.float32), rng.integers(0, 10, 9)
    mix, weights = Mix.draw(0.5, 9, 0, 0, 0) if mixed else None, rng.random(10).astype(np.float32) + 0.5
    net, other, seen = linear(), linear(seed=2), []
    smoothing, temperature = 0.1, 3.0

    def teacher(images):
        seen.append(images.copy())
        return other(binnet.Tensor(images)).numpy()

    blended = x if mix is None else np.float32(mix.share) * x + np.float32(1 - mix.share) * x[mix.partner]
    logits = blended.reshape(9, 64) @ net[1].weight.data.T + net[1].bias.data
    scores = blended.reshape(9, 64) @ other[1].weight.data.T + other[1].bias.data
    expected = share * np.mean(naive_distillation(logits, scores, temperature))
    for part, each in [(1.0, labels)] if mix is None else [(mix.share, labels), (1 - mix.share, labels[mix.partner])]:
        losses, w = naive_softmax_cross_entropy(logits, each, smoothing)[0], weights[each].astype(np.float64)
        expected += (1 - share) * part * (losses * w).sum() / w.sum()
    config = TrainConfig(
        teacher="x", teacher_share=share, temperature=temperature, label_smoothing=smoothing, accumulate=accumulate
    )
    loss, _ = training_step(net, SGD(net.parameters(), 0.1), x, Targets(labels, mix, weights, teacher), config, 0.0)
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(np.concatenate(seen), blended, rtol=1e-6)  # the images that the network sees
    if share == 1:
        q, p = (np.exp(v / 3) / np.exp(v / 3).sum(axis=1, keepdims=True) for v in (logits, scores))
        np.testing.assert_allclose(net[1].bias.grad, (3 * (q - p)).mean(axis=0), rtol=1e-3, atol=1e-6)


def test_a_share_of_0_is_a_training_without_a_teacher(taught, tmp_path):
    plain = replace(CONFIG, epochs=1)
    fit(plain, tmp_path / "plain")
    fit(replace(plain, teacher=str(taught), teacher_share=0.0), tmp_path / "run")
    assert_same(tmp_path / "run", tmp_path / "plain")


@pytest.mark.slow
def test_with_a_share_of_1_labels_change_nothing_and_wrong_ones_do_no_harm(taught, tmp_path, monkeypatch):
    """Labels drawn at random teach nothing; the teacher's scores for the same images do."""
    wrong = np.random.default_rng(0).integers(0, 10, len(DIGITS.train))
    data = replace(DIGITS, train=binnet_datasets.Split(DIGITS.train.images, wrong))
    monkeypatch.setattr(trainer.loading, "load", lambda *args, **options: data)
    config = TrainConfig(epochs=2, batch_size=50, lr=0.01)
    alone = fit(config, tmp_path / "alone")
    student = fit(replace(config, teacher=str(taught), teacher_share=1.0), tmp_path / "student")
    assert alone.top1 < 0.4
    assert student.top1 > 0.8
    monkeypatch.setattr(trainer.loading, "load", lambda *args, **options: DIGITS)
    fit(replace(config, teacher=str(taught), teacher_share=1.0), tmp_path / "other")
    one, other = (arrays(tmp_path / name) for name in ("student", "other"))
    for name in one:
        if name.startswith("network."):
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# ---- resuming, time budgets and profiles


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["best.h5", "packed.h5"])
def test_a_resumed_training_needs_only_its_folder(taught, tmp_path, interrupt_at, kind):
    file = tmp_path / kind
    shutil.copy(taught / kind, file)
    config = replace(CONFIG, teacher=str(file), temperature=3.0, accumulate=2)
    fit(config, tmp_path / "whole")
    interrupt_at(BATCHES // 2 + 2)
    with pytest.raises(TrainingInterruptedError):
        fit(config, tmp_path / "run")
    file.write_bytes(b"something else")
    fit(config, tmp_path / "run", resume=True)
    assert_same(tmp_path / "run", tmp_path / "whole")
    assert (tmp_path / "run" / "teacher.h5").read_bytes() == (taught / "packed.h5").read_bytes()
    (tmp_path / "run" / "teacher.h5").unlink()
    with pytest.raises(StorageError, match=r"there is no file .*teacher\.h5"):
        fit(replace(config, epochs=3), tmp_path / "run", resume=True)


def test_a_run_without_a_checkpoint_begins_again(taught, tmp_path):
    """One that was stopped before its first checkpoint has its options, and perhaps its teacher."""
    config = replace(CONFIG, epochs=1, teacher=str(taught))
    fit(config, tmp_path / "whole")
    for names in (["config.toml"], ["config.toml", "teacher.h5"]):
        run = tmp_path / f"run{len(names)}"
        run.mkdir()
        for name in names:
            shutil.copy(tmp_path / "whole" / name, run / name)
        assert main(["train", "--resume", str(run), "--quiet"]) == 0
        assert_same(run, tmp_path / "whole")


def test_a_time_budget_includes_the_teacher(taught, tmp_path, monkeypatch):
    seen, step = [], throughput.training_step
    monkeypatch.setattr(throughput.budget, "steps_within", lambda *args: 2)
    monkeypatch.setattr(throughput, "training_step", lambda *args: seen.append(args[3]) or step(*args))
    fit(replace(CONFIG, teacher=str(taught), time_budget="1s"), tmp_path / "run")
    assert seen
    assert all(targets.teacher is not None for targets in seen)


def test_the_profile_shows_the_teacher(rng):
    net, seen = linear(), Profile(steps=1, skip=0)
    targets = Targets(np.arange(6), teacher=lambda images: np.zeros((len(images), 10), np.float32))
    with seen.step():
        x = rng.standard_normal((6, 8, 8, 1)).astype(np.float32)
        training_step(net, SGD(net.parameters(), 0.1), x, targets, TrainConfig(teacher="x"), 0.1)
    assert next(phase for phase, _, _ in seen.rows()) == "teacher"
    assert seen.phases["teacher"] > 0


# ---- which teachers fit


def info_of(mean=0.25, std=0.5):
    return DataInfo("digits", NAMES, (mean,), (std,))


def test_images_are_converted_to_the_teachers_normalisation(tmp_path, rng):
    file, expected = saved(tmp_path / "t.h5")
    images = rng.random((5, 8, 8, 1)).astype(np.float32)
    same = Teacher.read(file).fitted(DIGITS, info_of(), (8, 8))
    np.testing.assert_array_equal(same((images - 0.25) / 0.5), binnet.load(file)((images - 0.25) / 0.5))
    other = Teacher.read(file).fitted(DIGITS, info_of(0.625, 0.125), (8, 8))
    # These numbers have no rounding error in float32, so the conversion has none either.
    exact = np.round(images * 256) / 256
    np.testing.assert_array_equal(other((exact - 0.625) / 0.125), same((exact - 0.25) / 0.5))
    np.testing.assert_allclose(other((images - 0.625) / 0.125), expected(images), rtol=1e-4, atol=1e-5)


def test_classes_in_another_order_are_permuted(tmp_path, rng):
    order = rng.permutation(10)
    file, expected = saved(tmp_path / "t.h5", names=[NAMES[i] for i in order])
    images = rng.random((5, 8, 8, 1)).astype(np.float32)
    found = Teacher.read(file).fitted(DIGITS, info_of(), (8, 8))((images - 0.25) / 0.5)
    np.testing.assert_allclose(found[:, order], expected(images), rtol=1e-4, atol=1e-5)


def test_probabilities_become_scores(tmp_path, rng):
    net = linear()
    file, _ = saved(tmp_path / "t.h5", net=Sequential(*net, Softmax()))
    images = rng.standard_normal((3, 8, 8, 1)).astype(np.float32)
    scores, logits = Teacher.read(file).fitted(DIGITS, info_of(), (8, 8))(images), net(binnet.Tensor(images)).numpy()
    difference = scores - logits
    np.testing.assert_allclose(difference - difference[:, :1], 0, atol=1e-4)


def test_a_teacher_that_reads_pixels_gets_them_back(taught, tmp_path):
    model, pixels = open_model(taught / "best.h5"), DIGITS.test.images[:20]
    mean, std = model.info.normalisation()
    images = binnet_datasets.normalise(DIGITS.train.images[:50], mean, std)
    how = {"input_shape": (8, 8, 1), "real": "int8", "calibration": images}
    binnet.pack(model.network, model.info, **how).save(tmp_path / "int8.h5")
    teacher = Teacher.read(tmp_path / "int8.h5")
    assert teacher.model.takes_pixels
    for info in (model.info, info_of()):
        found = teacher.fitted(DIGITS, info, (8, 8))(binnet_datasets.normalise(pixels, *info.normalisation()))
        np.testing.assert_array_equal(found, teacher.model(pixels))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "does not say what its classes are called: give binnet.pack its class_names"),
        ((*NAMES[:9], "owl"), "t.h5 was not trained on the class 9 of digits"),
        (tuple("abcdefghij"), "t.h5 has other classes: no class of digits"),
    ],
)
def test_other_classes_are_refused(tmp_path, names, message):
    file, _ = saved(tmp_path / "t.h5", names=names)
    with pytest.raises(ConfigError, match=message):
        Teacher.read(file).fitted(DIGITS, info_of(), (8, 8))


def test_a_teacher_of_more_classes_is_refused(tmp_path):
    net = Sequential(Flatten(), Linear(64, 11, rng=0))
    file, _ = saved(tmp_path / "t.h5", names=(*NAMES, "owl"), net=net)
    with pytest.raises(ConfigError, match=r"t\.h5 has the class owl, which digits does not have"):
        Teacher.read(file).fitted(DIGITS, info_of(), (8, 8))


@pytest.mark.parametrize(("shape", "what"), [((9, 8, 1), "9x8 pixels and 1 channel,"), ((8, 8, 3), "8x8 pixels and 3")])
def test_images_of_another_shape_are_refused(tmp_path, shape, what):
    net = Sequential(Flatten(), Linear(int(np.prod(shape)), 10, rng=0))
    file, _ = saved(tmp_path / "t.h5", net=net, shape=shape)
    with pytest.raises(ConfigError, match=f"takes images of {what}.*this training has 8x8 pixels and 1 channel;"):
        Teacher.read(file).fitted(DIGITS, info_of(), (8, 8))


def test_a_network_for_any_size_teaches_at_its_own(tmp_path):
    net = models.build("quick", "float", in_channels=1, image_size=16)
    file, _ = saved(tmp_path / "t.h5", net=net.eval(), shape=(16, 16, 1))
    with pytest.raises(ConfigError, match="takes images of 16x16 pixels"):
        Teacher.read(file).fitted(DIGITS, info_of(), (8, 8))


def test_models_that_cannot_teach(tmp_path, say):
    with pytest.raises(StorageError, match="there is no file"):
        Teacher.read(tmp_path / "none.h5")
    path = tmp_path / "t.h5"
    binnet.pack(linear(), class_names=NAMES, input_shape=(8, 8, 1)).save(path)
    with pytest.raises(ValueError, match="does not say how images are normalised"):
        Teacher.read(path)
    code, out, err = say("train", "--teacher", "quick-tiny20", "--out", tmp_path / "run", "--quiet")
    assert (code, out) == (1, "")
    assert err.startswith("binnet: error: the teacher quick-tiny20 has other classes: no class of digits")


def test_the_checkpoint_of_a_custom_network_is_refused_and_its_run_folder_is_not(tmp_path, say):
    file = tmp_path / "net.py"
    file.write_text(
        "from binnet.nn import Flatten, Linear, Sequential\n"
        "def build(seed):\n"
        "    return Sequential(Flatten(), Linear(64, 10, rng=seed))\n"
    )
    fit(TrainConfig(model=f"{file}:build", epochs=1, batch_size=200), tmp_path / "own")
    file.unlink()
    code, _, err = say("train", "--teacher", tmp_path / "own" / "best.h5", "--out", tmp_path / "run", "--quiet")
    assert code == 1
    assert "best.h5 holds a custom network, and the code in a file is never run: give --teacher its packed model" in err
    flags = ["--epochs", "1", "--batch-size", "200", "--out", str(tmp_path / "run"), "--quiet"]
    assert main(["train", "--teacher", str(tmp_path / "own"), *flags]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher_share": 0.5}, "--teacher-share needs --teacher: without one there are labels only"),
        ({"temperature": 4.0}, "--temperature needs --teacher"),
        ({"teacher": "x", "teacher_share": 1.5}, "--teacher-share must be a number from 0 to 1, got 1.5"),
        ({"teacher": "x", "temperature": 0.0}, "--temperature must be a number from 0.1 to 1000, got 0.0"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**options)


def test_a_teacher_cannot_be_given_on_resume(taught, say):
    code, _, err = say("train", "--resume", taught, "--teacher", "x")
    assert code == 1
    assert "--teacher cannot be given with --resume" in err


def test_the_options_are_kept(taught, tmp_path):
    config = replace(CONFIG, epochs=1, teacher=str(taught), teacher_share=0.5, loss="squared_hinge", mixup=0.0)
    fit(config, tmp_path / "run")
    assert checkpoint.read_config(tmp_path / "run" / "last.h5") == config
    assert container.load(tmp_path / "run" / "last.h5")[0] == CHECKPOINT
