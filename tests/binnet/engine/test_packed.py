"""Packed models: the same bits as the network, in a thirty-second of the space for binary weights."""

import copy
import itertools
import json
import math
import pickle

import h5py
import numpy as np
import pytest

import binnet
import binnet_datasets
from binnet import Tensor, cross_entropy, models, nn, no_grad, ops, optim
from binnet.engine import PackedModel
from binnet.engine.engine import Engine
from binnet.engine.summary import summarise
from binnet.graph import KINDS, MaxPool, trace
from binnet.modelfile import container
from binnet.modelfile.container import CHECKPOINT, PACKED, StorageError
from binnet.modelfile.info import DataInfo
from binnet.models import REGISTRY, Entry
from binnet.nn import BinaryOptions

CASES = [
    *((mode, {}) for mode in models.MODES),
    *(("xnor", {"use_k": True, "pad_value": v, "center": c}) for v, c in itertools.product((0, 1, -1), (False, True))),
    ("xnor", {"order": "cbap"}),
    ("xnor", {"order": "cbap", "use_k": True, "scale": "learned"}),
    ("xnor", {"scale": "learned", "ste": "polynomial", "clip": False, "weight_gradient": "paper"}),
    ("bwn", {"scale": "learned", "center": True}),
    ("bnn", {"order": "cbap", "pad_value": -1}),
    ("bnn", {"use_k": True, "center": True}),
    ("binaryconnect", {"center": True, "weight_gradient": "plain"}),
    ("xnor", {"dropout": 0.5}),
    ("xnor", {"weight_bits": 2, "act_bits": 3}),
    ("xnor", {"act_bits": 2, "use_k": True, "pad_value": -1}),
    ("xnor", {"weight_bits": 4, "act_bits": 2, "order": "cbap", "scale": "learned"}),
    ("bnn", {"weight_bits": 3, "center": True}),
    ("bwn", {"weight_bits": 3, "act_bits": 2}),
]


def trained(binarize="xnor", steps=3, **options):
    """A small network after a few steps, so that running statistics, scales and biases are not the initial ones."""
    net = models.build("lenet5", binarize, num_classes=3, in_channels=1, image_size=(8, 6), **options)
    optimizer = optim.SGD(net.parameters(), 0.05)
    rng = np.random.default_rng(2)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(net(Tensor(rng.standard_normal((6, 8, 6, 1)))), np.arange(6) % 3).backward()
        optimizer.step()
    return net


def logits(net, x):
    with no_grad():
        return net.eval()(Tensor(x)).numpy()


def images(n=5, shape=(8, 6, 1)):
    return np.random.default_rng(3).standard_normal((n, *shape)).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def model(net):
    return binnet.pack(net, DataInfo("digits", ("a", "b", "c"), (0.5,), (0.2,), {"epoch": 3}))


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "packed.h5")
    return tmp_path / "packed.h5"


@pytest.mark.parametrize(("mode", "options"), CASES, ids=[f"{m}-{'-'.join(map(str, o.items()))}" for m, o in CASES])
def test_the_same_bits_as_the_network_also_from_a_file(mode, options, tmp_path):
    net, x = trained(mode, **options), images()
    expected = logits(net, x)
    model = binnet.pack(net)
    np.testing.assert_array_equal(model(x), expected)
    model.save(tmp_path / "m.h5")
    loaded = binnet.load(tmp_path / "m.h5")
    np.testing.assert_array_equal(loaded(x), expected)
    assert loaded.built == net.spec.to_dict()
    assert np.ptp(expected) > 0.1  # a network that ignores its input would pass as well


@pytest.mark.parametrize("n", [0, 1, 2])
def test_batches_of_none_and_one(model, net, n):
    x = images(n)
    np.testing.assert_array_equal(model(x), logits(net, x), strict=True)
    assert model(x).shape == (n, 3)


