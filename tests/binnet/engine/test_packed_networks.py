"""Random small networks of every kind of block, packed and unpacked: the same bits of every logit."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from binnet import Tensor, models, nn, no_grad
from binnet.engine import PackedModel
from binnet.graph import trace
from binnet.modelfile.info import DataInfo
from binnet.nn import BinaryOptions, Blocks
from binnet.nn.module import LayerError
from binnet.nn.options import CHOICES

CHANNELS = st.sampled_from([1, 3, 5, 31, 32, 33, 40, 64, 65])  # around the words of bits and the lanes of vectors
POOLS = st.sampled_from([None, nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1), nn.MaxPool2d(3, 1, 1)])
SPECIALS = np.float32([3e38, -3e38, 0, -0.0, 1e-42])
FORWARD = (
    "use_k",
    "scale",
    "order",
    "center",
    "pad_value",
    "classifier",
)  # the options that change what a network computes


def _named_pool(name, pool):
    return [] if pool is None else [(f"{name}_pool", pool)]


@st.composite
def layers(draw, mode, options, in_channels):
    """The layers of a network that ends in three scores, whatever the size of the images."""
    blocks = Blocks(mode, options, draw(st.integers(0, 99)))
    c = draw(CHANNELS)
    first = (draw(st.sampled_from([1, 3])), draw(st.sampled_from([1, 2])), 1)
    result = blocks.first_conv("first", in_channels, c, *first) + _named_pool("first", draw(POOLS))
    for number in range(draw(st.integers(1, 3))):
        before, c = c, draw(CHANNELS)
        if draw(st.booleans()):
            result += blocks.residual(f"r{number}", before, c, draw(st.sampled_from([1, 2])))
        else:
            kernel = draw(st.sampled_from([1, 3, (3, 1)]))
            stride, relu = draw(st.sampled_from([1, 2])), draw(st.sampled_from([True, False, None]))
            result += blocks.conv(f"c{number}", before, c, kernel, stride, 1, relu=relu)
            result += _named_pool(f"c{number}", draw(POOLS))
    return blocks, c, result


BITS = st.sampled_from([1, 1, 1, 2, 3, 8])


@st.composite
def networks(draw):
    mode = draw(st.sampled_from(models.MODES))
    words = {name: draw(st.sampled_from(CHOICES[name])) for name in FORWARD}
    options = BinaryOptions(**words, weight_bits=draw(BITS), act_bits=draw(BITS))
    size, in_channels = draw(st.sampled_from([(7, 7), (8, 5), (12, 9)])), draw(st.sampled_from([1, 3]))
    blocks, c, named = draw(layers(mode, options, in_channels))
    spec = models.ModelSpec("lenet5", mode, 3, in_channels, size, options.to_dict())
    try:
        h, w = unpacked(nn.Sequential(*named), np.zeros((1, *size, in_channels), np.float32)).shape[1:3]
    except LayerError:  # nothing left to pool
        reject()
    with_dense = draw(st.booleans())
    if with_dense:
        wide = draw(CHANNELS)
        named += blocks.linear("dense", h * w * c, wide, norm_features=c, relu=draw(st.booleans()))
        named += blocks.linear("dense2", wide, 9, relu=draw(st.booleans()))
        named += [*blocks.last_norm("last", 9), *blocks.last_linear("end", 9, 3)]
    else:
        named += [*blocks.last_norm("last", c), *blocks.last_conv("end", c, 3), ("average", nn.GlobalAvgPool())]
    net = models.Network(spec, named, fixed_size=with_dense)
    shake(net, draw(st.integers(0, 2**32 - 1)))
    return net


def shake(net, seed):
    """Statistics, scales and biases far from the initial ones; some gammas and learned alphas negative, some zero."""
    rng = np.random.default_rng(seed)
    for name, array in [*((n, p.data) for n, p in net.named_parameters()), *net.named_buffers()]:
        end = name.rsplit(".", 1)[-1]
        if end in ("gamma", "alpha"):
            array[...] = rng.choice(np.float32([-1, 0, 1, 1, 2]), array.shape) * rng.uniform(0.5, 1.5, array.shape)
        elif end in ("beta", "bias", "running_mean"):
            array[...] = rng.choice(np.float32([0, 1, 4]), array.shape) * rng.standard_normal(array.shape)
        elif end == "running_var":
            array[...] = rng.uniform(0.1, 9, array.shape)


def unpacked(net, x):
    with no_grad(), np.errstate(all="ignore"):
        return net.eval()(Tensor(x)).numpy()


def pack(net):
    """Of layers that no model builds."""
    return PackedModel(trace(net, (*net.spec.image_size, net.spec.in_channels)), DataInfo())


def same(net, x):
    """Bit by bit."""
    np.testing.assert_array_equal(pack(net)(x), unpacked(net, x))


@given(networks(), st.integers(0, 2**32 - 1), st.sampled_from([1, 3]))
def test_the_same_bits_packed_and_unpacked(net, seed, n):
    x = np.random.default_rng(seed).standard_normal((n, *net.spec.image_size, net.spec.in_channels), dtype=np.float32)
    same(net, x)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
@given(networks(), st.integers(0, 2**32 - 1))
def test_also_of_extreme_values(net, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, *net.spec.image_size, net.spec.in_channels), dtype=np.float32)
    chosen = rng.random(x.shape) < 0.05
    x[chosen] = rng.choice(SPECIALS, chosen.sum())
    same(net, x)


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("mode", ["xnor", "bwn"])
def test_the_networks_of_the_paper(name, mode):
    size = {"alexnet": 67, "resnet18": 33, "googlenet": 32}.get(name, 16)
    net = models.build(name, mode, 5, image_size=size, **({"wide": 70} if name == "alexnet" else {}))
    shake(net, 1)
    x = np.random.default_rng(2).standard_normal((2, size, size, 3), dtype=np.float32)
    same(net, x)
    if not net.fixed_size:
        larger = np.random.default_rng(3).standard_normal((1, size + 9, size + 5, 3), dtype=np.float32)
        same(net, larger)


@given(networks(), st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_an_image_gets_the_same_bits_in_any_batch(net, seed, n):
    x = np.random.default_rng(seed).standard_normal((n, *net.spec.image_size, net.spec.in_channels), dtype=np.float32)
    model = pack(net)
    for run in (model, partial(unpacked, net)):
        together = run(x)
        for i in {0, seed % n, n - 1}:
            np.testing.assert_array_equal(run(x[i : i + 1])[0], together[i])
        np.testing.assert_array_equal(run(x[: n // 2]), together[: n // 2])
