"""The traced layer and its input are those of the network."""

import numpy as np
import pytest

import binnet
from binnet import Tensor, models, no_grad
from binnet.engine.preprocessing import read_for
from binnet.lab.trace import Layer, Source, fresh_source, named_source, open_source, trace_filters, trace_image
from binnet_datasets import DataError, normalise


def seen_by(net, name, x):
    """Input and output of a layer while the network runs."""
    layer, seen = dict(net.named_modules())[name], []
    forward = layer.forward

    def watched(value):
        seen.extend([value.numpy().copy(), forward(value).numpy().copy()])
        return forward(value)

    layer.forward = watched
    try:
        with no_grad():
            net(Tensor(x))
    finally:
        del layer.forward
    return seen


def image_of(source, path):
    info = source.model.info
    return normalise(read_for(source.model, path)[None], info.mean, info.std)


@pytest.mark.parametrize("name", ["block1.body.conv1", "block2.body.conv2"])
@pytest.mark.parametrize("file", ["best.h5", "packed.h5"])
def test_input_and_output_are_the_networks(file, name, folder, net, image_file):
    source = open_source(str(folder / file))
    t = trace_image(source, image_file, name).trace
    x, y = seen_by(net, name, image_of(source, image_file))
    np.testing.assert_array_equal(t.x, x[0])
    np.testing.assert_array_equal(t.y_without_k, y[0])
    np.testing.assert_array_equal(t.layer.alpha, dict(net.named_modules())[name].binary_weight()[1])
    assert (t.layer.weight is None) == (file == "packed.h5")


def test_a_packed_model_has_signs_for_weights(folder, picture, image_file):
    packed = trace_image(open_source(str(folder / "packed.h5")), image_file)
    np.testing.assert_array_equal(packed.trace.dots, picture.trace.dots)
    np.testing.assert_array_equal(packed.trace.y, picture.trace.y)
    assert not np.array_equal(packed.trace.conv, picture.trace.conv)
    assert any("not its real weights" in note for note in packed.notes)
    assert not any("not its real weights" in note for note in picture.notes)
    assert len(packed.checks) == len(picture.checks) - 1  # nothing to take the mean of


def test_what_stands_before_the_layer(picture, folder, image_file):
    assert picture.before == ("conv1", "conv1_norm", "conv1_relu", "block1.body.conv1_norm")
    later = trace_image(open_source(str(folder / "best.h5")), image_file, "block2.body.conv1")
    assert later.before[-2:] == ("block1.add", "block2.body.conv1_norm")
    assert not any(name.startswith("block2.shortcut") for name in later.before)


@pytest.mark.parametrize(
    ("options", "note"),
    [({"use_k": True}, None), ({"scale": "learned"}, "has learned"), ({"order": "cbap"}, "leaves K out")],
)
def test_options_of_the_network(options, note, tmp_path, image_file):
    net = models.build("lenet5", num_classes=2, in_channels=1, image_size=16, **options).eval()
    source = Source("m.h5", binnet.pack(net, mean=0.5, std=0.25), net)
    picture = trace_image(source, image_file)
    assert all(check.passed for check in picture.checks)
    assert picture.trace.layer.use_k == ("use_k" in options)
    assert note is None or any(note in text for text in picture.notes)
    dense = trace_image(source, image_file, "dense3").trace
    assert dense.x.shape[:2] == dense.K.shape == (1, 1)
    assert dense.n == net.dense3.weight.shape[1]


def test_a_network_without_scales(image_file):
    net = models.build("lenet5", "bnn", num_classes=2, in_channels=1, image_size=16).eval()
    picture = trace_image(Source("m.h5", binnet.pack(net, mean=0.5, std=0.25), net), image_file)
    assert (picture.trace.layer.alpha == 1).all()
    assert any("no scales" in note for note in picture.notes)


def test_a_fresh_network_is_centred_by_the_image(image_file):
    picture = trace_image(fresh_source("lenet5", 20), image_file)
    assert 0.3 < (picture.trace.x < 0).mean() < 0.9
    assert any("not trained" in note for note in picture.notes)
    assert all(check.passed for check in picture.checks)
    assert picture.pixels.shape == (20, 20, 3)
    again = trace_image(fresh_source("lenet5", 20), image_file)
    np.testing.assert_array_equal(again.trace.y, picture.trace.y)


def test_other_sizes_of_images(folder, image_file):
    source = open_source(str(folder / "packed.h5"))
    assert trace_image(source, image_file, side=40).trace.x.shape == (20, 20, 32)
    for side in (0, 5000):
        with pytest.raises(ValueError, match="must lie in 1…1024"):
            trace_image(source, image_file, side=side)
        with pytest.raises(ValueError, match="must lie in 1…1024"):
            fresh_source("quick", side)
    with pytest.raises(ValueError, match="28x28 only, got 30"):
        trace_image(fresh_source("lenet5"), image_file, side=30)


def test_layers_that_cannot_be_traced(folder, image_file):
    source = open_source(str(folder / "best.h5"))
    with pytest.raises(ValueError, match=r"no layer 'conv9' in best.h5; there are: block1.body.conv1, .*conv2$"):
        trace_image(source, image_file, "conv9")
    with pytest.raises(ValueError, match=r"'conv1' is not binary in best.h5; there are: block1.body.conv1, "):
        trace_image(source, image_file, "conv1")
    bwn = models.build("lenet5", "bwn", num_classes=2, in_channels=1, image_size=16)
    signs = r"m.h5 \(lenet5, bwn\) has no layer that multiplies signs with signs, as xnor "
    with pytest.raises(ValueError, match=signs):
        trace_image(Source("m.h5", binnet.pack(bwn, mean=0.5, std=0.25), bwn), image_file)
    mixed = models.build("lenet5", num_classes=2, in_channels=1, image_size=16, classifier="one-bit")
    last = [name for name, _ in mixed.children()][-1]
    with pytest.raises(ValueError, match=f"'{last}' is not binary, its weights are but not its input, in m.h5"):
        trace_image(Source("m.h5", binnet.pack(mixed, mean=0.5, std=0.25), mixed), image_file, last)


def test_layers_of_several_bits(image_file):
    net = models.build("lenet5", num_classes=2, in_channels=1, image_size=16, act_bits=2, weight_bits=3)
    source = Source("m.h5", binnet.pack(net, mean=0.5, std=0.25), net)
    with pytest.raises(ValueError, match="no layer that multiplies signs"):
        trace_image(source, image_file)


def test_models_by_name(image_file):
    picture = trace_image(named_source("quick-tiny20"), image_file, side=96)
    assert picture.model == "quick, xnor, from quick-tiny20"
    assert all(check.passed for check in picture.checks)
    assert named_source("lenet5", 20).fresh
    with pytest.raises(
        ValueError,
        match=r"unknown model 'vgg'; there are: quick-tiny20, quick2-tiny20, reactnet18-.*, lenet5, .*, quick2$",
    ):
        named_source("vgg")


def test_images_that_cannot_be_read(folder, tmp_path):
    source = open_source(str(folder / "best.h5"))
    with pytest.raises(DataError, match="no such file"):
        trace_image(source, tmp_path / "nothing.png")


def test_filters_of_ones_own(rng):
    pixels = rng.integers(0, 256, (9, 8, 3), np.uint8)
    layer = Layer.of_weight(rng.standard_normal((2, 3, 3, 3)), padding=1, name="edges")
    picture = trace_filters(pixels / 255 - 0.5, layer, pixels, "noise")
    assert picture.trace.dots.shape == (9, 8, 2)
    assert all(check.passed for check in picture.checks)
    assert picture.notes == ()
