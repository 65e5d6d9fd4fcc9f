"""Scores against numbers worked out by hand, and opening models of both kinds."""

import json
import threading

import numpy as np
import pytest

import binnet
import binnet_datasets
from binnet import models, optim
from binnet.evaluation.evaluate import Scores, evaluate, in_top, open_model
from binnet.modelfile import container
from binnet.modelfile.container import CHECKPOINT, PACKED, StorageError
from binnet.modelfile.info import DataInfo
from binnet.train import diagnostics
from binnet.train.config import TrainConfig
from binnet.train.output import checkpoint
from binnet.train.output.state import Progress, State

PLAIN = DataInfo(mean=(0.0,), std=(1.0,))
INFO = DataInfo("digits", tuple("0123456789"), (0.25,), (0.5,), {"epoch": 1})


@pytest.fixture(scope="module")
def net():
    return models.build("lenet5", num_classes=10, in_channels=1, image_size=8, seed=2)


@pytest.fixture
def files(net, tmp_path):
    """A checkpoint and a packed model of one network."""
    state = State(net, optim.Adam(net.parameters()), Progress(), diagnostics.signs(net), net.spec)
    checkpoint.save(tmp_path / "last.h5", state, TrainConfig(), INFO)
    binnet.pack(net, INFO).save(tmp_path / "packed.h5")
    return tmp_path / "last.h5", tmp_path / "packed.h5"


def split(labels):
    """Images whose grey value is their number."""
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    return binnet_datasets.Split(images, np.array(labels, np.int64))


def table(rows):
    """A model that looks its logits up by the grey value of an image."""
    rows = np.array(rows, np.float32)
    return lambda x: rows[np.round(x[:, 0, 0, 0] * 255).astype(int)]


