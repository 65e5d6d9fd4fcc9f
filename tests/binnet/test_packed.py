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
from binnet import Tensor, cross_entropy, models, nn, no_grad, ops, optim, packed, storage
from binnet.info import DataInfo
from binnet.models import REGISTRY, Entry
from binnet.nn import BinaryOptions
from binnet.packed import PackedModel, steps
from binnet.packed.convert import flat, to_steps
from binnet.packed.engine import Engine
from binnet.storage import CHECKPOINT, PACKED, StorageError

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
    assert loaded.spec == net.spec
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
    binary = [step for step in model.steps if step.binary]
    assert [step.name for step in binary] == ["conv2", "dense3"]
    for step in binary:
        weights = getattr(net, step.name).weight.data
        assert step.signs.nbytes == math.ceil(weights.size / 64) * 8
        assert weights.nbytes / 32 <= step.signs.nbytes < weights.nbytes / 32 + 8
        assert step.alpha.nbytes == 4 * len(weights)
        assert set(step.arrays()) == {"signs", "alpha"}  # and no copy of the real weights
    assert binnet.pack(trained("bnn")).steps[5].arrays().keys() == {"signs"}


def test_signs_are_one_row_in_ohwi_order_lowest_bit_first(net, model):
    step = next(s for s in model.steps if s.name == "conv2")
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
    assert (loaded.info, loaded.spec, loaded.fixed_size) == (model.info, model.spec, True)
    assert path.read_bytes() == model.to_bytes() == loaded.to_bytes()


def test_layers_without_a_packed_form_are_named():
    class Tanh(nn.Module):
        pass

    blocks = models.build("lenet5", in_channels=1)
    net = models.Network(blocks.spec, [("conv", nn.Sequential(("tanh", Tanh())))])
    with pytest.raises(ValueError, match=r"conv.tanh \(Tanh\) cannot be packed: there is no packed form of this layer"):
        binnet.pack(net)


def test_a_subclass_is_not_taken_for_its_parent():
    class Doubled(nn.ReLU):
        def forward(self, x):
            return super().forward(x + x)

    with pytest.raises(ValueError, match=r"Doubled\) cannot be packed"):
        to_steps(nn.Sequential(Doubled()))


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (np.zeros((2, 8, 6)), ValueError, "images must have 4 dimensions, got shape"),
        (np.zeros((2, 8, 6, 3)), ValueError, r"images must be \(N, 8, 6, 1\), got \(2, 8, 6, 3\)"),
        (np.zeros((2, 6, 8, 1)), ValueError, r"images must be \(N, 8, 6, 1\), got \(2, 6, 8, 1\)"),
        (np.zeros((2, 0, 6, 1)), ValueError, r"images must be \(N, 8, 6, 1\)"),
        (np.zeros((2, 8, 6, 1), complex), TypeError, "images must be an array of real numbers, got dtype complex128"),
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


def edited(change):
    net = models.build("lenet5", num_classes=3, in_channels=1, image_size=(20, 20))
    change(net)
    return net


class _Reversed(nn.Sequential):
    def forward(self, x):
        return super().forward(ops.mul(x, -1.0))


def _replace_forward(net):
    net.conv1.forward = lambda x: x


def _replace_binary_weight(net):
    net.conv2.binary_weight = lambda: (np.ones_like(net.conv2.weight.data), np.ones(50, np.float32))


