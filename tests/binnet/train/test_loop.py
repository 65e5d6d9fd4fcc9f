"""The training loop: checkpoints, and detection of divergence."""

from dataclasses import replace

import numpy as np
import pytest

import binnet_datasets
from binnet import watch
from binnet.console import Console
from binnet.modelfile import container
from binnet.train import TrainingError, fit, loop, trainer
from binnet.train.config import ConfigError, TrainConfig
from binnet.train.origin import Origin
from binnet.train.output.run_folder import RunFolder

CONFIG = TrainConfig(epochs=3, batch_size=40, lr=0.01)
BATCHES = -(-1437 // 40)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)


def test_checkpoints_within_an_epoch(tmp_path, monkeypatch):
    saved, original = [], loop.checkpoint.save

    def save(path, state, config, info, images):
        saved.append((path.name, state.progress.epoch, state.progress.batch))
        original(path, state, config, info, images)

    monkeypatch.setattr(loop.checkpoint, "save", save)
    fit(replace(CONFIG, epochs=1, batch_size=300, checkpoint_every=1e-9), tmp_path / "run")
    within = [("last.h5", 0, batch) for batch in (0, 1, 2, 3, 4)]
    assert saved == [*within, ("best.h5", 1, 0), ("last.h5", 1, 0)]
    saved.clear()
    fit(replace(CONFIG, epochs=1, batch_size=300, checkpoint_every=0), tmp_path / "none")
    assert saved == [("last.h5", 0, 0), ("best.h5", 1, 0), ("last.h5", 1, 0)]


@pytest.mark.parametrize("until", [0.5, 1.0])
def test_statistics_stay_after_their_share_of_the_training(tmp_path, monkeypatch, until):
    """The other layers go on in training mode, and all weights go on learning."""
    seen, modes, original = [], [], loop.training_step

    def step(network, *rest):
        seen.append([b.copy() for name, b in network.named_buffers() if "running" in name])
        modes.append({type(module).__name__: module.training for _, module in network.named_modules()})
        before = {name: p.array.copy() for name, p in network.named_parameters()}
        result = original(network, *rest)
        still = [name for name, p in network.named_parameters() if np.array_equal(p.array, before[name])]
        assert not still
        return result

    monkeypatch.setattr(loop, "training_step", step)
    fit(TrainConfig(epochs=2, batch_size=300, lr=0.01, schedule="constant", statistics_until=until), tmp_path / "run")
    steps = len(seen)  # 5 of each epoch
    same = [all(map(np.array_equal, seen[i], seen[i + 1])) for i in range(steps - 1)]
    assert same == [i >= steps * until for i in range(steps - 1)]
    assert [mode.pop("BatchNorm") for mode in modes] == [i < steps * until for i in range(steps)]
    assert all(all(mode.values()) for mode in modes)


def test_a_network_without_normalisations_has_no_statistics_to_keep(tmp_path):
    (tmp_path / "net.py").write_text(
        "import numpy as np\n"
        "from binnet import nn\n"
        "def build(num_classes, seed):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes, rng=np.random.default_rng(seed)))\n"
    )
    model = f"{tmp_path / 'net.py'}:build"
    with pytest.raises(ConfigError, match=r"--statistics-until must be 1 for .*net.py:build, which has no .*, got 0.5"):
        fit(TrainConfig(epochs=1, model=model, statistics_until=0.5), tmp_path / "run")
    assert not [*(tmp_path / "run").iterdir()]


def test_statistics_of_few_steps_are_warned_of(tmp_path):
    fit(TrainConfig(epochs=1, batch_size=300, statistics_until=0.4), tmp_path / "run")
    assert "keep statistics of only 2 steps" in (tmp_path / "run" / "log.txt").read_text()


def test_a_loss_that_is_not_finite(tmp_path):
    """Overflows of a diverging training raise no warnings, only the final error."""
    message = (
        r"(the loss became nan|.* values that are not finite) at epoch 1, batch \d+ "
        r"\(lr .*\); try a lower --lr \(.*last.h5 is the last good"
    )
    with pytest.raises(TrainingError, match=message):
        fit(TrainConfig(epochs=1, lr=1e300), tmp_path / "run")
    names = ["config.toml", "health.csv", "last.h5", "log.txt", "metrics.csv"]
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == names
    assert all(np.isfinite(array).all() for array in container.load(tmp_path / "run" / "last.h5")[1].values())


def test_weights_are_not_compared_in_each_step(tmp_path, monkeypatch):
    """Nobody else holds them; fingerprints against changes in place take time, and are for other arrays."""
    networks, compared, original = [], set(), loop.training_step

    def step(network, *rest):
        networks.append(network)
        return original(network, *rest)

    monkeypatch.setattr(loop, "training_step", step)
    monkeypatch.setattr(watch, "fingerprint", lambda array: compared.add(array.shape) or b".")
    fit(replace(CONFIG, epochs=1, batch_size=300), tmp_path / "run")
    assert (300, 8, 8, 1) in compared  # images, which the loader holds as well
    weights = {parameter.shape for parameter in networks[0].parameters()}
    assert not compared & weights


def high_from(monkeypatch, batch, loss=1e6):
    """Replace the loss by a high one from a batch on."""
    original, count = loop.training_step, iter(range(10**9))

    def step(*args):
        found = original(*args)
        return found if next(count) < batch else (loss, 0)

    monkeypatch.setattr(loop, "training_step", step)


@pytest.mark.slow
def test_a_loss_that_stays_far_too_high(tmp_path, monkeypatch):
    high_from(monkeypatch, 50)
    config = replace(CONFIG, batch_size=5, checkpoint_every=1e-9)  # 288 batches an epoch
    with pytest.raises(TrainingError, match=r"the loss has been above \d.* for 100 batches at epoch 1, batch 150 \(lr"):
        fit(config, tmp_path / "run")
    assert (
        container.load(tmp_path / "run" / "last.h5")[2]["progress"]["batch"] == 50 + 9
    )  # from 10 on, nothing is saved


def test_a_loss_that_is_far_too_high_at_the_end_of_an_epoch(tmp_path, monkeypatch):
    high_from(monkeypatch, BATCHES + 20)
    with pytest.raises(TrainingError, match=r"far too high in the last 16 batches of epoch 2 \(lr .*try a lower --lr"):
        fit(CONFIG, tmp_path / "run")
    assert container.load(tmp_path / "run" / "last.h5")[2]["progress"]["epoch"] == 1
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 1 + 1


def test_a_high_loss_now_and_then_is_nothing(tmp_path, monkeypatch):
    high_from(monkeypatch, BATCHES - 9)
    assert fit(replace(CONFIG, epochs=1), tmp_path / "run").n == 360


def test_weights_that_are_not_finite_are_not_saved(tmp_path, monkeypatch):
    original = loop.training_step

    def step(network, *args):
        found = original(network, *args)
        network.conv1.weight.data[0, 0, 0, 0] = np.inf  # as after a step that overflowed
        return found

    monkeypatch.setattr(loop, "training_step", step)
    with pytest.raises(TrainingError, match=r"network.conv1.weight is no longer finite after 1 epochs and 0 batches"):
        fit(replace(CONFIG, batch_size=2000), tmp_path / "run")
    _, arrays, description = container.load(tmp_path / "run" / "last.h5")
    assert description["progress"]["epoch"] == 0
    assert np.isfinite(arrays["network.conv1.weight"]).all()


def test_binary_weights_that_are_not_finite_in_validation(tmp_path, monkeypatch):
    original = loop.training_step

    def step(network, *args):
        found = original(network, *args)
        network.conv2.weight.data[0, 0, 0, 0] = np.nan
        return found

    monkeypatch.setattr(loop, "training_step", step)
    message = r"^conv2 \(BinConv2d\): the weights .* no longer finite at epoch 1, batch 2 .*; try a lower --lr"
    with pytest.raises(TrainingError, match=message):
        fit(replace(CONFIG, batch_size=2000), tmp_path / "run")


def test_without_images_to_validate_on(tmp_path):
    digits = binnet_datasets.load("digits")
    nothing = binnet_datasets.Split(digits.test.images[:0], digits.test.labels[:0])
    dataset = binnet_datasets.Dataset("mine", digits.train, nothing, digits.class_names)
    with pytest.raises(binnet_datasets.DataError, match="expected images for validation in mine, but there are none"):
        loop.Training(CONFIG, dataset, RunFolder(tmp_path / "run"), Console(quiet=True), Origin())
