"""Layers with one number a channel, grouped convolution, border and softmax: state, messages, training."""

import numpy as np
import pytest

from binnet import Tensor, cross_entropy, nn, ops, optim
from binnet.graph import trace
from naive import naive_grouped_conv2d
from naive_ops import naive_pad, naive_prelu, naive_softmax


def test_layers_that_are_operations(rng):
    x = Tensor(rng.standard_normal((2, 4, 6, 3)))
    prelu, scale, shift = nn.PReLU(3), nn.Scale(3), nn.Shift(3)
    np.testing.assert_array_equal(scale(x).data, x.data)
    np.testing.assert_array_equal(shift(x).data, x.data)
    for parameter in (prelu.slope, scale.factor, shift.shift):
        parameter.data[:] = [-1, 0.5, 2]
        assert not parameter.decay
    for layer, expected in [
        (prelu, naive_prelu(x.data, [-1, 0.5, 2])),
        (nn.PReLU(), naive_prelu(x.data, [0.25])),
        (nn.PReLU(slope=-3), naive_prelu(x.data, [-3])),
        (scale, x.data * np.array([-1, 0.5, 2])),
        (shift, x.data + np.array([-1, 0.5, 2])),
        (nn.ZeroPad2d((0, 1, 2, 3)), naive_pad(x.data, 0, 1, 2, 3, 0)),
        (nn.Softmax(), naive_softmax(x.data)),
    ]:
        np.testing.assert_allclose(layer(x).data, expected, rtol=1e-6, atol=1e-7)


def test_rprelu_runs_as_one_function_with_the_bits_of_its_layers(rng):
    layer, x = nn.RPReLU(3), Tensor(rng.standard_normal((2, 4, 6, 3)), requires_grad=True)
    for module, numbers in zip(layer, ([0.5, -1, 0], [-1, 0.5, 2], [1, 2, 3]), strict=True):
        module.parameters()[0].data[:] = numbers
    y = layer(x)
    assert y.node.function.__name__ == "_RPRelu"
    np.testing.assert_array_equal(y.data, layer.after(layer.slope(layer.before(x))).data)
    assert [type(node).__name__ for node in trace(layer, (4, 6, 3)).nodes[1:]] == ["Shift", "PRelu", "Shift"]
    with pytest.raises(nn.LayerError, match=r"expected input \(N, 3\), got \(2, 4\)"):
        layer(Tensor(np.ones((2, 4))))


def test_grouped_conv2d(rng):
    layer = nn.Conv2d(6, 4, (3, 2), stride=2, padding=1, groups=2, bias=True, rng=0)
    assert layer.weight.shape == (4, 3, 2, 3)
    assert layer.weight.data.std() == pytest.approx(np.sqrt(2 / 18), rel=0.2)  # of the channels that a filter sees
    layer.bias.data[:] = [1, 2, 3, 4]
    x = rng.standard_normal((2, 5, 6, 6)).astype(np.float32)
    expected = naive_grouped_conv2d(x, layer.weight.data, 2, 2, 1) + layer.bias.data
    np.testing.assert_allclose(layer(x).data, expected, atol=1e-5)


def test_one_group_draws_the_weights_it_always_drew():
    one, other = nn.Conv2d(4, 2, 3, rng=5), nn.Conv2d(4, 2, 3, groups=1, rng=5)
    np.testing.assert_array_equal(one.weight.data, other.weight.data)
    np.testing.assert_array_equal(one.weight.data, nn.init.he_normal((2, 3, 3, 4), 5))


@pytest.mark.parametrize("groups", [0, -1, 4, 3, 1.5, "2", None])
def test_groups_must_divide_the_channels(groups):
    message = r"^groups must be a whole number that divides 6 and 4 channels, got "
    with pytest.raises(ValueError, match=message):
        nn.Conv2d(6, 4, 3, groups=groups, rng=0)


