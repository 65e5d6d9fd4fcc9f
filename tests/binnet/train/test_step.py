"""One training step, with mixup and gradient clipping."""

import numpy as np
import pytest

import binnet
from binnet import Tensor, models, optim
from binnet.nn import BatchNorm
from binnet.train.config import TrainConfig
from binnet.train.portion import Mix
from binnet.train.step import Targets, fix_statistics, training_step

LABELS = np.arange(6)


@pytest.fixture
def net():
    return models.build("lenet5", in_channels=1, image_size=8)


@pytest.fixture
def x(rng):
    return rng.standard_normal((6, 8, 8, 1)).astype(np.float32)


def sgd(net):
    return optim.SGD(net.parameters(), 1.0, momentum=0)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_one_step(loss, net, x):
    logits = net(Tensor(x))
    op = {"cross_entropy": binnet.cross_entropy, "squared_hinge": binnet.squared_hinge}[loss]
    expected, right = float(op(logits, LABELS).item()), int((logits.numpy().argmax(1) == LABELS).sum())
    before, optimizer = net.dense4.bias.data.copy(), sgd(net)
    assert training_step(net, optimizer, x, Targets(LABELS), TrainConfig(loss=loss), 0.5) == (expected, right)
    assert optimizer.lr == 0.5
    np.testing.assert_allclose(net.dense4.bias.data, before - np.float32(0.5) * net.dense4.bias.grad, rtol=1e-6)
    assert np.abs(net.dense4.bias.grad).max() > 0


def test_mixed_images(net, x):
    mix = Mix(np.array([1, 2, 3, 4, 5, 0]), 0.75)
    mixed = 0.75 * x + 0.25 * x[[1, 2, 3, 4, 5, 0]]
    np.testing.assert_allclose(mix.images(x, x[mix.partner]), mixed, rtol=1e-6, atol=1e-7)
    logits = net(Tensor(mix.images(x, x[mix.partner])))
    parts = [float(binnet.cross_entropy(logits, labels, 0.1).item()) for labels in (LABELS, (LABELS + 1) % 6)]
    config = TrainConfig(mixup=1.0, label_smoothing=0.1)
    loss, right = training_step(net, sgd(net), x, Targets(LABELS, mix), config, 0.0)
    assert loss == pytest.approx(0.75 * parts[0] + 0.25 * parts[1], rel=1e-6)
    assert right == (logits.numpy().argmax(1) == LABELS).sum()
    # The gradient is that of the target with two labels: softmax − target, averaged, at the bias of the classifier.
    exps = np.exp(logits.numpy() - logits.numpy().max(axis=1, keepdims=True))
    one_hot = np.eye(10, dtype=np.float32)
    target = 0.9 * (0.75 * one_hot[LABELS] + 0.25 * one_hot[(LABELS + 1) % 6]) + 0.01
    expected = (exps / exps.sum(axis=1, keepdims=True) - target).mean(axis=0)
    np.testing.assert_allclose(net.dense4.bias.grad, expected, rtol=1e-4, atol=1e-6)


def test_the_larger_part_decides_what_is_right(net, x):
    logits = net(Tensor(Mix(np.roll(LABELS, 1), 0.25).images(x, np.roll(x, 1, axis=0)))).numpy()
    labels = np.roll(logits.argmax(axis=1), -1)  # label i + 1 of the partner is the prediction of image i + 1
    mix = Mix(np.roll(LABELS, 1), 0.25)
    assert training_step(net, sgd(net), x, Targets(labels, mix), TrainConfig(mixup=1.0), 0.0)[1] == 6


def test_mixing_follows_from_seed_epoch_and_batch():
    drawn = [Mix.draw(0.4, 50, *key) for key in ((1, 2, 3), (1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 0))]
    assert drawn[0].share == drawn[1].share
    np.testing.assert_array_equal(drawn[0].partner, drawn[1].partner)
    assert len({mix.share for mix in drawn}) == 4
    for mix in drawn:
        assert sorted(mix.partner) == list(range(50))
        assert 0 <= mix.share <= 1


def test_mixing_draws_apart_from_the_order_of_the_images():
    """NumPy pads seeds with zeros, so [seed, epoch] and [seed, epoch, 0] would be one stream."""
    order = np.random.default_rng([1, 2]).permutation(50)
    assert (Mix.draw(0.4, 50, 1, 2, 0).partner != order).any()


def test_gradients_are_clipped_together(net, x):
    optimizer, free = sgd(net), TrainConfig()
    training_step(net, optimizer, x, Targets(LABELS), free, 0.0)
    whole = {name: p.grad.copy() for name, p in net.named_parameters()}
    norm = np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in whole.values()))
    training_step(net, optimizer, x, Targets(LABELS), TrainConfig(clip_norm=float(norm) / 4), 0.0)
    for name, p in net.named_parameters():
        np.testing.assert_allclose(p.grad, whole[name] / 4, rtol=1e-4, atol=1e-7, err_msg=name)
    training_step(net, optimizer, x, Targets(LABELS), TrainConfig(clip_norm=float(norm) * 1.01), 0.0)
    for name, p in net.named_parameters():
        np.testing.assert_array_equal(p.grad, whole[name], err_msg=name)


def test_workers_agree_on_statistics_before_they_stay(net, x):
    """Each may have those of its own images; they agree once, while the normalisations still follow the batches."""
    norms = [module for _, module in net.named_modules() if isinstance(module, BatchNorm)]
    agreed = []

    class Halving:
        def complete(self, statistics):
            agreed.append([norm.training for norm in norms])
            for array in statistics:
                array *= 0.5

    net(Tensor(x))
    expected = [0.5 * norm.running_var for norm in norms]
    for _ in range(2):
        fix_statistics(net, Halving())
        net(Tensor(x))
    assert agreed == [[True] * len(norms)]
    for norm, variance in zip(norms, expected, strict=True):
        np.testing.assert_array_equal(norm.running_var, variance)
