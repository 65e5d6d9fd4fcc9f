"""Beginning with, and freezing, custom networks: what counts is the order of the forward pass, not of attributes."""

import tomllib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import binnet
from binnet import models, nn, ops
from binnet.autograd import Tensor
from binnet.cli import main
from binnet.modelfile import StorageError
from binnet.modelfile.info import DataInfo
from binnet.models import ModelSpec
from binnet.train.config import TrainConfig
from binnet.train.pretrained import finetune, forward, freezing, model
from binnet.train.pretrained.finetune import Start

SPEC = ModelSpec("net.py:build", "xnor", 3, 1, (8, 8), {"scale": "mean"})
CLASSES = ("a", "b", "c")


class Net(nn.Module):
    """A network whose classifier is set first and used last, as a layer or as two parameters."""

    def __init__(self, layer, seed):
        super().__init__()
        rng = np.random.default_rng(seed)
        if layer:
            self.head = nn.Linear(6, 3, rng=rng)
        else:
            self.weight = nn.Parameter(rng.normal(size=(6, 3)))
            self.bias = nn.Parameter(np.zeros(3))
        self.last = nn.BatchNorm(6)
        self.conv = nn.BinConv2d(4, 6, 3, padding=1, rng=rng)
        self.drop = nn.Dropout(0.5, seed=0)
        self.stem, self.norm = nn.Conv2d(1, 4, 3, padding=1, rng=rng), nn.BatchNorm(4)

    def forward(self, x):
        x = ops.relu(self.last(self.drop(self.conv(self.norm(self.stem(x)))))).mean(axis=(1, 2))
        return self.head(x) if vars(self).get("head") else x @ self.weight + self.bias


HEADS = {True: {"head.weight", "head.bias"}, False: {"weight", "bias"}}


def source_of(network, names=CLASSES):
    info = DataInfo(class_names=names)
    return model.Pretrained("best.h5", model.CHECKPOINT, SPEC, (8, 8), 1, info, network.state_dict())


def data_of(names):
    return SimpleNamespace(name="images", class_names=names, class_ids=(), num_classes=len(names), channels=1)


@pytest.mark.parametrize("layer", [True, False])
def test_the_classifier_is_what_is_used_last(layer):
    before = Net(layer, 1)
    assert forward.classifier(before, SPEC) == HEADS[layer]
    start = finetune.begin(Net(layer, 2), SPEC, source_of(before), data_of(("x", "y", "z")))
    assert set(start.new) == HEADS[layer]


def test_the_rows_of_a_classifier_that_is_set_first_follow_the_classes():
    before, net = Net(True, 1), Net(True, 2)
    assert finetune.begin(net, SPEC, source_of(before), data_of(("c", "a", "b"))).new == ()
    x = Tensor(np.random.default_rng(0).random((3, 8, 8, 1), np.float32))
    expected = before.eval()(x).array[:, [2, 0, 1]]
    np.testing.assert_allclose(net.eval()(x).array, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("until", "expected"),
    [("conv", {"stem", "norm", "conv"}), ("last", {"stem", "norm", "conv", "drop", "last"})],
)
def test_layers_are_frozen_in_the_order_of_the_forward_pass(until, expected):
    """Dropout has no arrays: it comes behind the layer that was set before it."""
    net = Net(True, 1)
    frozen = freezing.freeze(net, SPEC, until, Start("best.h5", "", (), (), None, None))
    assert {module.path for module in frozen} == expected
    learning = {name.partition(".")[0] for name, p in net.named_parameters() if p.requires_grad}
    assert learning == {"last", "head"} - expected
    assert net.training


def test_a_network_without_weights_has_no_classifier():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm(1)

        def forward(self, x):
            return self.norm(x).mean(axis=(1, 2))

    assert forward.classifier(Scale(), replace(SPEC, num_classes=1)) == set()


def test_a_packed_custom_network_tells_mode_options_and_image_size(tmp_path):
    """It has no source, but the network that FILE:FUNCTION builds has the same options unless others are given."""
    packed = binnet.pack(Net(True, 1), input_shape=(8, 8, 1))
    spec = replace(SPEC, binarize="bwn", options={"scale": "learned"}, source="text of net.py")
    file = tmp_path / "packed.h5"
    for built, expected in (
        (spec.provenance(), {"binarize": "bwn", "scale": "learned", "image_size": 8}),
        (None, {"image_size": 8}),  # packed by binnet.pack, which knows no specification
    ):
        binnet.PackedModel(packed.graph, packed.info, built=built).save(file)
        found = model.read(str(file)).options({"model": "net.py:build"}, own_images=True)
        assert found == expected
        with pytest.raises(ValueError, match=r"packed.h5 is not of a network that comes with binnet: name the Python"):
            model.read(str(file)).options({}, own_images=True)


