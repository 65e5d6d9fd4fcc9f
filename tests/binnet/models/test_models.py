"""Building networks, their description, and LeNet-5 in every mode."""

import json
import re

import numpy as np
import pytest

from binnet import Tensor, cross_entropy, models, no_grad, optim, use_backend
from binnet.models import ModelSpec
from naive import naive_batch_norm_inference, naive_conv2d, naive_max_pool2d, naive_xnor_conv2d, naive_xnor_linear


@pytest.fixture
def digits(rng):
    """16 images of 8x8 with labels that can be learned by heart."""
    return rng.standard_normal((16, 8, 8, 1)).astype(np.float32), np.arange(16) % 4


def small(binarize="xnor", **options):
    return models.build("lenet5", binarize, num_classes=4, in_channels=1, image_size=8, **options)


def test_names_and_modes():
    assert "lenet5" in models.names()
    assert models.MODES == ("float", "bwn", "xnor", "bnn", "binaryconnect")


def test_wrong_words_list_the_words():
    with pytest.raises(ValueError, match="unknown model 'lenet'; there are: lenet5"):
        models.build("lenet")
    with pytest.raises(ValueError, match="unknown binarize 'ternary'; there are: float, bwn, xnor, bnn, binaryconnect"):
        small("ternary")
    with pytest.raises(ValueError, match=r"unknown option 'k'; there are: weight_gradient, use_k.*, dropout"):
        small(k=True)
    with pytest.raises(ValueError, match="unknown order 'abcp'; there are: bacp, cbap"):
        small(order="abcp")
    with pytest.raises(ValueError, match="num_classes must be a whole number, at least 1, got 0"):
        models.build("lenet5", num_classes=0)
    with pytest.raises(ValueError, match="in_channels"):
        models.build("lenet5", in_channels=1.5)
    with pytest.raises(ValueError, match="image_size"):
        models.build("lenet5", image_size=(28, 28, 3))
    with pytest.raises(ValueError, match="at least 4x4 pixels, got 3x9"):
        models.build("lenet5", image_size=(3, 9))
    with pytest.raises(ValueError, match="dropout"):
        small(dropout=1)


def test_the_same_seed_gives_the_same_bits():
    np.random.seed(1)
    one = small(dropout=0.5)
    np.random.seed(2)
    two, other = small(dropout=0.5), small(seed=1)
    x = np.ones((2, 8, 8, 1), np.float32)
    for (name, a), b in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert (one.conv1.weight.data != other.conv1.weight.data).any()
    np.testing.assert_array_equal(one(x).data, two(x).data)


def test_every_mode_starts_from_the_same_weights():
    nets = [small(mode) for mode in models.MODES]
    for name in ("conv1", "conv2", "dense3", "dense4"):
        for net in nets:
            np.testing.assert_array_equal(getattr(net, name).weight.data, getattr(nets[0], name).weight.data)


def test_spec_round_trip():
    net = models.build("lenet5", "bnn", 7, 2, (20, 24), seed=3, use_k=True, dropout=0.25)
    spec = net.spec
    assert spec.image_size == (20, 24)
    assert spec.options["dropout"] == 0.25
    assert spec.options["use_k"] is True
    assert spec.options["weight_gradient"] == "exact"  # defaults are written down too
    again = ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    rebuilt = models.build_spec(again, seed=3)
    assert rebuilt.spec == spec
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(rebuilt.state_dict()[name], value)
    with pytest.raises(ValueError, match="has the fields binarize, image_size"):
        ModelSpec.from_dict({"name": "lenet5"})


@pytest.mark.parametrize(("size", "features"), [(28, 800), (20, 200), (8, 200), (32, 1250), ((28, 24), 600), (4, 50)])
def test_lenet5_sizes(size, features):
    net = models.build("lenet5", in_channels=1, image_size=size)
    assert net.dense3.weight.shape == (500, features)
    h, w = net.spec.image_size
    with no_grad():
        assert net.eval()(np.zeros((2, h, w, 1))).shape == (2, 10)


def test_lenet5_layers():
    names = [name for name, _ in small().children()]
    first = ["conv1", "conv1_norm", "conv1_relu", "conv1_pool"]
    assert names == [
        *first,
        *["conv2_norm", "conv2", "conv2_relu", "conv2_pool"],
        *["dense3_norm", "dense3_flatten", "dense3", "dense3_relu", "dense4"],
    ]
    assert [name for name, _ in small("bwn").children()][4:] == [
        *["conv2", "conv2_norm", "conv2_relu", "conv2_pool"],
        *["dense3_flatten", "dense3", "dense3_norm", "dense3_relu", "dense4"],
    ]
    assert [name for name, _ in small(order="cbap").children()][:6] == [
        *["conv1", "conv1_norm", "conv1_sign", "conv1_pool", "conv2", "conv2_norm"],
    ]
    binary = [name for name, p in small().named_parameters() if p.binary]
    assert binary == ["conv2.weight", "dense3.weight"]
    assert not any(p.binary for p in small("float").parameters())