def test_an_image_gets_the_same_bits_in_any_batch(model):
    x = images(7)
    np.testing.assert_array_equal(np.concatenate([model(x[i : i + 1]) for i in range(7)]), model(x))


def test_packing_and_running_change_nothing():
    net, x = trained(dropout=0.5).train(), images()
    before, copy = net.state_dict(), x.copy()
    model = binnet.pack(net)
    assert net.training
    arrays = {name: array.copy() for name, array in model.arrays().items()}
    model(x)
    np.testing.assert_array_equal(x, copy)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    for parameter in net.parameters():  # the packed model has copies of its own
        parameter.data += 1
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)


def test_a_bit_a_weight(net, model):
    binary = [node for node in model.graph if node.binary]
    assert [node.name for node in binary] == ["conv2", "dense3"]
    for step in binary:
        weights = getattr(net, step.name).weight.data
        assert step.signs.nbytes == math.ceil(weights.size / 64) * 8
        assert weights.nbytes / 32 <= step.signs.nbytes < weights.nbytes / 32 + 8
        assert step.alpha.nbytes == 4 * len(weights)
        assert set(step.arrays()) == {"signs", "alpha"}  # and no copy of the real weights
    assert binnet.pack(trained("bnn")).graph["conv2"].arrays().keys() == {"signs"}


def test_signs_are_one_row_in_ohwi_order_lowest_bit_first(net, model):
    step = model.graph["conv2"]
    flat_weight = net.conv2.weight.data.ravel()  # OHWI, C order
    assert len(step.signs) == math.ceil(flat_weight.size / 64)
    for i in (0, 1, 63, 64, 1000, flat_weight.size - 1):
        bit = int(step.signs[i // 64]) >> (i % 64) & 1
        assert bit == (flat_weight[i] < 0), i
    assert flat_weight.size % 64
    assert int(step.signs[-1]) >> (flat_weight.size % 64) == 0


def test_the_file_holds_one_bit_weights_only(path):
    with h5py.File(path) as file:
        sizes = {name: file[name].nbytes for name in file}
    weights = [name for name in sizes if name.endswith(".weight")]
    assert sorted(weights) == ["conv1.weight", "dense4.weight"]
    assert path.stat().st_size < sum(sizes.values()) + 16_000  # and little beside the arrays


def test_info_and_spec_come_back(model, path):
    loaded = binnet.load(path)
    assert (loaded.info, loaded.built, loaded.fixed_size) == (model.info, model.built, True)
    assert path.read_bytes() == model.to_bytes() == loaded.to_bytes()


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (np.zeros((2, 8, 6)), ValueError, r"images must be \(N, 8, 6, 1\), got \(2, 8, 6\)"),
        (np.zeros((2, 8, 6, 3)), ValueError, r"images must be \(N, 8, 6, 1\), got \(2, 8, 6, 3\)"),
        (np.zeros((2, 6, 8, 1)), ValueError, r"images must be \(N, 8, 6, 1\), got \(2, 6, 8, 1\)"),
        (np.zeros((2, 0, 6, 1)), ValueError, r"images must be \(N, 8, 6, 1\)"),
        (np.zeros((2, 8, 6, 3), np.uint8), ValueError, r"images must be \(N, 8, 6, 1\), got \(2, 8, 6, 3\)"),
        (np.zeros((2, 1, 8, 6), np.uint8), ValueError, r"images must be \(N, 8, 6, 1\), got \(2, 1, 8, 6\)"),
        (np.zeros((2, 8, 6, 1), complex), TypeError, "images must be real numbers, got complex128"),
        (np.zeros((2, 8, 6, 1), bool), TypeError, "pixels as uint8, got bool"),
        ("digits.png", TypeError, "real numbers"),
        (None, TypeError, "real numbers"),
    ],
)
def test_wrong_images(model, x, error, match):
    with pytest.raises(error, match=match):
        model(x)


