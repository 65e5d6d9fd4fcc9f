"""Networks with a shortcut around each binary convolution: their arithmetic, options, and packed models."""

import numpy as np
import pytest

import binnet
from binnet import Tensor, cross_entropy, models, nn
from binnet.models.own_options import parse, written
from naive import naive_avg_pool2d, naive_batch_norm, naive_conv2d, naive_sign

SMALL = {
    "birealnet18": {"width": 4, "image_size": (17, 16)},
    "reactnet18": {"width": 4, "image_size": (16, 17)},
    "quick2": {"stages": "8x1-12x2-16x1", "image_size": (18, 16)},
}
OPTIONS = [
    {},
    {"scale_map": "spatial"},
    {"first_bits": 2},
    {"activation": "prelu", "downsample": "stride", "threshold": "learned"},
    {"activation": "relu", "threshold": "zero", "ste": "polynomial"},
    {"weights": "real", "pad_value": -1},
]


def images(net, n=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n, *net.spec.image_size, 3)).astype(np.float32)


def disturbed(net):
    """The network with other values in its parameters of one number a channel, which begin at 0 or 1."""
    rng = np.random.default_rng(7)
    for path, p in net.named_parameters():
        if not path.endswith("weight"):
            p.data += 0.3 * rng.standard_normal(p.shape).astype(np.float32)
    return net


@pytest.mark.parametrize("mode", models.MODES)
@pytest.mark.parametrize("name", SMALL)
def test_every_network_in_every_mode(name, mode):
    net = models.build(name, mode, num_classes=5, seed=1, **SMALL[name])
    loss = cross_entropy(net(Tensor(images(net))), np.arange(3))
    loss.backward()
    assert [path for path, p in net.named_parameters() if p.grad is None or not np.abs(p.grad).max() > 0] == []
    scores = net.eval()(images(net)).data
    assert np.ptp(scores, axis=0).min() > 0


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", SMALL)
def test_the_packed_model_gives_the_same_bits(name, options, tmp_path):
    net = disturbed(models.build(name, "xnor", num_classes=5, seed=1, **SMALL[name], **options))
    net(Tensor(images(net)))  # moves the running statistics
    scores = net.eval()(images(net, seed=1)).data
    binnet.pack(net).save(tmp_path / "m.h5")
    np.testing.assert_array_equal(binnet.load(tmp_path / "m.h5")(images(net, seed=1)), scores)
    again = models.build_spec(models.ModelSpec.from_dict(net.spec.to_dict()), seed=2)
    again.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(again.eval()(images(net, seed=1)).data, scores)


def chain(mode, options, channels=3, size=(5, 6), seed=0, **binary):
    """Builds blocks one after the other."""
    blocks = nn.Blocks(mode, nn.BinaryOptions(**binary), seed)
    return nn.ShortcutBlocks(blocks, nn.ShortcutOptions(**options), channels, size)


def naive_block(state, x, mode, options, stride, alpha=True):
    """One block in loops and plain NumPy, in training; ``state``: its parameters by name."""
    y = x.astype(np.float64)
    weight = state["body.conv.weight"].astype(np.float64)
    if mode == "xnor":
        y = naive_sign(y + state.get("body.threshold.shift", 0))
        scale = np.abs(weight).mean(axis=(1, 2, 3)) if alpha else 1
        weight = naive_sign(weight) if alpha else weight
    else:
        scale = 1
    y = naive_conv2d(y, weight, stride, 1) * scale
    if "body.scale.rows" in state:
        y = y * state["body.scale.rows"] * state["body.scale.columns"] * state["body.scale.channels"]
    y = naive_batch_norm(y, state["body.norm.gamma"], state["body.norm.beta"])[0]
    z = x.astype(np.float64)
    if "shortcut.conv.weight" in state:
        if stride == 2 and options["downsample"] == "pool":
            odd = x.shape[1] % 2, x.shape[2] % 2
            z, step = naive_avg_pool2d(z, (2 + odd[0], 2 + odd[1]), 2, odd), 1
        else:
            step = stride
        z = naive_conv2d(z, state["shortcut.conv.weight"], step, 0)
        z = naive_batch_norm(z, state["shortcut.norm.gamma"], state["shortcut.norm.beta"])[0]
    y = y + z
    kind = options["activation"]
    if kind == "relu" or (kind == "none" and mode == "float"):
        return np.maximum(y, 0)
    if kind == "none":
        return y
    y = y + state.get("before.shift", 0)
    y = np.where(y >= 0, y, y * state["slope" if kind == "prelu" else "slope.slope"])
    return y + state.get("after.shift", 0)


