"""Models in eight bits: close to the real ones, the same bits everywhere, and only where it is possible."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

import binnet
import binnet_datasets
from binnet import models, nn, ops
from binnet.engine.pixels import pixels_of
from binnet.graph import BatchNorm, BwnConv, Conv, Filters, Int8BwnConv, Int8Conv, Pad, QuantiseLinear, walk
from binnet.quantise import Calibration, quantise
from random_modules import modules

MEAN, STD = (0.48, 0.45, 0.4), (0.2, 0.25, 0.3)


def pixels(n=8, size=16, channels=3, seed=0):
    """Smooth images."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, size // 4, size // 4, channels)).astype(np.uint8)
    return small.repeat(4, axis=1).repeat(4, axis=2)


class Net(nn.Module):
    """A stem with a border and a normalisation, two readers of one map, and a classifier."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2, rng=rng), nn.BatchNorm(8)
        self.left, self.right = nn.Conv2d(8, 8, 3, 1, 1, rng=rng), nn.Conv2d(8, 8, 1, bias=False, rng=rng)
        self.groups = nn.Conv2d(8, 8, 3, 1, 1, groups=2, rng=rng)
        self.dense = nn.Linear(8, 5, rng=rng)
        for name, buffer in self.norm.named_buffers():
            buffer[...] = rng.uniform(0.5, 1.5, buffer.shape) if name.endswith("var") else rng.normal(size=buffer.shape)
        self.norm.gamma.data = rng.normal(size=8).astype(np.float32)  # some are negative

    def forward(self, x):
        x = ops.relu(self.norm(self.stem(ops.pad(x, (1, 0, 1, 0), 0.0))))
        x = self.left(x) + self.right(x)
        return ops.softmax(self.dense(self.groups(x).mean(axis=(1, 2))))


def packed(network=None, **how):
    how = {"mean": MEAN, "std": STD, "calibration": pixels(), "real": "int8", **how}
    network = network or Net()
    shape = None if hasattr(network, "spec") else (16, 16, 3)
    return binnet.pack(network, input_shape=shape, **how)


def by_kind(model):
    return [(node.name, node.kind) for node in model.graph if node.arrays()]


def test_what_becomes_of_each_node():
    model = packed()
    assert model.real == "int8"
    assert model.takes_pixels
    assert by_kind(model) == [
        ("stem", "Int8Conv"),
        ("left", "Int8Conv"),
        ("right", "Int8Conv"),
        ("groups", "Conv"),
        ("dense", "Int8Conv"),
    ]
    assert model.graph["stem"].padding == (1, 0, 1, 0)
    assert not any(isinstance(node, Pad | BatchNorm) for node in model.graph)
    assert model.graph["left"].inputs == model.graph["right"].inputs  # both read the same whole numbers
    assert len([node for node in model.graph if isinstance(node, QuantiseLinear)]) == 2


def test_results_are_close():
    real, model = packed(calibration=None, real="float32"), packed()
    x = pixels(seed=1)
    assert np.abs(model(x) - real(x)).max() < 0.01


def test_a_layer_is_kept_by_name():
    model = packed(calibration=Calibration(pixels(), keep=["stem", "dense"]))
    assert ("stem", "Conv") in by_kind(model)
    assert ("dense", "Conv") in by_kind(model)
    assert ("left", "Int8Conv") in by_kind(model)
    assert not model.takes_pixels
    x = pixels(seed=1)
    assert np.abs(model(x) - packed(calibration=None, real="float32")(x)).max() < 0.01
    with pytest.raises(ValueError, match="no real layer 'stm' to keep; there are: stem, left, right, groups, dense"):
        packed(calibration=Calibration(pixels(), keep=["stm"]))


@pytest.mark.parametrize("keep", [None, 3, [3], [["stem"]]])
def test_keep_holds_names(keep):
    with pytest.raises(ValueError, match="keep must be a list of names of layers, got"):
        Calibration(pixels(), keep=keep)


def test_keep_is_a_list():
    with pytest.raises(ValueError, match="keep must be a list of names of layers, got 'stem'"):
        Calibration(pixels(), "stem")


def test_reports():
    model = packed(calibration=None, real="float32")
    layers = {layer.name: layer for layer in quantise(model, Calibration(pixels(), ["right"])).layers}
    assert [*layers] == ["stem", "left", "right", "groups", "dense"]
    assert (layers["stem"].step, layers["stem"].input_error) == (None, None)
    assert layers["left"].zero == 0  # behind a ReLU
    assert 0 < layers["left"].input_error < 0.02
    assert layers["dense"].zero > 0
    assert (layers["right"].reason, layers["groups"].reason) == ("named to be kept", "it has groups")


def test_pixels_and_normalised_images_give_the_same_bits():
    model, x = packed(), np.random.default_rng(1).integers(0, 256, (64, 16, 16, 3), np.uint8)
    normalised = binnet.pack(Net(), mean=MEAN, std=STD, input_shape=(16, 16, 3)).preprocess(x)
    assert normalised.dtype == np.float32
    np.testing.assert_array_equal(model(normalised), model(x))
    np.testing.assert_array_equal(model(normalised.astype(np.float64)), model(x))
    np.testing.assert_array_equal(model.preprocess(x), x)
    assert len(model.profile(x[:1])) > 0
    np.testing.assert_array_equal(model(x), walk(model.graph, x))
    assert model(x[:0]).shape == (0, 5)


def test_calibration_with_images_that_the_model_would_refuse():
    with pytest.raises(ValueError, match=r"these images would be pixels from \d+ to \d+"):
        packed(calibration=pixels().astype(np.float32))  # up to 255, not normalised


def test_an_image_far_outside_of_all_pixels_is_refused():
    model = packed()
    x = model.preprocess(pixels()).astype(np.float32)
    with pytest.raises(ValueError, match=r"these images would be pixels from -?\d+ to \d+"):
        model(x)  # scaled to 255, not normalised
    with pytest.raises(ValueError, match="would be pixels from 0 to inf"):
        model(np.full((1, 16, 16, 3), 3e38))
    with pytest.raises(ValueError, match="finite"):
        model(np.full((1, 16, 16, 3), np.nan))
    with pytest.raises(TypeError, match="pixels as uint8, got int64"):
        model(pixels().astype(np.int64))
    with pytest.raises(ValueError, match=r"images must be \(N, H, W, 3\)"):
        model(pixels()[..., :1])
    with pytest.raises(ValueError, match=r"images must be \(N, H, W, 3\), got \(16, 16, 3\)"):
        model(pixels()[0])
    small = np.float32((0.4 / 255 * np.ones(3) + 1 - np.array(MEAN)) / np.array(STD))
    np.testing.assert_array_equal(model(np.tile(small, (1, 16, 16, 1))), model(np.full((1, 16, 16, 3), 255, np.uint8)))


@pytest.mark.parametrize(("mean", "std"), [((0.0,), (1.0,)), ((1.0,), (1e-30,)), (MEAN, STD), ((0.5,), (1e6,))])
def test_pixels_come_back_from_any_normalisation(mean, std):
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    found = pixels_of(binnet_datasets.normalise(every, mean, std), mean, std)
    np.testing.assert_array_equal(found, every)


def test_an_image_file_is_predicted_as_its_pixels(tmp_path):
    model, x = packed(), pixels(1)
    Image.fromarray(x[0]).save(tmp_path / "x.png")
    assert model.predict(tmp_path / "x.png") == model.predict(x[0]) == model.predict([x[0]])[0]
    np.testing.assert_array_equal(model.preprocess(tmp_path / "x.png"), x)
    assert model.preprocess([]).dtype == np.uint8


def test_a_file_and_copies_give_the_same_bits(tmp_path):
    model, x = packed(), pixels(seed=2)
    expected = model(x)
    model.save(tmp_path / "m.h5")
    loaded = binnet.load(tmp_path / "m.h5")
    assert (loaded.real, loaded.takes_pixels) == ("int8", True)
    assert loaded.to_bytes() == model.to_bytes() == (tmp_path / "m.h5").read_bytes()
    for other in (loaded, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(other(x), expected)
    with pytest.raises(ValueError, match="cannot have float32 weights again"):
        model.with_real("float32")
    with pytest.raises(ValueError, match="in eight bits already"):
        quantise(model, Calibration(x))


def test_unknown_normalisation():
    with pytest.warns(UserWarning, match="pixels are divided by 255"):
        model = packed(mean=None, std=None)
    assert model.takes_pixels
    assert (model.info.mean, model.info.std) == ((0.0,), (1.0,))
    floats = np.random.default_rng(0).standard_normal((8, 16, 16, 3), np.float32)
    model = packed(mean=None, std=None, calibration=floats)
    assert not model.takes_pixels
    assert model.graph["stem"].inputs == ("input.int8",)
    assert np.abs(model(floats) - binnet.pack(Net(), input_shape=(16, 16, 3))(floats)).max() < 0.02


def test_a_mean_that_is_no_pixel_leaves_the_images_real():
    model = packed(mean=(1.5,), std=(1.0,))
    assert not model.takes_pixels
    assert isinstance(model.graph["stem"], Int8Conv)
    x = pixels(seed=3)
    assert np.abs(model(x) - packed(mean=(1.5,), std=(1.0,), calibration=None, real="float32")(x)).max() < 0.01


def test_one_bit_weights():
    network = models.build("lenet5", "bwn", num_classes=10, in_channels=1, image_size=16, seed=0)
    x = pixels(channels=1)
    real, model = (packed(network, mean=(0.5,), std=(0.3,), real=r, calibration=c)
                   for r, c in (("float32", None), ("int8", x)))  # fmt: skip
    assert not [node for node in model.graph if isinstance(node, BwnConv)]
    assert [node for node in model.graph if isinstance(node, Int8BwnConv)]
    a, b = real(x), model(x)
    assert np.abs(a - b).max() < 0.05 * np.abs(a).max()
    np.testing.assert_array_equal(b, walk(model.graph, x))


def test_networks_of_all_forms():
    binary = nn.Sequential(nn.BatchNorm(3), nn.BinConv2d(3, 4, 3, rng=np.random.default_rng(0)))
    model = packed(binary)
    assert (model.real, model.takes_pixels) == ("float32", False)
    for name in ("quick", "nin"):
        network = models.build(name, num_classes=10, in_channels=3, image_size=32, seed=0)
        model = packed(network, calibration=pixels(size=32))
        assert not [node for node in model.graph if isinstance(node, Conv)]
        np.testing.assert_array_equal(model(pixels(2, 32)), walk(model.graph, pixels(2, 32)))


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"calibration": None}, 'calibration images are needed for real="int8" and for nothing else'),
        ({"real": "float16"}, "for nothing else, got real='float16'"),
        ({"calibration": np.zeros((0, 16, 16, 3), np.uint8)}, "calibration needs at least one image"),
        ({"calibration": np.zeros((2, 16, 16, 1), np.uint8)}, "1 channels|images must be"),
        ({"calibration": np.zeros((2, 16), np.float32)}, "got"),
        ({"calibration": np.full((2, 16, 16, 3), np.inf)}, "finite"),
        ({"calibration": "photo"}, "photo"),
        ({"real": "int4", "calibration": None}, "unknown real 'int4'; there are: float32, float16, and int8"),
    ],
)
def test_calibration_that_is_refused(how, match):
    with pytest.raises((ValueError, TypeError), match=match):
        packed(**how)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=max(40, settings().max_examples))
@given(modules(exact=True), st.integers(0, 2**32 - 1), st.booleans())
def test_the_engine_and_the_walk_give_random_modules_the_same_bits(drawn, seed, of_pixels):
    network, shape = drawn
    rng = np.random.default_rng(seed)
    info = {"mean": (0.4,), "std": (0.1,)} if of_pixels else {}
    x = rng.integers(0, 256, (3, *shape), np.uint8) if of_pixels else rng.standard_normal((3, *shape), np.float32)
    stem = nn.Conv2d(shape[2], shape[2], 3, 1, 1, rng=rng)
    model = binnet.pack(nn.Sequential(stem, network), input_shape=shape, real="int8", calibration=x, **info)
    assert isinstance(next(node for node in model.graph if isinstance(node, Filters)), Int8Conv)
    # Those with groups stay real, and the engine sums floats in another order than the walk.
    assume(not any(isinstance(node, Conv) for node in model.graph))
    found = model(x)
    seen = x if model.takes_pixels or not of_pixels else model.preprocess(x)
    np.testing.assert_array_equal(found, walk(model.graph, seen))
    np.testing.assert_array_equal(model(x[1:2]), found[1:2])
    loaded = binnet.engine.from_parts("m.h5", *_parts(model))
    np.testing.assert_array_equal(loaded(x), found)


def _parts(model):
    arrays, description = model._stored()
    return arrays, description
