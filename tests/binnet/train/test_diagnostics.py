"""Diagnostics of binary layers, compared with counts by hand."""

import numpy as np
import pytest

from binnet import Tensor, models, nn
from binnet.evaluation.evaluate import run
from binnet.train import diagnostics
from binnet.train.diagnostics import Health, Inputs


def build(binarize="xnor", **options):
    return models.build("lenet5", binarize, in_channels=1, image_size=8, **options).eval()


@pytest.fixture
def images(rng):
    return rng.standard_normal((20, 8, 8, 1)).astype(np.float32)


def inputs_of(net, images):
    """The inputs of conv2 and dense3, from running the network layer by layer."""
    found, x = {}, Tensor(images)
    for layer in net:
        if layer.path in ("conv2", "dense3"):
            found[layer.path] = x.numpy().reshape(-1, x.shape[-1])
        x = layer(x)
    return found


def measured(net, images, before=None, batch=20):
    with diagnostics.watch(net, len(images)) as seen:
        for start in range(0, len(images), batch):
            run(net)(images[start : start + batch])
    return diagnostics.measure(net, seen, diagnostics.signs(net) if before is None else before)


@pytest.mark.parametrize("batch", [20, 7])
def test_inputs_of_binary_layers(images, batch):
    net = build()
    net.conv2_norm.beta.data[:] = -0.5  # the ReLU before it leaves nothing below 0
    net.conv2_norm.beta.data[:3] = 100, -100, 100  # three channels whose sign never changes
    net.dense3_norm.beta.data[:] = -0.5
    together, layers = measured(net, images, batch=batch)
    assert list(layers) == ["conv2", "dense3"]
    dead, channels = 0, 0
    for path, x in inputs_of(net, images).items():
        plus = (x >= 0).mean(axis=0)
        constant = int(np.isin(plus, (0, 1)).sum())
        assert layers[path].balance == pytest.approx((x >= 0).mean())
        assert layers[path].dead == constant / x.shape[1]
        dead, channels = dead + constant, channels + x.shape[1]
    assert layers["conv2"].dead == 3 / 20
    assert together.dead == dead / channels
    assert together.balance == pytest.approx((layers["conv2"].balance + layers["dense3"].balance) / 2)


def test_a_sign_of_zero_is_plus():
    inputs = Inputs(binary=True)
    inputs.add(np.array([[0.0, -0.0, -1.0], [1.0, 0.0, -2.0]], np.float32))
    assert inputs.dead() == (3, 3)
    assert inputs.balance() == pytest.approx(4 / 6)


def test_real_inputs_are_dead_when_they_never_change(images):
    net = build("bwn")
    net.conv1_norm.beta.data[:4] = -100  # the ReLU leaves nothing
    together, layers = measured(net, images)
    assert layers["conv2"].dead == 4 / 20
    assert layers["conv2"].balance is None
    assert together.balance is None


@pytest.mark.parametrize("center", [False, True])
def test_flipped_and_clipped(images, center):
    net = build(center=center)
    before = diagnostics.signs(net)
    assert measured(net, images, before)[0].flipped == 0
    flat = net.conv2.weight.data.reshape(-1)
    flat *= np.float32(-1)  # every sign but that of 0, and centred weights turn as well
    net.dense3.weight.data.reshape(-1)[:10] = [1, -1, 1, -1, 2, 0.99, -0.99, 0, 1, 1]
    together, layers = measured(net, images, before)
    total = flat.size + net.dense3.weight.data.size
    assert layers["conv2"].flipped == pytest.approx(1, abs=1e-4)
    assert layers["dense3"].flipped <= 10 * 50 / net.dense3.weight.data.size
    changed = layers["conv2"].flipped * flat.size + layers["dense3"].flipped * net.dense3.weight.data.size
    assert together.flipped == pytest.approx(changed / total)
    clipped = int((np.abs(flat) >= 1).sum()) + int((np.abs(net.dense3.weight.data) >= 1).sum())
    assert clipped >= 7
    assert together.clipped == clipped / total


def test_signs_are_a_bit_each():
    signs = diagnostics.signs(build())
    assert {path: (words.dtype, words.shape) for path, words in signs.items()} == {
        "conv2": (np.uint64, (-(-25_000 // 64),)),
        "dense3": (np.uint64, (-(-100_000 // 64),)),
    }


def test_a_network_without_binary_layers(images):
    net = build("float")
    assert measured(net, images, {}) == (Health(None, None, None, None), {})


def test_watching_leaves_the_network_as_it_was(images):
    net = build()
    state, before = net.state_dict(), run(net)(images)
    with diagnostics.watch(net, len(images)):
        np.testing.assert_array_equal(run(net)(images), before)
    with pytest.raises(ValueError, match="expected input"), diagnostics.watch(net, len(images)):
        run(net)(images[:, :4])
    assert "forward" not in vars(net.conv2)
    assert net.conv2.forward.__func__ is nn.BinConv2d.forward
    np.testing.assert_array_equal(run(net)(images), before)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_of_many_images_a_sample_is_enough(images):
    net = build()
    with diagnostics.watch(net, 1000) as seen:  # every fourth image
        run(net)(images[:10])
    assert seen["dense3"].n == 3


def test_layers_of_residual_blocks_are_found(rng):
    net = models.build("resnet18", num_classes=3, image_size=32).eval()
    x = rng.standard_normal((2, 32, 32, 3)).astype(np.float32)
    with diagnostics.watch(net, 2) as seen:
        run(net)(x)
    layers = diagnostics.measure(net, seen, diagnostics.signs(net))[1]
    assert len(layers) == 16
    assert all(h.balance is not None and h.dead is not None for h in layers.values())