def test_other_widths_and_layouts_of_images(model):
    x = images()
    np.testing.assert_array_equal(model(x.astype(np.float64)), model(x))
    np.testing.assert_array_equal(model(x[::-1])[::-1], model(x))
    np.testing.assert_array_equal(model(x.tolist()), model(x))


def test_pixels_are_normalised_as_the_loader_does(model):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 1), dtype=np.uint8)
    expected = model(binnet_datasets.normalise(pixels, *model.info.normalisation()))
    np.testing.assert_array_equal(model(pixels), expected)
    assert not np.array_equal(model(pixels.astype(np.float32)), expected)
    unknown = binnet.pack(models.build("lenet5", num_classes=3, in_channels=1, image_size=(8, 6)))
    with pytest.raises(ValueError, match="the model does not say how images are normalised"):
        unknown(pixels)
    with pytest.raises(TypeError, match="normalised real numbers, or pixels as uint8, got int64"):
        model(pixels.astype(np.int64))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_refused(model, value):
    x = images()
    x[1, 2, 3] = value
    with pytest.raises(ValueError, match="images must be finite, got NaN or infinity"):
        model(x)


def test_values_whose_sum_overflows_are_finite(model):
    assert model(np.full((1, 8, 6, 1), 3e38, np.float32)).shape == (1, 3)


def test_copies_and_pickles_give_the_same_bits(model):
    x = images()
    for ran in (False, True):
        if ran:
            model(x)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            np.testing.assert_array_equal(other(x), model(x))
            assert other.to_bytes() == model.to_bytes()


class _Reversed(nn.Sequential):
    def forward(self, x):
        return super().forward(ops.mul(x, -1.0))


class _Doubled(nn.ReLU):
    def forward(self, x):
        return super().forward(ops.add(x, x))


def _replace_forward(net):
    net.conv1_relu.forward = lambda x: ops.add(x, 1.0)


def _share(net):
    net.conv1.bias = nn.Parameter(np.arange(20))
    net.conv2_norm = net.conv1_norm = nn.BatchNorm(20)


@pytest.mark.parametrize(
    "change",
    [
        lambda net: setattr(net, "conv2_pool", nn.AvgPool2d(2)),
        lambda net: setattr(net.conv2, "input_binariser", nn.InputBinariser(pad_value=1)),
        lambda net: setattr(net.conv2, "input_binariser", nn.InputBinariser(use_k=True)),
        lambda net: setattr(net.conv2, "weight_binariser", nn.WeightBinariser("none")),
        lambda net: setattr(net, "more", nn.ReLU()),
        lambda net: delattr(net, "dense3_relu"),
        lambda net: setattr(net, "conv1_relu", _Reversed()),
        lambda net: setattr(net, "conv1_relu", _Doubled()),
        lambda net: setattr(net.conv1_norm, "eps", 0.1),
        _replace_forward,
        _share,
    ],
)
def test_networks_that_were_changed_are_packed_as_they_are(change, tmp_path):
    net, x = trained(), images()
    before = logits(net, x)
    change(net)
    expected = logits(net, x)
    assert not np.array_equal(expected, before)
    binnet.pack(net).save(tmp_path / "m.h5")
    np.testing.assert_array_equal(binnet.load(tmp_path / "m.h5")(x), expected)


@pytest.mark.parametrize("layer", ["conv1", "conv2", "dense3_norm", "dense4"])
def test_weights_that_are_not_finite_are_not_packed(layer):
    net = models.build("lenet5", in_channels=1)
    next(iter(getattr(net, layer).parameters())).data.reshape(-1)[3] = np.nan
    with pytest.raises(ValueError, match=rf"{layer}.* (not|no longer) finite"):
        binnet.pack(net)