def test_scores_by_hand():
    logits = [[0, 0, 0], [0, 0, 9], [9, 0, 0], [0, 9, 0]]
    ticks = []
    scores = evaluate(table(logits), split([0, 2, 1, 1]), PLAIN, batch_size=3, tick=ticks.append)
    assert (scores.top1, scores.top5, scores.n) == (0.75, 1.0, 4)
    assert ticks == [4]
    np.testing.assert_array_equal(scores.predictions, [0, 2, 0, 1])
    np.testing.assert_array_equal(scores.confusion, [[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    surely, wrong = np.log1p(2 * np.exp(-9)), 9 + np.log1p(2 * np.exp(-9))
    assert scores.loss == pytest.approx((np.log(3) + 2 * surely + wrong) / 4, rel=1e-5)
    assert set(json.loads(json.dumps(scores.to_dict()))) == {"top1", "top5", "n", "loss", "balanced", "confusion"}
    assert scores.balanced == pytest.approx((1 + 1 / 2 + 1) / 3)


def test_images_are_normalised_as_the_file_says():
    seen = []
    info = DataInfo("x", (), (0.5,), (0.25,))
    evaluate(lambda x: seen.append(x) or np.zeros((len(x), 2), np.float32), split([0, 1]), info)
    np.testing.assert_allclose(seen[0][1], (1 / 255 - 0.5) / 0.25, rtol=1e-6)
    assert seen[0].dtype == np.float32


def test_the_batch_size_changes_no_score(net):
    test = binnet_datasets.load("digits").test
    model = binnet.pack(net)
    one, other = evaluate(model, test, INFO, 7), evaluate(model, test, INFO, 1000)
    np.testing.assert_array_equal(one.predictions, other.predictions)
    assert one.loss == pytest.approx(other.loss, rel=1e-6)


def test_the_model_sees_the_centre_of_larger_images():
    seen = []
    ramp = np.arange(6, dtype=np.uint8)[None, :, None, None] * np.ones((3, 1, 7, 1), np.uint8)
    images = binnet_datasets.Split(ramp, np.zeros(3, np.int64))
    model = lambda x: seen.append(x) or np.zeros((len(x), 2), np.float32)  # noqa: E731
    evaluate(model, images, PLAIN, image_size=(5, 4))
    assert np.rint(seen[0][0, :, 0, 0] * 255).tolist() == [0, 1, 2, 3, 4]
    assert seen[0].shape == (3, 5, 4, 1)


@pytest.mark.parametrize(
    ("size", "expected"), [((3, 3), [256, 4]), ((128, 128), [256, 4]), ((256, 129), [127, 127, 6])]
)
def test_batches_of_large_images_are_smaller(size, expected):
    images = binnet_datasets.Split(np.zeros((260, 1, 1, 1), np.uint8), np.zeros(260, np.int64))
    ticks = []
    evaluate(lambda x: np.zeros((len(x), 2), np.float32), images, PLAIN, tick=ticks.append, image_size=size)
    assert ticks == expected


def test_a_model_that_fails_leaves_no_thread_behind():
    before = set(threading.enumerate())

    def fail(x):
        raise MemoryError

    with pytest.raises(MemoryError):
        evaluate(fail, split(range(9)), PLAIN, batch_size=1)
    assert not any(thread.is_alive() for thread in set(threading.enumerate()) - before)


def test_in_top_counts_ties_for_the_lower_class():
    logits = np.zeros((6, 6), np.float32)
    labels = np.arange(6)
    assert [in_top(logits, labels, k) for k in (1, 2, 5, 6, 9)] == [1 / 6, 2 / 6, 5 / 6, 1, 1]
    logits[5, 5] = 1
    assert in_top(logits, labels, 1) == 2 / 6


def test_nothing_to_evaluate_on():
    with pytest.raises(ValueError, match="there are no images to evaluate on"):
        evaluate(table([[0]]), split([]), PLAIN)


def test_both_kinds_of_file_give_the_same_model(files, net):
    x = np.random.default_rng(0).standard_normal((4, 8, 8, 1)).astype(np.float32)
    one, other = map(open_model, files)
    assert (one.kind, other.kind) == (CHECKPOINT, PACKED)
    for model in (one, other):
        assert (model.packed.built, model.info) == (net.spec.to_dict(), INFO)
        np.testing.assert_array_equal(model.logits(x), model.packed(x))
    np.testing.assert_array_equal(one.logits(x), other.logits(x))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a, d: a.pop("network.conv2.weight"), "is damaged: it does not hold as many weights as the network has"),
        (lambda a, d: a.update({"network.x": np.zeros(2, np.float32)}), "is damaged: .*x: not known to the network"),
        (
            lambda a, d: a.update({"network.dense4.bias": np.zeros(3, np.float32)}),
            r"is damaged: .*dense4.bias: expected shape \(10,\), got \(3,\)",
        ),
        (lambda a, d: d.pop("model"), "is damaged: .*model"),
        (lambda a, d: d.pop("data"), "is damaged: .*data"),
        (lambda a, d: d["model"].update(binarize="x"), "is damaged: unknown binarize 'x'"),
        (lambda a, d: d["model"].update(image_size=[10**9, 10**9]), "is damaged: "),
        (lambda a, d: d["data"].update(std=[-1]), "is damaged: std must be above 0"),
    ],
)
def test_checkpoints_that_do_not_fit(files, change, match):
    kind, arrays, description = container.load(files[0])
    change(arrays, description)
    container.save(files[0], kind, arrays, description)
    with pytest.raises(StorageError, match=match) as caught:
        open_model(files[0])
    assert str(files[0]) in str(caught.value)


def test_class_names():
    assert [INFO.class_name(i) for i in (0, 9, 10)] == ["0", "9", "10"]
    assert DataInfo().class_name(3) == "3"


def test_scores_are_plain_numbers():
    scores = Scores(0.5, 1.0, 1.0, 2, np.zeros(2, np.int64), np.eye(2, dtype=np.int64))
    assert scores.to_dict()["confusion"] == [[1, 0], [0, 1]]
