"""Networks with other weights begin with a packed model; packed real weights and spatial scales are found again."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import binnet
from binnet import models, nn, ops
from binnet.autograd import Tensor
from binnet.nn.real_weights import SignLinear
from binnet.train.pretrained import finetune, model
from binnet.train.pretrained.unpacking import unpacked


@pytest.mark.parametrize(("padding", "pad_value"), [(0, 0), (1, 0), (1, 1), (0, 1)])
def test_real_weights_behind_signs_are_found_in_a_packed_model(padding, pad_value):
    conv, dense = nn.SignConv2d(3, 4, 3, padding=padding, pad_value=pad_value, rng=0), SignLinear(4, 2, rng=1)
    network = nn.Sequential(("conv", conv), ("average", nn.GlobalAvgPool()), ("dense", dense))
    arrays = binnet.pack(network, input_shape=(5, 6, 3)).arrays()
    for name, layer in (("conv", conv), ("dense", dense)):
        np.testing.assert_array_equal(unpacked(arrays, f"{name}.", "weight", layer), layer.weight.array)


def test_factors_of_a_spatial_scale_are_found_in_a_packed_model():
    scale, rng = nn.SpatialScale(4, 3, 2), np.random.default_rng(0)
    for parameter in scale.parameters():
        parameter.array[...] = rng.normal(size=parameter.shape)
    arrays = binnet.pack(nn.Sequential(("scale", scale)), input_shape=(4, 3, 2)).arrays()
    found = {name: unpacked(arrays, "scale.", name, scale) for name in ("rows", "columns", "channels")}
    assert {name: array.shape for name, array in found.items()} == {
        "rows": (4, 1, 1),
        "columns": (3, 1),
        "channels": (2,),
    }
    product = scale.rows.array * scale.columns.array * scale.channels.array
    np.testing.assert_allclose(found["rows"] * found["columns"] * found["channels"], product, rtol=1e-6)


@pytest.mark.parametrize(
    ("mode", "options", "then", "then_options"),
    [
        ("bwn", {}, "float", {}),
        ("bwn", {"scale": "learned"}, "float", {"scale": "mean"}),
        ("bwn", {"center": True}, "float", {}),
        ("xnor", {}, "xnor", {"weights": "real"}),
        ("xnor", {"scale": "learned"}, "xnor", {"scale": "mean", "weights": "real"}),
        ("xnor", {"binary_gradient": "ternary"}, "xnor", {"binary_gradient": "off", "weights": "real"}),
        ("xnor", {"weights": "real"}, "xnor", {"weights": "real"}),
        ("binaryconnect", {}, "float", {}),
        ("binaryconnect", {}, "bwn", {}),
        ("bnn", {}, "bnn", {"weights": "real"}),
        ("bnn", {}, "xnor", {"weights": "real"}),
        ("bnn", {}, "xnor", {}),
        ("bnn", {}, "xnor", {"scale": "learned"}),
        ("xnor", {"scale": "learned", "binary_gradient": "ternary"}, "xnor", {}),
    ],
)
def test_a_network_with_other_weights_computes_the_same_as_the_packed_model_it_begins_with(
    tmp_path, mode, options, then, then_options
):
    """α sign(W) as real weights gives the same scores; a learned α keeps its sign; without scales α is 1."""
    size = {"in_channels": 1, "image_size": 8}
    trained = models.build("lenet5", mode, **size, seed=5, **options)
    if options.get("scale") == "learned":
        trained.conv2.alpha.array[:3] *= -1
    path = tmp_path / "packed.h5"
    binnet.pack(trained).save(path)
    net = models.build("lenet5", then, **size, seed=6, **{**options, **then_options})
    start = finetune.begin(net, net.spec, model.read(str(path)), SimpleNamespace(num_classes=10, channels=1))
    assert start.new == ()
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(net.eval()(Tensor(x)).array, binnet.load(path)(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("before", "mode"),
    [("xnor", "float"), ("xnor", "bwn"), ("xnor", "bnn"), ("bwn", "binaryconnect"), ("float", "bnn")],
)
def test_a_network_with_sums_of_other_sizes_does_not_take_the_normalisations(tmp_path, before, mode):
    """With those of signs the scores grew from layer to layer, to some hundreds; with α they became 1/α too large."""
    path = tmp_path / "packed.h5"
    trained = models.build("quick2", before, image_size=16, seed=5)
    binnet.pack(trained).save(path)
    net = models.build("quick2", mode, image_size=16, seed=6)
    own = replace(model.read(str(path)), spec=None)  # as the packed model of a network that a Python file builds
    start = finetune.begin(net, net.spec, own, SimpleNamespace(num_classes=10, channels=3))
    norms = {name for name, module in net.named_modules() if isinstance(module, nn.BatchNorm)}
    # A real model has no thresholds.
    assert {name.rpartition(".")[0] for name in start.new if not name.endswith("threshold.shift")} == norms
    name = next(name for name, _ in net.named_parameters() if name.endswith("body.conv.weight"))
    weight, expected = (dict(n.named_parameters())[name].array for n in (net, trained))
    np.testing.assert_array_equal(weight < 0, expected < 0)


class Signs(nn.Module):
    """A network that takes the signs without a layer for them."""

    def __init__(self):
        super().__init__()
        self.norm, self.dense = nn.BatchNorm(16), nn.Linear(16, 3, rng=0)
        self.spec = SimpleNamespace(name="signs", image_size=(4, 4), in_channels=1, options={})

    def forward(self, x):
        return self.dense(ops.sign(self.norm(ops.reshape(x, (x.shape[0], -1)))))


def test_a_network_may_take_signs_without_a_layer_for_them(tmp_path):
    network = nn.Sequential(("all", Signs()))
    binnet.pack(network, input_shape=(4, 4, 1)).save(tmp_path / "packed.h5")
    network.spec = network.all.spec
    start = finetune.begin(
        network, network.spec, model.read(str(tmp_path / "packed.h5")), SimpleNamespace(num_classes=3, channels=1)
    )
    assert start.new == ()