def test_a_normalisation_before_a_flattened_dense_layer_at_the_image(rng):
    net, x = nn.Sequential(nn.BatchNorm(2), nn.Flatten(), nn.BinLinear(32, 5, rng=rng)).eval(), images(3, (4, 4, 2))
    some_statistics(net)
    np.testing.assert_array_equal(Engine(trace(net, (4, 4, 2)))(x), logits(net, x))


def test_pack_takes_what_mean_std_returns(tmp_path):
    digits = binnet_datasets.load("digits")
    mean, std = digits.mean_std()
    net = models.build("lenet5", in_channels=1, image_size=8)
    model = binnet.pack(net, mean=mean, std=std, class_names=digits.class_names)
    assert model.info == DataInfo(class_names=digits.class_names, mean=mean, std=std)
    model.save(tmp_path / "m.h5")
    assert binnet.load(tmp_path / "m.h5").info == model.info
    with pytest.raises(ValueError, match="either info, or mean, std and class_names"):
        binnet.pack(net, DataInfo(), mean=mean, std=std)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mean": 0.5, "std": 0}, r"std must be above 0, got \(0.0,\)"),
        ({"mean": [0.5, 0.5], "std": 0.5}, "one number each for each channel"),
        ({"mean": [0.5, 0.5], "std": [0.5, 0.5]}, "mean and std must be one number or 1, one a channel, got 2"),
        ({"mean": 0.5}, "one number each for each channel"),
        ({"mean": np.nan, "std": 1}, "mean must be one finite number for each channel, got nan"),
        ({"mean": "0.5", "std": 1}, "mean must be one finite number for each channel, got '0.5'"),
        ({"mean": 1e39, "std": 1}, r"mean must be one finite number for each channel, got 1e\+39"),
        ({"mean": 0.5, "std": 1e-50}, r"std must be above 0, got \(1e-50,\)"),
        ({"class_names": ["a", "b"]}, "class_names must be 10 names, one a class, got 2"),
        ({"class_names": "abcdefghij"}, "class_names must be a list of names, got 'abcdefghij'"),
        ({"input_shape": (8, 8, 3)}, r"lenet5 takes images \(8, 8, 1\), but input_shape is \(8, 8, 3\)"),
        ({"input_shape": 8}, r"lenet5 takes images \(8, 8, 1\), but input_shape is 8"),
    ],
)
def test_information_that_does_not_fit_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        binnet.pack(models.build("lenet5", in_channels=1, image_size=8), **options)


def test_keys_of_the_training_images(tmp_path):
    net = models.build("lenet5", in_channels=1, image_size=8)
    info = DataInfo(trained_on=np.array([7, 3, 7], np.uint64))
    binnet.pack(net, info).save(tmp_path / "m.h5")
    loaded = binnet.load(tmp_path / "m.h5")
    assert (loaded.info.trained_on.tolist(), "trained_on" in loaded.arrays()) == ([3, 7], False)
    many = binnet.pack(net, DataInfo(trained_on=np.arange(50_001, dtype=np.uint64))).info
    assert (many.trained_on.size, many.provenance) == (0, {"trained_on": "not kept, 50,001 images"})


def residual(seed=0):
    """A chain with sums in it: without and with a shortcut, one inside the other, all kinds of layers."""
    rng = np.random.default_rng(seed)
    window = {"kernel_size": 3, "padding": 1, "rng": rng}
    plain = nn.Residual(nn.Sequential(("norm", nn.BatchNorm(6)), ("conv", nn.BinConv2d(6, 6, **window))))
    inner = nn.Residual(nn.Sequential(nn.BwnConv2d(6, 6, **window), nn.Sign()))
    body = nn.Sequential(("conv", nn.BinConv2d(6, 10, stride=2, **window)), ("norm", nn.BatchNorm(10)))
    short = nn.Sequential(("pool", nn.AvgPool2d(2)), ("conv", nn.Conv2d(6, 10, 1, bias=True, rng=rng)))
    pool = nn.MaxPool2d(3, 1, 1)
    first = nn.Conv2d(2, 6, **window)
    options = BinaryOptions(use_k=True)
    last = [nn.GlobalAvgPool(), nn.BwnLinear(10, 9, rng=rng), nn.BinLinear(9, 4, **options.for_xnor(), rng=rng)]
    return [first, plain, inner, pool, nn.ReLU(), nn.Residual(body, short), *last]