def test_a_packed_model_with_another_description_is_damaged(tmp_path):
    packed = binnet.pack(Net(True, 1), input_shape=(8, 8, 1))
    built = {**SPEC.to_dict(), "image_size": [0, 8]}
    binnet.PackedModel(packed.graph, packed.info, built=built).save(tmp_path / "packed.h5")
    with pytest.raises(StorageError, match=r"packed.h5 is damaged: image_size must be two whole numbers"):
        model.read(str(tmp_path / "packed.h5"))


def test_a_configuration_has_the_options_of_its_network_at_their_defaults_too(tmp_path):
    """Without them, those of the model of ``init`` made a mixture of the two networks."""
    config = TrainConfig(data="photos", model="quick2", flip=True, crop_pad=0)
    (tmp_path / "c.toml").write_text(config.to_toml(), encoding="utf-8")
    binnet.pack(models.build("quick2", image_size=16, stages="8x1-16x1")).save(tmp_path / "packed.h5")
    again = model.configured({**tomllib.loads((tmp_path / "c.toml").read_text()), "init": str(tmp_path / "packed.h5")})
    assert (again.model_options, config.model_options) == (None, None)


@pytest.mark.parametrize("bits", [2, 3])
def test_weights_of_several_bits_that_are_centred_cannot_be_computed_from_a_packed_model(tmp_path, bits):
    options = {"in_channels": 1, "image_size": 8, "weight_bits": bits, "act_bits": 2, "center": True}
    trained = models.build("lenet5", "xnor", **options)
    binnet.pack(trained).save(tmp_path / "packed.h5")
    source, net = model.read(str(tmp_path / "packed.h5")), models.build("lenet5", "xnor", **options, seed=1)
    message = f"conv2 has weights of {bits} bits, from which those before center cannot be computed: begin with the"
    with pytest.raises(StorageError, match=message):
        finetune.begin(net, net.spec, source, data_of(tuple("0123456789")))
    plain = models.build("lenet5", "xnor", **{**options, "center": False}, seed=1)
    finetune.begin(plain, plain.spec, source, data_of(tuple("0123456789")))
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(
        plain.eval()(Tensor(x)).array, binnet.load(tmp_path / "packed.h5")(x), rtol=1e-4, atol=1e-4
    )


def test_a_weight_of_ones_own_is_new_where_the_same_classes_have_another_order():
    """Its classes may be on any axis."""
    before = Net(False, 1)
    same, turned = (
        finetune.begin(Net(False, 2), SPEC, source_of(before), data_of(names)).new
        for names in (CLASSES, ("c", "a", "b"))
    )
    assert (same, set(turned)) == ((), {"weight", "bias"})


def test_a_weight_that_is_prepared_early_belongs_where_it_meets_the_images():
    class Prepared(Net):
        def forward(self, x):
            weight = self.head.weight * 2.0
            x = ops.relu(self.last(self.conv(self.norm(self.stem(x))))).mean(axis=(1, 2))
            return ops.linear(x, weight, self.head.bias)

    assert forward.classifier(Prepared(True, 1), SPEC) == HEADS[True]


def test_layers_that_only_training_uses_are_not_frozen():
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            rng = np.random.default_rng(0)
            self.drop, self.aux = nn.Dropout(0.5, seed=0), nn.Linear(4, 3, rng=rng)
            self.conv, self.head = nn.Conv2d(1, 4, 3, padding=1, rng=rng), nn.Linear(4, 3, rng=rng)

        def forward(self, x):
            x = self.conv(x).mean(axis=(1, 2))
            return self.head(self.drop(x)) + self.aux(x) if self.training else self.head(x)

    frozen = freezing.freeze(Auxiliary(), SPEC, "conv", Start("best.h5", "", (), ("aux.weight",), None, None))
    assert [module.path for module in frozen] == ["conv"]


def test_another_custom_network_takes_the_image_size_alone():
    found = source_of(Net(True, 1)).options({"model": "folder/other.py:build"}, own_images=True)
    assert found == {"image_size": 8}
    assert source_of(Net(True, 1)).options({"model": "folder/net.py:build"}, own_images=True)["binarize"] == "xnor"


def test_another_network_than_that_of_a_configuration_has_its_own_options(tmp_path, monkeypatch):
    (tmp_path / "c.toml").write_text(TrainConfig(data="photos", model="birealnet18").to_toml(), encoding="utf-8")
    seen = []

    def fit(config, *arguments, **options):
        seen.append(config)
        raise ValueError("seen enough")

    monkeypatch.setattr("binnet.train.fit", fit)
    argv = ["train", "--config", str(tmp_path / "c.toml"), "--out", str(tmp_path / "o")]
    for model_of_flag in ("reactnet18", "quick", "net.py:build"):
        assert main([*argv, "--model", model_of_flag]) == 1
    assert [(config.model, config.model_options) for config in seen] == [
        ("reactnet18", None),
        ("quick", None),
        ("net.py:build", None),
    ]
