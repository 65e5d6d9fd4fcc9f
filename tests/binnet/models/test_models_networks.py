"""The networks of the paper: every one in every mode, their sizes against published figures, their arithmetic."""

import numpy as np
import pytest

import binnet
from binnet import Tensor, cross_entropy, models
from binnet.engine.summary import summarise
from binnet.models.alexnet import stem_stride

SMALL = {
    "nin": {"image_size": 8},
    "cifar_vgg": {"image_size": 8},
    "alexnet": {"image_size": 32, "wide": 64},
    "resnet18": {"image_size": 32},
    "googlenet": {"image_size": 32},
    "quick": {"image_size": (16, 20)},
}
LEAST = {"lenet5": 4, "nin": 3, "cifar_vgg": 8, "alexnet": 21, "resnet18": 17, "googlenet": 31, "quick": 8}
DEFAULT = {"lenet5": 28, "nin": 32, "cifar_vgg": 32, "alexnet": 224, "resnet18": 224, "googlenet": 224, "quick": 64}
LATER = {"birealnet18": 224, "reactnet18": 224, "quick2": 64}  # test_shortcut_networks.py
ANY_SIZE = ("nin", "resnet18", "googlenet", "quick")
FORMS = [(mode, "bacp") for mode in models.MODES] + [("xnor", "cbap"), ("bnn", "cbap")]

# All layers with filters as (rows of the square output map, rows of the filter, channels, filters), from the papers.
RESNET18 = [
    *[(112, 7, 3, 64), *[(56, 3, 64, 64)] * 4],
    *[(28, 3, 64, 128), *[(28, 3, 128, 128)] * 3, (28, 1, 64, 128)],
    *[(14, 3, 128, 256), *[(14, 3, 256, 256)] * 3, (14, 1, 128, 256)],
    *[(7, 3, 256, 512), *[(7, 3, 512, 512)] * 3, (7, 1, 256, 512), (1, 1, 512, 1000)],
]
ALEXNET = [
    *[(55, 11, 3, 96), (27, 5, 96, 256), (13, 3, 256, 384), (13, 3, 384, 384), (13, 3, 384, 256)],
    *[(1, 6, 256, 4096), (1, 1, 4096, 4096), (1, 1, 4096, 1000)],
]
GOOGLENET = [
    *[(112, 7, 3, 64), (56, 3, 64, 192)],
    *[(28, 1, 192, 128), (28, 3, 128, 256), (28, 1, 256, 256), (28, 3, 256, 512)],
    *[(14, 1, 512, 256), (14, 3, 256, 512)] * 4,
    *[(14, 1, 512, 512), (14, 3, 512, 1024)],
    *[(7, 1, 1024, 512), (7, 3, 512, 1024)] * 2,
    (7, 1, 1024, 1000),
]
CIFAR_VGG = [
    *[(32, 3, 3, 128), (32, 3, 128, 128), (16, 3, 128, 256), (16, 3, 256, 256), (8, 3, 256, 512), (8, 3, 512, 512)],
    *[(1, 4, 512, 1024), (1, 1, 1024, 1024), (1, 1, 1024, 10)],
]
NIN = [
    *[(32, 5, 3, 192), (32, 1, 192, 160), (32, 1, 160, 96)],
    *[(16, 5, 96, 192), (16, 1, 192, 192), (16, 1, 192, 192)],
    *[(8, 3, 192, 192), (8, 1, 192, 192), (8, 1, 192, 10)],
]
QUICK = [
    *[(32, 3, 3, 32), (16, 3, 32, 64), (16, 3, 64, 64), (16, 1, 32, 64)],
    *[(8, 3, 64, 128), (8, 3, 128, 128), (8, 1, 64, 128)],
    *[(4, 3, 128, 192), (4, 3, 192, 192), (4, 1, 128, 192), (1, 1, 192, 10)],
]
# Name, layers, how many of them are real; then weights and multiply-adds as rounded in the literature or DESIGN.
COSTS = [
    ("resnet18", RESNET18, 5, 11.68e6, 1.814e9),
    ("alexnet", ALEXNET, 2, 62.37e6, 1.135e9),
    ("googlenet", GOOGLENET, 2, 23.42e6, 4.259e9),
    ("cifar_vgg", CIFAR_VGG, 2, 14.02e6, 617.0e6),
    ("nin", NIN, 2, 0.9656e6, 222.5e6),
    ("quick", QUICK, 5, 0.8670e6, 39.49e6),
]
# A step of them and their packing take seconds.
LARGEST = {"resnet18", "googlenet", "cifar_vgg"}