def _share(net):
    net.conv2_norm = net.conv1_norm = nn.BatchNorm(20)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda net: setattr(net, "conv2_pool", nn.AvgPool2d(2)), "conv2_pool was changed in lenet5: it is a AvgPool"),
        (lambda net: setattr(net.conv2, "pad_value", 1), "conv2 was changed in lenet5: pad_value is 1 and was 0"),
        (lambda net: setattr(net.conv2, "use_k", True), "conv2 was changed in lenet5: use_k is True and was False"),
        (lambda net: setattr(net.conv1, "stride", (2, 2)), r"conv1 was changed in lenet5: stride is \(2, 2\)"),
        (lambda net: setattr(net.conv2, "scale", "none"), "conv2 was changed in lenet5: its arrays have the shapes"),
        (lambda net: setattr(net, "more", nn.ReLU()), "lenet5 was built with other layers, from more on"),
        (lambda net: delattr(net, "conv1_relu"), "lenet5 was built with other layers, from conv1_pool on"),
        (lambda net: setattr(net, "conv1_relu", _Reversed()), r"conv1_relu \(_Reversed\) cannot be packed"),
        (_replace_forward, r"conv1 \(Conv2d\) cannot be packed: its forward has been replaced"),
        (_replace_binary_weight, r"conv2 \(BinConv2d\) cannot be packed: its binary_weight has been replaced"),
        (lambda net: setattr(net, "children", lambda: iter(())), "lenet5 .* its children has been replaced"),
        (lambda net: setattr(net, "fixed_size", False), "lenet5 was changed: fixed_size is False and was True"),
        (_share, "the layer 'conv1_norm' is used twice"),
    ],
)
def test_networks_that_were_changed_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        binnet.pack(edited(change))


def test_changes_that_the_file_holds_are_packed(tmp_path):
    net = edited(lambda net: (setattr(net.conv1_norm, "eps", 0.1), setattr(net.conv1_norm, "momentum", 0.5))).eval()
    binnet.pack(net).save(tmp_path / "m.h5")
    x = images(3, (20, 20, 1))
    np.testing.assert_array_equal(binnet.load(tmp_path / "m.h5")(x), logits(net, x))


class _Twice(models.Network):
    def forward(self, x):
        return ops.add(super().forward(x), super().forward(x))


@pytest.mark.parametrize("kind", ["subclass", "sequential", "module"])
def test_networks_of_one_s_own_are_refused(kind):
    net = models.build("lenet5", in_channels=1)
    own = {"subclass": lambda: _Twice(net.spec, list(net.children())), "sequential": nn.Sequential, "module": nn.Module}
    with pytest.raises(ValueError, match=r"pack takes a network from binnet\.models\.build, got \w+"):
        binnet.pack(own[kind]())


@pytest.mark.parametrize("layer", ["conv1", "conv2", "dense3_norm", "dense4"])
def test_weights_that_are_not_finite_are_not_packed(layer):
    net = models.build("lenet5", in_channels=1)
    next(iter(getattr(net, layer).parameters())).data.reshape(-1)[3] = np.nan
    with pytest.raises(ValueError, match=rf"{layer} \(\w+\) cannot be packed: its .* not finite"):
        binnet.pack(net)


def test_a_normalisation_before_a_flattened_dense_layer_at_the_image(rng):
    net, x = nn.Sequential(nn.BatchNorm(2), nn.Flatten(), nn.BinLinear(32, 5, rng=rng)).eval(), images(3, (4, 4, 2))
    some_statistics(net)
    np.testing.assert_array_equal(Engine(to_steps(net))(x), logits(net, x))


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
    last = [nn.GlobalAvgPool(), nn.BwnLinear(10, 9, rng=rng), nn.BinLinear(9, 4, options=options, rng=rng)]
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
    np.testing.assert_array_equal(Engine(to_steps(net))(x), logits(net, x))


def test_residual_sums_in_a_file(monkeypatch, tmp_path):
    entry = Entry(lambda blocks, *_: [(f"n{i}", m) for i, m in enumerate(residual())], (8, 8), fixed_size=False)
    monkeypatch.setitem(REGISTRY, "sums", entry)
    net, x = models.build("sums", num_classes=4, in_channels=2), images(3, (8, 8, 2))
    some_statistics(net)
    model = binnet.pack(net)
    names = [step.name for step in flat(model.steps)]
    assert len(names) == len(set(names)) == 17
    assert "n1.body.conv.signs" in model.arrays()
    model.save(tmp_path / "m.h5")
    loaded = binnet.load(tmp_path / "m.h5")
    np.testing.assert_array_equal(loaded(x), logits(net, x))
    larger = images(2, (12, 10, 2))  # it ends in a global average
    np.testing.assert_array_equal(loaded(larger), logits(net, larger))
    with pytest.raises(ValueError, match=r"images must be \(N, H, W, 2\), got"):
        loaded(larger[..., :1])
    summary = packed.summarise(loaded)
    assert [row.kind for row in summary.rows if row.kind == "Add"] == ["Add"] * 3
    assert summary.total("params_1bit") == 6 * 9 * 6 + 6 * 9 * 6 + 10 * 9 * 6 + 9 * 10 + 4 * 9
    assert summary.total("macs_1bit") == 64 * (6 * 9 * 6) * 2 + 16 * 10 * 9 * 6 + 90 + 36


