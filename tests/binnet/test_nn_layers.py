"""Layers with real weights: shapes, values, flags, randomness."""

import numpy as np
import pytest

from binnet import Tensor, nn, ops
from naive import naive_conv2d


def generator():
    return np.random.default_rng(3)


def test_conv2d(rng):
    layer = nn.Conv2d(3, 4, (3, 2), stride=(1, 2), padding=1, bias=True, rng=generator())
    layer.bias.data[:] = [1, 2, 3, 4]
    x = rng.standard_normal((2, 5, 6, 3)).astype(np.float32)
    expected = naive_conv2d(x, layer.weight.data, (1, 2), 1) + layer.bias.data
    np.testing.assert_allclose(layer(x).data, expected, atol=1e-4)
    assert layer.weight.decay
    assert not layer.bias.decay
    assert nn.Conv2d(3, 4, 3, rng=generator()).bias is None


def test_linear(rng):
    layer = nn.Linear(5, 3, rng=generator())
    x = rng.standard_normal((4, 5)).astype(np.float32)
    np.testing.assert_allclose(layer(x).data, x @ layer.weight.data.T, atol=1e-5)
    assert nn.Linear(5, 3, bias=False, rng=generator()).bias is None


def test_initial_weights():
    weight = nn.init.he_normal((64, 5, 5, 16), generator())
    assert weight.dtype == np.float32
    assert weight.std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    assert abs(weight.mean()) < 1e-3
    np.testing.assert_array_equal(weight, nn.init.he_normal((64, 5, 5, 16), generator()))


def test_batch_norm_modes(rng):
    layer = nn.BatchNorm(3)
    x = rng.standard_normal((50, 3)).astype(np.float32) * 2 + 1
    y = layer(x).data
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(layer.running_mean, 0.1 * x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(layer.running_var, 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-4)
    before = layer.state_dict()
    z = layer.eval()(x).data
    np.testing.assert_allclose(z, (x - layer.running_mean) / np.sqrt(layer.running_var + 1e-5), rtol=1e-4, atol=1e-5)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert not layer.gamma.decay
    assert not layer.beta.decay


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm(3), (2, 4), r"\(N, 3\), got \(2, 4\)"),
        (nn.BatchNorm(3), (2, 5, 5, 4), r"\(N, H, W, 3\), got \(2, 5, 5, 4\)"),
        (nn.Linear(3, 2, rng=generator()), (2, 1, 1, 3), r"\(N, 3\), got \(2, 1, 1, 3\)"),
        (nn.MaxPool2d(2), (2, 3), r"\(N, H, W, C\), got \(2, 3\)"),
        (nn.AvgPool2d(2), (2, 3), r"\(N, H, W, C\), got \(2, 3\)"),
        (nn.GlobalAvgPool(), (2, 3), r"\(N, H, W, C\), got \(2, 3\)"),
        (nn.BinLinear(3, 2, rng=generator()), (2, 4), r"\(N, 3\), got \(2, 4\)"),
        (nn.BwnLinear(3, 2, rng=generator()), (2, 4), r"\(N, 3\), got \(2, 4\)"),
        (nn.BinConv2d(3, 2, 1, rng=generator()), (1, 2, 2, 4), r"\(N, H, W, 3\), got \(1, 2, 2, 4\)"),
        (nn.BwnConv2d(3, 2, 1, rng=generator()), (1, 2, 2, 4), r"\(N, H, W, 3\), got \(1, 2, 2, 4\)"),
    ],
)
def test_wrong_shapes(layer, shape, message):
    with pytest.raises(ValueError, match=rf"^{type(layer).__name__}: expected input {message}$"):
        layer(np.zeros(shape))


def test_layers_that_are_operations(rng):
    x = Tensor(rng.standard_normal((2, 4, 6, 3)))
    for layer, expected in [
        (nn.MaxPool2d(2), ops.max_pool2d(x, 2)),
        (nn.MaxPool2d(3, 2, 1), ops.max_pool2d(x, 3, 2, 1)),
        (nn.AvgPool2d((2, 3)), ops.avg_pool2d(x, (2, 3))),
        (nn.GlobalAvgPool(), ops.global_average(x)),
        (nn.ReLU(), ops.relu(x)),
        (nn.Flatten(), ops.flatten(x)),
        (nn.Sign("polynomial"), ops.sign(x)),
    ]:
        np.testing.assert_array_equal(layer(x).data, expected.data)


def test_windows_are_checked_when_a_layer_is_made():
    with pytest.raises(ValueError, match="kernel_size"):
        nn.Conv2d(1, 1, 0, rng=generator())
    with pytest.raises(ValueError, match="stride"):
        nn.BinConv2d(1, 1, 1, stride=0, rng=generator())
    with pytest.raises(ValueError, match="padding"):
        nn.MaxPool2d(2, padding=2)


def test_dropout_masks_follow_seed_and_step():
    x = Tensor(np.ones((4, 50)))
    one, two, other = nn.Dropout(0.5, seed=1), nn.Dropout(0.5, seed=1), nn.Dropout(0.5, seed=[1, 2])
    first, second = one(x).data, one(x).data
    assert (first != second).any()
    np.testing.assert_array_equal(two(x).data, first)
    assert (other(x).data != first).any()
    two.load_state_dict({"step": np.array(1)})
    np.testing.assert_array_equal(two(x).data, second)
    one.eval()
    assert one(x) is x
    assert one.step == 2
    with pytest.raises(ValueError, match="dropout"):
        nn.Dropout(1.5)


def test_dropout_does_not_touch_the_global_state():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    nn.Dropout(0.5)(np.ones((3, 3)))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_residual(rng):
    x = Tensor(rng.standard_normal((2, 3)), requires_grad=True)
    double = nn.Residual(nn.Sequential())
    np.testing.assert_array_equal(double(x).data, 2 * x.data)
    linear = nn.Linear(3, 3, rng=generator())
    both = nn.Residual(nn.ReLU(), linear)
    np.testing.assert_allclose(both(x).data, np.maximum(x.data, 0) + linear(x).data)
    with pytest.raises(ValueError, match=r"^Residual: the body gives \(2, 4\), the shortcut \(2, 3\)$"):
        nn.Residual(nn.Linear(3, 4, rng=generator()))(x)