def images(size, n=2, channels=3, seed=0):
    h, w = (size, size) if isinstance(size, int) else size
    return np.random.default_rng(seed).standard_normal((n, h, w, channels)).astype(np.float32)


def step(net, x):
    """One forward and backward pass of training."""
    loss = cross_entropy(net(Tensor(x)), np.arange(len(x)))
    loss.backward()
    return loss.item()


def test_every_network_is_there():
    assert models.names() == (*DEFAULT, *LATER)
    assert all(models.REGISTRY[name].image_size == (side, side) for name, side in (DEFAULT | LATER).items())
    assert set(SMALL) == set(DEFAULT) - {"lenet5"}


@pytest.mark.parametrize(("mode", "order"), FORMS)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LARGEST else []) for name in SMALL]
)
def test_every_network_in_every_mode(name, mode, order, tmp_path):
    net = models.build(name, mode, num_classes=5, order=order, seed=1, **SMALL[name])
    x = images(net.spec.image_size, n=3)
    assert net(Tensor(x)).shape == (3, 5)
    assert np.isfinite(step(net, x))
    silent = [path for path, p in net.named_parameters() if p.grad is None or not np.abs(p.grad).max() > 0]
    assert silent == []
    scores = net.eval()(x).data
    assert np.ptp(scores, axis=0).min() > 0  # it looks at its input
    packed = binnet.pack(net)
    np.testing.assert_array_equal(packed(x), scores)
    packed.save(tmp_path / "m.h5")
    np.testing.assert_array_equal(binnet.load(tmp_path / "m.h5")(x), scores)


@pytest.mark.parametrize("name", LEAST)
def test_too_small_images_are_told_the_least_size(name):
    least, own = LEAST[name], SMALL.get(name, {}) | {"image_size": (LEAST[name], 40)}
    net = models.build(name, **own).eval()
    assert net(images((least, 40))).shape == (2, 10)
    text = f"^{name} needs images of at least {least}x{least} pixels, got 40x{least - 1}$"
    with pytest.raises(ValueError, match=text):
        models.build(name, image_size=(40, least - 1))


@pytest.mark.parametrize("name", SMALL)
def test_channels_and_other_sizes(name):
    net = models.build(name, in_channels=2, **SMALL[name]).eval()
    h, w = net.spec.image_size
    assert net(images((h, w), channels=2)).shape == (2, 10)
    larger = images((h + 32, w + 8), channels=2)
    if name in ANY_SIZE:
        scores = net(larger).data
        np.testing.assert_array_equal(binnet.pack(net)(larger), scores)
        assert scores.shape == (2, 10)
    else:
        with pytest.raises(ValueError, match=rf"expected input \(N, {h}, {w}, 2\)"):
            net(larger)