def some_statistics(net, seed=4):
    """Give normalisations and biases other values than the initial ones."""
    rng = np.random.default_rng(seed)
    for name, array in [*((n, p.data) for n, p in net.named_parameters()), *net.named_buffers()]:
        if name.endswith(("gamma", "beta", "bias", "running_mean", "running_var")):
            array[...] = rng.uniform(0.5, 1.5, array.shape)


def test_residual_sums_by_hand():
    net, x = nn.Sequential(*residual()), images(3, (8, 8, 2))
    some_statistics(net)
    np.testing.assert_array_equal(Engine(trace(net, (8, 8, 2)))(x), logits(net, x))


def test_residual_sums_in_a_file(monkeypatch, tmp_path):
    entry = Entry(lambda blocks, *_: [(f"n{i}", m) for i, m in enumerate(residual())], (8, 8), fixed_size=False)
    monkeypatch.setitem(REGISTRY, "sums", entry)
    net, x = models.build("sums", num_classes=4, in_channels=2), images(3, (8, 8, 2))
    some_statistics(net)
    model = binnet.pack(net)
    names = [node.name for node in model.graph]
    assert len(names) == len(set(names)) == 18
    assert "n1.body.conv.signs" in model.arrays()
    model.save(tmp_path / "m.h5")
    loaded = binnet.load(tmp_path / "m.h5")
    np.testing.assert_array_equal(loaded(x), logits(net, x))
    larger = images(2, (12, 10, 2))  # it ends in a global average
    np.testing.assert_array_equal(loaded(larger), logits(net, larger))
    with pytest.raises(ValueError, match=r"images must be \(N, H, W, 2\), got"):
        loaded(larger[..., :1])
    summary = summarise(loaded)
    assert [row.kind for row in summary.rows if row.kind == "Add"] == ["Add"] * 3
    assert summary.total("params_1bit") == 6 * 9 * 6 + 6 * 9 * 6 + 10 * 9 * 6 + 9 * 10 + 4 * 9
    assert summary.total("macs_1bit") == 64 * (6 * 9 * 6) * 2 + 16 * 10 * 9 * 6 + 90 + 36


def edit(path, change):
    """Write the file again with other contents and the right checksum."""
    kind, arrays, description = container.load(path)
    kind = change(arrays, description) or kind
    container.save(path, kind, arrays, description)


def refused(path, match):
    with pytest.raises(StorageError, match=match) as caught:
        binnet.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("conv2.signs", None, "is damaged: conv2.signs is missing"),
        ("dense4.bias", None, "is damaged: dense4.bias is missing"),
        ("more", np.zeros(1, np.float32), "is damaged: unknown array more"),
        ("conv2.signs", np.zeros(390, np.uint64), r"conv2.signs must be uint64 \(391,\), got uint64 \(390,\)"),
        ("conv2.signs", np.zeros((1, 391), np.uint64), r"got uint64 \(1, 391\)"),
        ("conv2.signs", np.zeros(391, np.int64), r"conv2.signs must be float32 or uint64, got int64 \(391,\)"),
        ("conv2.signs", np.zeros(391, np.float32), r"conv2.signs must be uint64 \(391,\), got float32 \(391,\)"),
        (
            "conv2.signs",
            np.full(391, 1 << 40, np.uint64),
            "conv2.signs must end in 0 after the bits of its 25000 weights",
        ),
        ("conv2.alpha", np.zeros(50, np.int64), "conv2.alpha must be float32"),
        ("conv2.alpha", np.zeros(1, np.float32), r"conv2.alpha must be float32 \(50,\), got float32 \(1,\)"),
        ("conv1.weight", np.zeros((20, 1, 5, 5), np.float32), "conv1.weight must be"),
        ("conv1_norm.factor", np.zeros((), np.float32), "conv1_norm.factor must be"),
        ("conv1_norm.factor", np.zeros(3, np.float32), "mean, factor and shift must have the same length"),
        ("conv1_norm.factor", np.full(20, np.nan, np.float32), "conv1_norm.factor has values that are not finite"),
    ],
)
def test_arrays_that_do_not_fit_their_node(path, name, value, match):
    def change(arrays, description):
        arrays.pop(name, None)
        if value is not None:
            arrays[name] = value

    edit(path, change)
    refused(path, match)