def edit(path, change):
    """Write the file again with other contents and the right checksum."""
    kind, arrays, description = storage.load(path)
    kind = change(arrays, description) or kind
    storage.save(path, kind, arrays, description)


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
        ("conv2.signs", np.zeros(391, np.int64), r"conv2.signs must be uint64 \(391,\), got int64 \(391,\)"),
        ("conv2.alpha", np.zeros(50, np.int64), r"conv2.alpha must be float32 \(50,\), got int64"),
        ("conv2.alpha", np.zeros(1, np.float32), r"conv2.alpha must be float32 \(50,\), got float32 \(1,\)"),
        ("conv1.weight", np.zeros((20, 1, 5, 5), np.float32), "conv1.weight must be"),
        ("conv1_norm.factor", np.zeros((), np.float32), "conv1_norm.factor must be"),
    ],
)
def test_arrays_that_do_not_fit_the_architecture(path, name, value, match):
    def change(arrays, description):
        arrays.pop(name, None)
        if value is not None:
            arrays[name] = value

    edit(path, change)
    refused(path, match)


@pytest.mark.parametrize(
    ("part", "field", "value", "match"),
    [
        ("model", "name", "vgg", "unknown model 'vgg'; there are: "),
        ("model", "binarize", "ternary", "unknown binarize 'ternary'"),
        ("model", "binarize", "float", "conv1.bias|conv2.weight|is missing"),
        ("model", "num_classes", 0, "num_classes must be a whole number, at least 1"),
        ("model", "num_classes", 4, "class_names must be 4 names"),
        ("model", "image_size", [8], "is damaged"),
        ("model", "image_size", 8, "is damaged"),
        ("model", "image_size", [2, 2], "at least 4x4 pixels"),
        ("model", "image_size", [10**9, 10**9], "is damaged"),
        ("model", "options", {"use_k": "yes"}, "unknown use_k 'yes'"),
        ("model", "options", {"colour": 1}, "unknown option 'colour'"),
        ("model", "options", 3, "is damaged"),
        ("model", None, [1, 2], "a model spec has the fields|is damaged"),
        ("model", None, 5, "is damaged"),
        ("data", "mean", ["a"], "mean must be one finite number"),
        ("data", "mean", [0.5, 0.5], "mean and std must be one number each for each channel"),
        ("data", "mean", [float("nan")], "finite"),
        ("data", "std", [0], "std must be above 0"),
        ("data", "mean", 3, "is damaged"),
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
    edit(path, lambda arrays, description: description["model"].update(depth=3) or PACKED)
    refused(path, "a model spec has the fields")
    edit(path, lambda arrays, description: description.pop("model") and PACKED)
    refused(path, "is damaged: model is missing")


def test_a_checkpoint_is_no_packed_model(path):
    edit(path, lambda arrays, description: CHECKPOINT)
    refused(path, "is a binnet checkpoint, expected a binnet packed model")


def test_every_kind_of_step_says_what_it_is():
    assert set(steps.KINDS) >= {"Conv", "XnorConv", "BwnConv", "BatchNorm", "Add"}
    step = to_steps(nn.Sequential(("p", nn.MaxPool2d(3, 2, 1))))[0]
    assert json.dumps(step.settings()) == json.dumps(
        {"name": "p", "kernel_size": [3, 3], "stride": [2, 2], "padding": [1, 1]}
    )


def test_a_dense_step_wants_rows(model):
    dense = next(s for s in model.steps if s.name == "dense3")
    with pytest.raises(ValueError, match=r"dense3 expects \(N, 100\), got \(N, 2, 50\)"):
        dense.output((2, 50))


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
    assert packed.load is binnet.load
