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
    two.load_state_dict({"seed": np.array([1]), "step": np.array(1)})
    np.testing.assert_array_equal(two(x).data, second)
    one.eval()
    assert one(x) is x
    assert one.step == 2
    with pytest.raises(ValueError, match="dropout"):
        nn.Dropout(1.5)


def test_layers_without_a_seed_draw_masks_of_their_own():
    x = Tensor(np.ones((100, 100)))
    net = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    assert np.count_nonzero(net(x).data) / x.data.size == pytest.approx(0.25, abs=0.02)
    state, expected = net.state_dict(), net(x).data
    other = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    other.load_state_dict(state)
    np.testing.assert_array_equal(other(x).data, expected)


def test_rounding_without_a_seed_is_one_layer_s_own(rng):
    options = nn.BinaryOptions(binary_gradient="ternary")
    one, other = (nn.BinConv2d(2, 2, 3, **options.for_xnor(), rng=0) for _ in range(2))
    np.testing.assert_array_equal(one.weight.data, other.weight.data)
    assert one.input_binariser.for_pass().seed != other.input_binariser.for_pass().seed


@pytest.mark.parametrize("layer", [nn.Linear, nn.BinLinear, nn.BwnLinear])
def test_a_whole_number_is_the_seed_of_the_weights(layer):
    one, other = layer(2, 3, rng=7), layer(2, 3, rng=np.random.default_rng(7))
    np.testing.assert_array_equal(one.weight.data, other.weight.data)
    with pytest.raises(TypeError, match=r"rng must be a NumPy generator or a seed, .* got '7'"):
        layer(2, 3, rng="7")


def test_a_batch_of_one_row_is_refused_in_training(backend):
    norm = nn.BatchNorm(3)
    for shape in ((1, 3), (1, 1, 1, 3)):
        with pytest.raises(nn.LayerError, match="at least two rows for each channel in training, got 1"):
            norm(np.ones(shape))
        assert norm.eval()(np.ones(shape)).shape == shape
        norm.train()
    assert norm(np.ones((1, 1, 2, 3))).shape == (1, 1, 2, 3)


@pytest.mark.parametrize("options", [{"momentum": None}, {"momentum": 1.5}, {"eps": -1}, {"momentum": "0.1"}])
def test_numbers_of_a_batch_normalisation(options):
    with pytest.raises(ValueError, match=r"(momentum|eps) of a batch normalisation must be a number .*, got"):
        nn.BatchNorm(3, **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_batch_normalisation_notices_what_a_sign_would_hide(backend, value):
    x = np.ones((4, 3), np.float32)
    x[1, 2] = value
    net = nn.Sequential(("norm", nn.BatchNorm(3)), ("dense", nn.BinLinear(3, 2, rng=0)))
    with np.errstate(invalid="ignore"), pytest.raises(nn.LayerError, match="values that are not finite"):
        net(x)


@pytest.mark.parametrize("scale", ["mean", "learned", "none"])
@pytest.mark.parametrize("kind", [nn.BinLinear, nn.BwnLinear])
def test_weights_that_are_not_finite_are_refused(backend, kind, scale):
    layer = kind(5, 2, weight_binariser=nn.WeightBinariser(scale), rng=0)
    layer.weight.data[1, 3] = np.nan
    with pytest.raises(nn.LayerError, match="weights of a binary layer are no longer finite"):
        layer(np.ones((2, 5)))


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


def test_a_momentum_set_later_is_checked_as_well():
    norm = nn.BatchNorm(3)
    norm.momentum = None
    with pytest.raises(ValueError, match="momentum of a batch normalisation must be a number from 0 to 1, got None"):
        norm(np.ones((4, 3)))
    np.testing.assert_array_equal(norm.running_mean, 0)


@pytest.mark.parametrize("sizes", [(-2, 2), (2.0, 2), (0, 2), (2, True)])
def test_sizes_of_layers(sizes):
    with pytest.raises(ValueError, match="the sizes of a layer must be whole numbers of at least 1"):
        nn.Linear(*sizes, rng=0)
