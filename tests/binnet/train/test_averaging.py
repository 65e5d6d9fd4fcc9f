"""Moving averages of the weights: the formula, what is validated and kept, and that a training resumes bit for bit."""

import numpy as np
import pytest

import binnet_datasets
from binnet import nn, optim
from binnet.evaluation.evaluate import evaluate, open_model
from binnet.modelfile import container
from binnet.parallel.workers import ALONE
from binnet.train import TrainingInterruptedError, fit, trainer
from binnet.train.averaging import Averages
from binnet.train.config import ConfigError, TrainConfig

CONFIG = TrainConfig(epochs=2, batch_size=100, lr=0.01, ema=0.9)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(trainer.Curves, "available", lambda: False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run folder of a training with averages."""
    folder = tmp_path_factory.mktemp("ema") / "run"
    fit(CONFIG, folder)
    return folder


def arrays(path, prefix):
    return {
        name.removeprefix(prefix): array for name, array in container.load(path)[1].items() if name.startswith(prefix)
    }


def test_the_formula(rng):
    net = nn.Sequential(nn.BinLinear(3, 2, rng=0), nn.Linear(2, 2, rng=1))
    net[1].bias.requires_grad = False
    averages = Averages(net, 0.3, ALONE)
    names = [name for name, p in net.named_parameters() if p.requires_grad]
    expected = {name: p.data.astype(np.float64) for name, p in net.named_parameters()}
    for t in range(1, 6):
        decay = min(0.3, (1 + t) / (10 + t))
        for name, p in net.named_parameters():
            p.data += rng.standard_normal(p.shape).astype(np.float32)
            expected[name] = decay * expected[name] + (1 - decay) * p.data
        averages.update()
    state = averages.state_dict()
    assert set(state) == {*names, "updates"}
    assert state["updates"] == 5
    for name in names:
        np.testing.assert_allclose(state[name], expected[name], rtol=1e-5, atol=1e-6)


def test_the_network_has_the_averages_within_a_block_only():
    net = nn.Sequential(nn.Linear(3, 2, rng=0))
    averages, before = Averages(net, 0.5, ALONE), net[0].weight.data.copy()
    net[0].weight.data += 1

    def fail():
        with averages.used():
            np.testing.assert_array_equal(net[0].weight.data, before)
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        fail()
    np.testing.assert_array_equal(net[0].weight.data, before + 1)


def test_averages_of_other_weights_are_refused():
    averages = Averages(nn.Sequential(nn.Linear(3, 2, rng=0)), 0.5, ALONE)
    state = averages.state_dict()
    with pytest.raises(ValueError, match="its averages are of other weights"):
        averages.load_state_dict({name: array for name, array in state.items() if name != "0.bias"})
    with pytest.raises(ValueError, match=r"the average of 0.weight has the shape \(2, 2\), expected \(2, 3\)"):
        averages.load_state_dict(state | {"0.weight": np.zeros((2, 2))})


def test_the_best_epoch_is_kept_with_its_averages(run):
    """The last epoch is the best here: its averages are in both files, its weights in one."""
    best, last = arrays(run / "best.h5", "network."), arrays(run / "last.h5", "network.")
    averages = arrays(run / "last.h5", "averages.")
    assert averages.pop("updates") == 2 * 15
    for name, array in averages.items():
        np.testing.assert_array_equal(best[name], array, err_msg=name)
        assert not np.array_equal(last[name], array), name
    digits = binnet_datasets.load("digits")
    model = open_model(run / "best.h5")
    scores = evaluate(model.logits, digits.test, model.info, image_size=model.image_size)
    rows = (run / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("val_top1")
    assert scores.top1 == pytest.approx(float(rows[-1].split(",")[column]), abs=1e-6)
    assert scores.top1 > 0.5


def test_it_resumes_bit_for_bit(run, tmp_path, monkeypatch):
    from binnet.train import loop

    steps, original = [], loop.Training._between_steps

    def stop_at_20(self, stop):
        steps.append(None)
        if len(steps) == 20:
            stop.signal = 15
        original(self, stop)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "_between_steps", stop_at_20)
        with pytest.raises(TrainingInterruptedError):
            fit(CONFIG, tmp_path / "run")
    fit(CONFIG, tmp_path / "run", resume=True)
    for file in ("best.h5", "last.h5"):
        expected, found = container.load(run / file)[1], container.load(tmp_path / "run" / file)[1]
        assert set(found) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_without_averages_nothing_is_added(tmp_path):
    fit(TrainConfig(epochs=1, batch_size=400, lr=0.01), tmp_path / "run")
    assert arrays(tmp_path / "run" / "last.h5", "averages.") == {}


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan")])
def test_what_is_no_decay(decay):
    with pytest.raises(ConfigError, match="--ema must be a number of at least 0 and below 1, got"):
        TrainConfig(ema=decay)


def test_an_optimiser_changes_the_weights_and_not_the_averages():
    net = nn.Sequential(nn.Linear(3, 2, rng=0))
    averages, optimiser = Averages(net, 0.5, ALONE), optim.SGD(net.parameters(), 0.1)
    before = averages.state_dict()["0.weight"].copy()
    net[0].weight.receive(np.ones((2, 3), np.float32), True)
    optimiser.step()
    np.testing.assert_array_equal(averages.state_dict()["0.weight"], before)