def test_input_is_checked():
    net = small()
    for shape in [(2, 8, 8, 3), (2, 8, 9, 1), (8, 8, 1)]:
        with pytest.raises(ValueError, match=r"^lenet5 \(Network\): expected input \(N, 8, 8, 1\), got \(") as error:
            net(Tensor(np.zeros(shape)))
        assert str(shape) in str(error.value)
    expected = "conv2 (BinConv2d): expected input (N, H, W, 20), got (4, 12, 12, 3)"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        net.conv2(np.zeros((4, 12, 12, 3)))


def losses(net, x, labels, steps=15):
    optimizer = optim.Adam(net.parameters(), lr=5e-3)
    result = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = cross_entropy(net(Tensor(x)), labels)
        loss.backward()
        optimizer.step()
        result.append(loss.item())
    return result


@pytest.mark.parametrize("order", ["bacp", "cbap"])
@pytest.mark.parametrize("mode", models.MODES)
def test_every_mode_learns(digits, mode, order):
    net = small(mode, order=order)
    values = losses(net, *digits)
    assert all(p.grad is not None and np.abs(p.grad).max() > 0 for p in net.parameters())
    assert np.mean(values[-3:]) < 0.6 * values[0]


@pytest.mark.parametrize(
    "options",
    [
        {"weight_gradient": "paper"},
        {"weight_gradient": "plain"},
        {"use_k": True},
        {"scale": "learned"},
        {"clip": False, "center": True},
        {"ste": "polynomial"},
        {"pad_value": 1},
        {"pad_value": -1, "use_k": True},
        {"dropout": 0.2},
    ],
)
def test_every_option_learns(digits, options):
    values = losses(small(**options), *digits)
    assert np.mean(values[-3:]) < 0.6 * values[0]


def test_clipped_weights_stay_within_one(digits):
    for clip in (True, False):
        net = small(clip=clip)
        net.conv2.weight.data *= 20
        losses(net, *digits, steps=2)
        assert (np.abs(net.conv2.weight.data).max() <= 1) == clip


@pytest.mark.parametrize("mode", models.MODES)
def test_evaluation_changes_nothing(digits, mode):
    net = small(mode, dropout=0.3)
    net(Tensor(digits[0]))
    before = net.state_dict()
    one, two = net.eval()(digits[0]).data, net(digits[0]).data
    np.testing.assert_array_equal(one, two)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_the_backends_agree(digits):
    net = small(use_k=True).eval()
    fast = net(digits[0]).data
    with use_backend("reference"):
        np.testing.assert_allclose(net(digits[0]).data, fast, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("use_k", [False, True])
def test_a_float_simulation_gives_the_same_scores(digits, rng, use_k):
    """The whole network once more with loops over float arrays: signs as ±1.0, α and K as in the paper."""
    net = small(use_k=use_k)
    net(Tensor(digits[0]))
    net.eval()
    x = digits[0][:3]

    def norm(x, layer):
        statistics = (layer.running_mean, layer.running_var)
        return naive_batch_norm_inference(x, layer.gamma.data, layer.beta.data, *statistics)

    y = np.maximum(norm(naive_conv2d(x, net.conv1.weight.data, 1, 2), net.conv1_norm), 0)
    y = norm(naive_max_pool2d(y, 2), net.conv2_norm)
    y = np.maximum(naive_xnor_conv2d(y, net.conv2.weight.data, 1, 2, use_k=use_k), 0)
    y = norm(naive_max_pool2d(y, 2), net.dense3_norm).reshape(3, -1)
    y = np.maximum(naive_xnor_linear(y, net.dense3.weight.data, use_k=use_k), 0)
    expected = y @ net.dense4.weight.data.T + net.dense4.bias.data
    np.testing.assert_allclose(net(x).data, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("training", [True, False])
def test_pixels_that_are_not_finite_are_refused(training):
    net = models.build("lenet5", "xnor", 10, 1, 8).train(training)
    images = np.zeros((2, 8, 8, 1), np.float32)
    images[1, 3, 4] = np.nan
    with pytest.raises(ValueError, match=r"lenet5 \(Network\): the images have values that are not finite"):
        net(images)