@pytest.mark.parametrize("weights", ["binary", "real"])
@pytest.mark.parametrize("size", [(4, 6), (5, 4), (5, 7)])
@pytest.mark.parametrize("mode", ["float", "xnor"])
@pytest.mark.parametrize(
    "options",
    [
        {"activation": "none", "downsample": "pool", "threshold": "zero"},
        {"activation": "relu", "downsample": "stride", "threshold": "learned"},
        {"activation": "prelu", "downsample": "pool", "threshold": "learned", "scale_map": "spatial"},
        {"activation": "rprelu", "downsample": "pool", "threshold": "learned"},
    ],
    ids=str,
)
def test_a_block_is_the_formula(mode, options, size, weights):
    units = chain(mode, options, size=size, weights=weights)
    layers = [*units.add("one", 3), *units.add("two", 4, halve=True)]
    assert units.size == (-(-size[0] // 2), -(-size[1] // 2))
    net = disturbed(nn.Sequential(*layers)).train()
    x = np.random.default_rng(3).standard_normal((2, *size, 3)).astype(np.float32)
    expected = x
    for block, stride in (("one", 1), ("two", 2)):
        own = {}
        for path, p in net.named_parameters():
            owner, _, rest = path.partition(".")
            if owner == block or owner.startswith(f"{block}_"):
                own[rest] = p.data
        expected = naive_block(own, expected, mode, options, stride, alpha=weights == "binary")
    np.testing.assert_allclose(net(Tensor(x)).data, expected, rtol=2e-4, atol=2e-4)


def test_every_binary_convolution_has_a_shortcut_around_it():
    net = models.build("birealnet18", "xnor", **SMALL["birealnet18"])
    blocks = [child for _, child in net.children() if isinstance(child, nn.Residual)]
    assert len(blocks) == 16
    assert [sum(isinstance(layer, nn.BinConv2d) for layer in block.body) for block in blocks] == [1] * 16
    assert sum(block.shortcut is not None for block in blocks) == 3
    real = [path for path, p in net.named_parameters() if path.endswith(".weight") and not p.binary]
    assert [path.split(".")[0] for path in (real[0], real[-1])] == ["conv1", "dense"]
    assert all("shortcut" in path for path in real[1:-1])


def shapes(name, size):
    """Shapes of all filters, sorted."""
    net = models.build(name, image_size=size)
    return sorted(p.shape for path, p in net.named_parameters() if path.endswith("weight"))


def test_the_convolutions_are_those_of_the_older_networks():
    assert shapes("birealnet18", 96) == shapes("resnet18", 96)
    assert shapes("quick2", 64) == shapes("quick", 64)


def test_the_stem_follows_the_size_of_the_images():
    def conv1(size, **options):
        return models.build("reactnet18", image_size=size, width=4, **options).conv1

    assert (conv1(64).weight.shape[1], conv1(64).stride) == (3, (1, 1))
    assert (conv1(65).weight.shape[1], conv1(65).stride) == (7, (2, 2))
    assert models.build("quick2", image_size=47).conv1.stride == (1, 1)
    assert models.build("quick2", image_size=48).conv1.stride == (2, 2)


@pytest.mark.parametrize(("name", "first", "rest"), [("reactnet18", 4, 12), ("quick2", 1, 3)])
def test_only_the_first_stage_has_several_bits(name, first, rest):
    """Also where the first block of the first stage halves the map, as in quick2."""
    net = models.build(name, first_bits=3, **SMALL[name])
    bits = [
        getattr(child.body.conv.input_binariser, "bits", 1)
        for _, child in net.children()
        if isinstance(child, nn.Residual)
    ]
    assert bits == [3] * first + [1] * rest


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("reactnet18", {"activation": "gelu"}, "unknown activation 'gelu'; there are: none, relu, prelu, rprelu"),
        ("birealnet18", {"threshold": 0}, "unknown threshold 0; there are: zero, learned"),
        ("birealnet18", {"downsample": "max"}, "unknown downsample 'max'; there are: pool, stride"),
        ("birealnet18", {"scale_map": True}, "unknown scale_map True; there are: none, spatial"),
        ("birealnet18", {"first_bits": 9}, "unknown first_bits 9; there are: 1, 2, "),
        ("birealnet18", {"width": 0}, "width must be a whole number, at least 1, got 0"),
        ("birealnet18", {"order": "cbap"}, "have their own order: leave order out"),
        ("birealnet18", {"first_bits": 2, "weights": "real"}, "first_bits above 1 needs binary weights"),
        (
            "birealnet18",
            {"first_bits": 2, "binary_gradient": "ternary"},
            "binary_gradient ternary needs inputs of 1 bit, got first_bits 2",
        ),
        (
            "birealnet18",
            {"image_size": (7, 40)},
            "18 layers needs images of at least 8x8 pixels, got 7x40",
        ),
        (
            "birealnet18",
            {"image_size": (16, 70)},
            "18 layers needs images of at least 17x17 pixels, got 16x70",
        ),
        ("quick2", {"image_size": 7}, "quick2 needs images of at least 8x8 pixels, got 7x7"),
        ("quick2", {"stages": "64x0"}, "stages must be channels x blocks with hyphens between, like 64x2-128x2-192x2"),
        ("quick2", {"stages": "64-128"}, "stages must be channels x blocks with hyphens between"),
        ("quick2", {"stages": 64}, "stages must be channels x blocks with hyphens between"),
    ],
)
def test_what_is_refused(name, options, text):
    with pytest.raises(ValueError, match=text):
        models.build(name, **({"image_size": 32} | options))


def test_own_options_as_words():
    defaults = {"width": 64, "dropout": 0.5, "stem": "auto"}
    assert parse("width=32, stem=small,dropout=0", defaults) == {"width": 32, "stem": "small", "dropout": 0.0}
    assert written({"width": 32, "stem": "auto", "dropout": 0.25}, defaults) == "width=32,dropout=0.25"
    assert written({}, defaults) is None
    for text, message in [
        ("width", "expected NAME=VALUE with commas between, got 'width'"),
        ("", "expected NAME=VALUE"),
        ("width=", "expected NAME=VALUE"),
        ("height=3", "unknown option 'height'; there are: width, dropout, stem"),
        ("width=3.5", "width must be a whole number, got '3.5'"),
        ("dropout=x", "dropout must be a number, got 'x'"),
        ("width=3,width=3", "width is given twice"),
    ]:
        with pytest.raises(ValueError, match=message):
            parse(text, defaults)
    with pytest.raises(ValueError, match="nin has no options of its own, got 'width=3'"):
        models.own_options("nin", "width=3")
    assert models.own_options("quick2", "stages=8x1") == {"stages": "8x1"}
    assert models.written_own_options("quick2", models.build("quick2", stages="8x3").spec.options) == "stages=8x3"
