"""Checkpoints: they contain the complete state, and those that do not fit are rejected."""

import numpy as np
import pytest

from binnet import Tensor, cross_entropy, models, optim
from binnet.modelfile import container
from binnet.modelfile.container import CHECKPOINT, PACKED, StorageError
from binnet.modelfile.info import DataInfo
from binnet.train import diagnostics
from binnet.train.config import TrainConfig
from binnet.train.output import checkpoint
from binnet.train.output.state import Progress, State

CONFIG = TrainConfig(epochs=3, optimizer="sgd", seed=5)
INFO = DataInfo("digits", tuple("abcd"), (0.5,), (0.25,), {"epoch": 2})
PROGRESS = Progress(90, 2, 7, 12.5, 40, 64, 0.75, 0.5, 2.5, 1, 3.25)


def network(seed=0, **options):
    return models.build("lenet5", num_classes=4, in_channels=1, image_size=8, seed=seed, **options)


def state(net, optimizer, progress=PROGRESS):
    return State(net, optimizer, progress, diagnostics.signs(net), net.spec)


def step(net, optimizer):
    """Run one training step, always on the same images."""
    x = np.random.default_rng(1).standard_normal((8, 8, 8, 1)).astype(np.float32)
    optimizer.zero_grad()
    cross_entropy(net.train()(Tensor(x)), np.arange(8) % 4).backward()
    optimizer.step()


@pytest.fixture(params=["adam", "sgd"])
def make_optimizer(request):
    return {
        "adam": lambda net: optim.Adam(net.parameters(), 0.01),
        "sgd": lambda net: optim.SGD(net.parameters(), 0.1),
    }[request.param]


@pytest.fixture
def path(tmp_path):
    """A checkpoint of a network after one step of SGD."""
    net = network()
    optimizer = optim.SGD(net.parameters(), 0.1)
    step(net, optimizer)
    checkpoint.save(tmp_path / "last.h5", state(net, optimizer), CONFIG, INFO)
    return tmp_path / "last.h5"


def fresh(seed=9):
    net = network(seed)
    return state(net, optim.SGD(net.parameters(), 0.1), Progress())


def test_training_goes_on_with_the_same_bits(tmp_path, make_optimizer):
    net = network(scale="learned", dropout=0.5)
    optimizer = make_optimizer(net)
    step(net, optimizer)
    before = state(net, optimizer)
    step(net, optimizer)
    checkpoint.save(tmp_path / "c.h5", before, CONFIG, INFO)
    other = network(seed=9, scale="learned", dropout=0.5)
    other.dropout.seed = net.dropout.seed  # a network's seed comes from the configuration, not from the checkpoint
    other_optimizer = make_optimizer(other)
    after = state(other, other_optimizer, Progress())
    checkpoint.restore(tmp_path / "c.h5", after)
    assert after.progress == PROGRESS
    for name, words in before.signs.items():  # those of the epoch before, not those of the weights
        np.testing.assert_array_equal(after.signs[name], words)
    assert (diagnostics.signs(other)["conv2"] != after.signs["conv2"]).any()
    for _ in range(2):
        step(net, optimizer)
        step(other, other_optimizer)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array, err_msg=name)


def test_contents(path):
    kind, arrays, description = container.load(path)
    known = fresh()
    assert kind == CHECKPOINT
    assert set(description) == {"model", "data", "config", "progress", "images", "start"}
    names = {f"network.{n}" for n in known.network.state_dict()}
    names |= {f"optimizer.{n}" for n in known.optimizer.state_dict()} | {"signs.conv2", "signs.dense3"}
    assert set(arrays) == names
    assert {"network.conv2.weight", "optimizer.momentum.0", "optimizer.updates"} < names
    assert DataInfo.from_dict(description["data"]) == INFO


def test_the_configuration_can_be_read_alone(path):
    assert checkpoint.read_config(path) == CONFIG


def test_a_packed_model_is_no_checkpoint(tmp_path):
    container.save(tmp_path / "packed.h5", PACKED, {}, {})
    with pytest.raises(StorageError, match="is a binnet packed model, expected a binnet checkpoint"):
        checkpoint.read_config(tmp_path / "packed.h5")
    with pytest.raises(StorageError, match="is a binnet packed model, expected a binnet checkpoint"):
        checkpoint.restore(tmp_path / "packed.h5", fresh())


def test_another_network_is_left_as_it_was(path):
    net = models.build("lenet5", num_classes=5, in_channels=1, image_size=8)
    before = net.state_dict()
    with pytest.raises(StorageError, match=r"does not fit this training: .*dense4.weight.*\(5, 500\), got \(4, 500\)"):
        checkpoint.restore(path, state(net, optim.SGD(net.parameters(), 0.1)))
    for name, array in before.items():
        np.testing.assert_array_equal(net.state_dict()[name], array)


def test_another_optimizer(path):
    net = network()
    with pytest.raises(StorageError, match=r"does not fit this training: .*another optimiser"):
        checkpoint.restore(path, state(net, optim.Adam(net.parameters())))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"config": {"epochs": 0}},
            "no configuration that this binnet understands: --epochs must be a whole number of at least 1",
        ),
        ({"config": {"epoch": 3}}, "understands: unknown option 'epoch'"),
        ({"config": 3}, "holds no configuration"),
        ({"config": None}, "holds no configuration"),
        ({"progress": {"epochs": 3}}, "does not fit this training"),
        ({"progress": None}, "does not fit this training"),
    ],
)
def test_a_description_that_makes_no_sense(path, change, match):
    _, arrays, description = container.load(path)
    container.save(path, CHECKPOINT, arrays, {**description, **change})
    read = checkpoint.read_config if "config" in change else lambda path: checkpoint.restore(path, fresh())
    with pytest.raises(StorageError, match=match):
        read(path)


def test_a_description_with_a_field_missing(path):
    _, arrays, description = container.load(path)
    container.save(path, CHECKPOINT, arrays, {"model": description["model"], "data": description["data"]})
    with pytest.raises(StorageError, match="holds no configuration"):
        checkpoint.read_config(path)
    with pytest.raises(StorageError, match="does not fit this training: 'progress'"):
        checkpoint.restore(path, fresh())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_not_saved(path, value):
    before, known = path.read_bytes(), fresh()
    known.optimizer.state[1]["momentum"][0] = value
    with pytest.raises(checkpoint.NotFiniteError, match=r"optimizer.momentum.1 is no longer finite"):
        checkpoint.save(path, known, CONFIG, INFO)
    assert path.read_bytes() == before


@pytest.mark.parametrize("signs", [{}, {"signs.conv2": np.zeros(3, np.uint64)}])
def test_signs_that_do_not_fit(path, signs):
    kind, arrays, description = container.load(path)
    kept = {name: array for name, array in arrays.items() if not name.startswith("signs.")}
    container.save(path, kind, {**kept, **signs}, description)
    with pytest.raises(StorageError, match="does not fit this training: its binary layers are different"):
        checkpoint.restore(path, fresh())