def test_a_grouped_image_block_runs_its_groups(rng):
    """The function that joins Conv2d, BatchNorm and ReLU at the image is for one group."""
    conv, norm = nn.Conv2d(4, 4, 3, groups=4, rng=0), nn.BatchNorm(4)
    x = Tensor(rng.standard_normal((2, 5, 5, 4)))
    joined = nn.Sequential(conv, norm, nn.ReLU()).eval()(x)
    np.testing.assert_array_equal(joined.data, ops.relu(norm(conv(x))).data)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.PReLU(3), (2, 4), r"\(N, 3\), got \(2, 4\)"),
        (nn.PReLU(3), (2, 5, 5, 4), r"\(N, H, W, 3\), got \(2, 5, 5, 4\)"),
        (nn.Scale(3), (2, 4), r"\(N, 3\), got \(2, 4\)"),
        (nn.Scale(3), (2, 1), r"\(N, 3\), got \(2, 1\)"),
        (nn.Shift(3), (2, 5, 5, 1), r"\(N, H, W, 3\), got \(2, 5, 5, 1\)"),
        (nn.ZeroPad2d(1), (2, 3), r"\(N, H, W, C\), got \(2, 3\)"),
        (nn.Conv2d(6, 4, 3, groups=2, rng=0), (1, 5, 5, 3), r"\(N, H, W, 6\), got \(1, 5, 5, 3\)"),
    ],
)
def test_wrong_shapes(layer, shape, message):
    with pytest.raises(nn.LayerError, match=rf"^{type(layer).__name__}: expected input {message}$"):
        layer(np.zeros(shape))


def test_messages_name_the_layer():
    net = nn.Sequential(("shift", nn.Shift(3)), ("act", nn.Softmax()))
    with pytest.raises(nn.LayerError, match=r"^shift \(Shift\): expected input \(N, 3\), got \(2, 4\)$"):
        net(np.zeros((2, 4)))
    with pytest.raises(nn.LayerError, match=r"^act \(Softmax\): softmax needs scores"):
        net.act(np.zeros((2, 0)))


@pytest.mark.parametrize("layer", [nn.PReLU, nn.Scale, nn.Shift])
@pytest.mark.parametrize("channels", [0, -2, 1.5, True, "3", None])
def test_numbers_of_channels(layer, channels):
    with pytest.raises(ValueError, match=r"^channels must be a whole number of at least 1, got "):
        layer(channels)


def test_a_border_is_checked_when_the_layer_is_made():
    with pytest.raises(ValueError, match=r"^padding must be an int, a pair of ints or four .*, got \(1, 2, 3\)$"):
        nn.ZeroPad2d((1, 2, 3))
    assert nn.ZeroPad2d((1, 2)).padding == (1, 1, 2, 2)


def network(seed=0):
    """Learned thresholds before a sign and RPReLU behind it (ReActNet), behind a depthwise convolution."""
    return nn.Sequential(
        ("pad", nn.ZeroPad2d((0, 1, 0, 1))),
        ("depthwise", nn.Conv2d(4, 4, 2, groups=4, rng=seed)),
        ("scale", nn.Scale(4)),
        ("threshold", nn.Shift(4)),
        ("sign", nn.Sign()),
        ("conv", nn.Conv2d(4, 6, 3, rng=seed + 1)),
        ("before", nn.Shift(6)),
        ("prelu", nn.PReLU(6)),
        ("after", nn.Shift(6)),
        ("pool", nn.GlobalAvgPool()),
        ("dense", nn.Linear(6, 2, rng=seed + 2)),
    )


def test_training_moves_everything(rng):
    """The loss falls, and no parameter is left out."""
    net, x, labels = network(), Tensor(rng.standard_normal((16, 5, 5, 4))), rng.integers(0, 2, 16)
    before, optimiser = net.state_dict(), optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for _ in range(12):
        loss = cross_entropy(net(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert [name for name, array in net.state_dict().items() if (array == before[name]).all()] == []


def test_the_state_holds_it_all(rng):
    x = Tensor(rng.standard_normal((2, 5, 5, 4)))
    one, other = network(0), network(7)
    for parameter in one.parameters():
        parameter.data += rng.standard_normal(parameter.shape)
    assert {"scale.factor", "threshold.shift", "prelu.slope", "depthwise.weight"} <= one.state_dict().keys()
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(other(x).data, one(x).data)