def node_of(description, name):
    return next(node for node in description["graph"] if node["name"] == name)


@pytest.mark.parametrize(
    ("name", "field", "value", "match"),
    [
        (
            "conv2",
            "kind",
            "Warp",
            "node conv2 has the unknown kind 'Warp'; if it is one of your own, import the module",
        ),
        ("conv2", "kind", 3, "node conv2 has the unknown kind 3"),
        ("conv2", "kind", "BwnConv", "node conv2 has the unknown field"),
        ("conv2", "name", "conv1", "two nodes have the name conv1"),
        ("conv2", "name", "a/b", "the name of a node must be a printable word without slashes"),
        ("conv2", "name", 5, "the name of a node must be"),
        ("conv2", "inputs", ["conv9"], "conv2 reads conv9, which is no node before it"),
        ("conv2", "inputs", [], "a XnorConv has 1 inputs, got 0"),
        ("conv2", "inputs", "conv2_norm", "inputs a list"),
        ("conv2", "inputs", [3], "inputs must be the names of nodes"),
        ("conv2", "inputs", ["conv1"], "nothing reads the result of conv2_norm"),
        ("conv2", "settings", {}, "conv2.shape is missing"),
        ("conv2", "settings", [], "must be objects"),
        ("conv2", "arrays", {"signs": "conv9.signs"}, "conv2.signs is missing"),
        ("conv2", "arrays", {"signs": 3}, "conv2.signs is missing"),
    ],
)
def test_nodes_that_make_no_sense(path, name, field, value, match):
    edit(path, lambda arrays, description: node_of(description, name).update({field: value}))
    refused(path, match)


@pytest.mark.parametrize(
    ("name", "field", "value", "match"),
    [
        ("conv2", "shape", [50, 5, 5], "conv2.shape must be 4 whole numbers"),
        ("conv2", "shape", [50, 5, 5, 19], "conv2.signs must be uint64"),
        ("conv2", "shape", [50, 25, 20, 1], "conv2 expects"),
        ("conv2", "shape", [50, 5, 5, -20], "conv2.shape must be 4 whole numbers"),
        ("conv2", "shape", [True, 5, 5, 20], "conv2.shape must be 4 whole numbers"),
        ("conv2", "stride", [0, 1], "conv2.stride must be 2 whole numbers from 1"),
        ("conv2", "padding", [2, 2], "conv2.padding must be 4 whole numbers from 0"),
        ("conv2", "padding", [10**9] * 4, "conv2.padding must be 4 whole numbers from 0 to 4096"),
        ("conv2", "pad_value", 2, "conv2.pad_value must be 0, 1 or -1, got 2"),
        ("conv2", "use_k", "yes", "conv2.use_k must be true or false, got 'yes'"),
        ("conv2", "depth", 3, "node conv2 has the unknown field depth"),
        ("conv2", "signs", 3, "node conv2 has the unknown field signs"),
        ("conv2", "pad_value", {"a": 1}, "a setting must be a number, a word or a list"),
        ("conv2_pool", "kernel_size", [9, 9], "is smaller than the window of 9x9"),
        ("conv2_pool", "padding", [2, 0, 0, 0], "padding must be smaller than the window"),
        ("conv1", "groups", 3, "conv1.groups must divide its 20 filters, got 3"),
        ("input", "shape", [8, 6], "input.shape must be 3 whole numbers"),
        ("input", "shape", [60000, 60000, 1], "larger than .* values an image"),
        ("input", "any_size", 1, "input.any_size must be true or false"),
    ],
)
def test_settings_that_make_no_sense(path, name, field, value, match):
    edit(path, lambda arrays, description: node_of(description, name)["settings"].update({field: value}))
    refused(path, match)