@pytest.mark.parametrize(("name", "layers", "real", "weights", "macs"), COSTS, ids=[row[0] for row in COSTS])
def test_sizes_as_published(name, layers, real, weights, macs):
    by_hand = [(k * k * c * o, side * side * k * k * c * o) for side, k, c, o in layers]
    num_classes = layers[-1][3]
    net = models.build(name, "xnor", num_classes=num_classes)
    summary = summarise(binnet.pack(net))
    found = [(int(np.prod(p.shape)), p.binary) for path, p in net.named_parameters() if path.endswith(".weight")]
    assert sorted(size for size, _ in found) == sorted(size for size, _ in by_hand)
    assert sum(not binary for _, binary in found) == real
    costs = sorted(row.macs_1bit + row.macs_32bit for row in summary.rows if row.macs_1bit + row.macs_32bit)
    assert costs == sorted(cost for _, cost in by_hand)
    assert sum(size for size, _ in found) == pytest.approx(weights, rel=1e-3)
    assert sum(costs) == pytest.approx(macs, rel=1e-3)
    assert summary.total("params_1bit") == sum(size for size, binary in found if binary)
    assert summary.binary_share > 0.85


@pytest.mark.parametrize("name", SMALL)
def test_real_weights_in_a_network_built_again(name):
    net = models.build(name, num_classes=4, seed=1, **SMALL[name])
    x = images(net.spec.image_size)
    net(x)  # moves the running statistics
    again = models.build_spec(models.ModelSpec.from_dict(net.spec.to_dict()), seed=2)
    again.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(again.eval()(x).data, net.eval()(x).data)


def test_resnet18_has_the_parameters_of_torchvision():
    net = models.build("resnet18", "float", num_classes=1000, image_size=32)
    assert sum(p.data.size for p in net.parameters()) == 11_689_512


@pytest.mark.parametrize("name", SMALL)
def test_first_and_last_layer_are_real(name):
    net = models.build(name, "xnor", **SMALL[name])
    binary = [p.binary for path, p in net.named_parameters() if path.endswith(".weight")]
    assert not binary[0]
    assert not binary[-1]
    real_inside = [path for path, p in net.named_parameters() if path.endswith(".weight") and not p.binary][1:-1]
    assert all("shortcut" in path for path in real_inside)
    assert len(real_inside) == (3 if name in ("resnet18", "quick") else 0)


@pytest.mark.parametrize(
    ("side", "stride", "left"),
    [
        *[(224, 4, 6), (128, 4, 3), (95, 4, 2), (94, 3, 2), (73, 3, 2)],
        *[(72, 2, 3), (64, 2, 2), (51, 2, 2), (50, 1, 4), (21, 1, 1)],
    ],
)
def test_alexnet_on_small_images(side, stride, left):
    assert stem_stride((side, side + 30)) == stride
    net = models.build("alexnet", image_size=side, wide=8)
    assert net.conv1.stride == (stride, stride)
    assert net.dense6.weight.shape == (8, left * left * 256)


def test_alexnet_drops_out_where_the_authors_do():
    def names(mode, **options):
        net = models.build("alexnet", mode, image_size=32, wide=8, **options)
        return [(name, child.p) for name, child in net.children() if name.startswith("dropout")]

    for mode in ("float", "bwn", "binaryconnect"):
        assert names(mode) == [("dropout6", 0.1), ("dropout7", 0.1)]
        assert names(mode, dropout=0.0) == []
    assert names("xnor") == names("bnn", dropout=0.5) == []
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="wide must be a whole number, at least 1, got"):
            models.build("alexnet", wide=wrong)


def test_every_mode_of_resnet18_starts_from_the_same_weights():
    nets = [models.build("resnet18", mode, image_size=32) for mode in models.MODES]
    weights = [{path: p.data for path, p in net.named_parameters() if path.endswith(".weight")} for net in nets]
    assert len(weights[0]) == 21
    for others in weights[1:]:
        for path, weight in weights[0].items():
            np.testing.assert_array_equal(others[path], weight, err_msg=path)


@pytest.mark.parametrize("name", ["nin", "quick"])
def test_a_batch_can_be_learned_by_heart(name):
    net = models.build(name, num_classes=4, image_size=17, seed=3)
    x, labels = images(17, n=8), np.arange(8) % 4
    optimiser = binnet.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = cross_entropy(net(Tensor(x)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