@pytest.mark.parametrize(
    ("part", "field", "value", "match"),
    [
        ("graph", None, [], "the nodes of its graph must be a list"),
        ("graph", None, {}, "the nodes of its graph must be a list"),
        ("graph", None, [3], "a node is described by name, kind, inputs, settings and arrays"),
        ("built", None, 3, "built must be null, or an object with name and binarize"),
        ("data", "mean", ["a"], "mean must be one finite number"),
        ("data", "mean", [0.5, 0.5], "mean and std must be one number each for each channel"),
        ("data", "mean", [float("nan")], "finite"),
        ("data", "std", [0], "std must be above 0"),
        ("data", "mean", 3, "is damaged"),
        ("data", "class_names", ["a", "b", "c", "d"], "class_names must be 3 names, one a class, got 4"),
        ("data", "class_names", [1, 2, 3], "the names of the classes must be words"),
        ("data", "provenance", 3, "is damaged"),
        ("data", None, [], "the description of the data does not have the right fields"),
        ("data", None, None, "the description of the data does not have the right fields"),
    ],
)
def test_descriptions_that_make_no_sense(path, part, field, value, match):
    def change(arrays, description):
        if field is None:
            description[part] = value
        else:
            description[part][field] = value

    edit(path, change)
    refused(path, match)


def test_a_description_with_a_part_missing_or_too_many_fields(path):
    edit(path, lambda arrays, description: description.update(depth=3) or PACKED)
    refused(path, "its description does not have the right fields")
    edit(path, lambda arrays, description: description.pop("graph") and description.pop("depth") and PACKED)
    refused(path, "is damaged: its description does not have the right fields")


def test_a_checkpoint_is_no_packed_model(path):
    edit(path, lambda arrays, description: CHECKPOINT)
    refused(path, "is a binnet checkpoint, expected a binnet packed model")


def test_every_kind_of_node_says_what_it_is():
    assert set(KINDS) >= {"Conv", "XnorConv", "BwnConv", "BatchNorm", "Add"}
    node = trace(nn.Sequential(("p", nn.MaxPool2d(3, 2, 1))), (5, 5, 1)).nodes[1]
    assert isinstance(node, MaxPool)
    assert (node.name, node.inputs) == ("p", ("input",))
    expected = {"kernel_size": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1]}
    assert json.loads(json.dumps(node.settings())) == expected


def test_a_dense_node_wants_rows(model):
    with pytest.raises(ValueError, match=r"dense3 expects \(N, 100\), got \(N, 2, 50\)"):
        model.graph["dense3"].output((2, 50))


def test_the_example_in_the_documentation(root, net, path, tmp_path, monkeypatch):
    """It reads one layer without binnet; here beside what binnet says."""
    text = (root / "docs" / "format.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert "binnet" not in code
    monkeypatch.chdir(path.parent)
    names = {}
    exec(compile(code, "format.md", "exec"), names)
    weight = net.conv2.weight.data
    np.testing.assert_array_equal(names["signs"], np.where(weight < 0, -1, 1))
    np.testing.assert_allclose(names["alpha"], np.abs(weight).mean(axis=(1, 2, 3)), rtol=1e-6)


def test_public_names():
    assert isinstance(binnet.pack(trained(steps=0)), PackedModel)
    assert binnet.load("quick-tiny20").name == "quick"
