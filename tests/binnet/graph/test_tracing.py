"""From modules to graphs: names, what is refused and in which words, custom functions."""

from dataclasses import dataclass

import numpy as np
import pytest

import binnet
from binnet import Function, Tensor, graph, nn, ops
from binnet.engine import engine
from binnet.graph import register, trace
from own_modules import logits, own, same


def named(found):
    return [(node.kind, node.name) for node in found.nodes[1:]]


class Block(nn.Module):
    def __init__(self, rng):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm(4), nn.BinConv2d(4, 4, 3, 1, 1, rng=rng)

    def forward(self, x):
        return ops.relu(self.conv(self.norm(x))) + ops.relu(x)


def test_nodes_are_named_after_layers_and_ops(rng):
    net = nn.Sequential(("stem", nn.Conv2d(1, 4, 3, rng=rng)), ("block", Block(rng)), ("pool", nn.GlobalAvgPool()))
    assert named(trace(net, (8, 8, 1))) == [
        ("Conv", "stem"),
        ("BatchNorm", "block.norm"),
        ("XnorConv", "block.conv"),
        ("Relu", "block.relu"),
        ("Relu", "block.relu_2"),
        ("Add", "block.add"),
        ("GlobalAverage", "pool"),
    ]
    assert trace(net, (8, 8, 1)).input.any_size


def test_a_real_convolution_a_shortcut_a_mean_and_a_dense_layer(rng):
    def forward(self, x):
        x = self.norm(self.stem(x))
        return self.dense((self.binary(x) + x).mean(axis=(1, 2)))

    layers = {"stem": nn.Conv2d(1, 8, 3, 1, 1, rng=rng), "norm": nn.BatchNorm(8), "dense": nn.Linear(8, 3, rng=rng)}
    model = same(own(forward, binary=nn.BinConv2d(8, 8, 3, 1, 1, rng=rng), **layers), (6, 7, 1))
    assert (model.num_classes, model.fixed_size, model.built, model.name) == (3, False, None, "network")


def test_the_module_is_left_as_it_was(rng):
    net = nn.Sequential(nn.BatchNorm(2), nn.Dropout(0.5), nn.BinConv2d(2, 3, 1, rng=rng))
    net[0].training, before = False, net.state_dict()
    trace(net, (4, 4, 2))
    assert [module.training for module in net] == [False, True, True]
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert not any(parameter.grad is not None for parameter in net.parameters())


def test_a_shared_layer_is_stored_once(rng, tmp_path):
    net = own(lambda self, x: self.conv(ops.relu(self.conv(x))), conv=nn.BinConv2d(64, 64, 3, 1, 1, rng=rng))
    model = same(net, (5, 5, 64))
    assert [name for name in model.arrays() if name.endswith("signs")] == ["conv.signs"]
    model.save(tmp_path / "m.h5")
    once = binnet.pack(own(lambda self, x: self.conv(x), conv=net.conv), input_shape=(5, 5, 64))
    assert (tmp_path / "m.h5").stat().st_size < len(once.to_bytes()) + 3000  # the signs alone are 4,608 bytes
    loaded = binnet.load(tmp_path / "m.h5")
    x = np.random.default_rng(1).standard_normal((2, 5, 5, 64), np.float32)
    np.testing.assert_array_equal(loaded(x), logits(net, x))
    assert loaded.to_bytes() == model.to_bytes()


@pytest.mark.parametrize("kind", [nn.BinConv2d, nn.Conv2d])
def test_a_shared_layer_is_prepared_once(rng, monkeypatch, kind):
    made, prepare = [], engine.prepare
    monkeypatch.setattr(engine, "prepare", lambda *arguments: made.append(prepare(*arguments)) or made[-1])
    layers = {"conv": kind(8, 8, 3, 1, 1, rng=rng), "other": kind(8, 8, 3, 1, 1, rng=rng)}
    net = own(lambda self, x: self.other(self.conv(self.conv(x))), **layers)
    model, x = binnet.pack(net, input_shape=(5, 5, 8)), rng.standard_normal((2, 5, 5, 8), np.float32)
    np.testing.assert_array_equal(model(x), logits(net, x))
    assert len(made) == 2
    *_, first, second, _ = model.graph.nodes
    assert first.held is second.held


def test_all_arrays_of_a_layer_that_is_used_twice_are_stored_once(rng):
    layers = {"norm": nn.BatchNorm(3), "conv": nn.BinConv2d(3, 3, 3, 1, 1, rng=rng)}
    net = own(lambda self, x: self.conv(self.norm(self.conv(self.norm(x)))), **layers)
    net.norm.running_mean[...] = [1, 2, 3]
    model = same(net, (5, 5, 3))
    assert sorted(model.arrays()) == ["conv.alpha", "conv.signs", "norm.factor", "norm.mean", "norm.shift"]
    assert [node.name for node in model.graph.nodes[1:]] == ["norm", "conv", "norm.batch_norm", "conv.xnor_conv2d"]


def test_a_layer_cannot_have_the_name_of_another_ones_second_node(rng):
    """A layer that is named conv_2 keeps its name beside a layer conv that is used twice, and its own arrays."""
    layers = {name: nn.BinConv2d(3, 3, 3, 1, 1, rng=rng) for name in ("conv", "conv_2")}
    net = own(lambda self, x: self.conv_2(self.conv(self.conv(x))), **layers)
    model = same(net, (5, 5, 3))
    assert [node.name for node in model.graph.nodes[1:]] == ["conv", "conv.xnor_conv2d", "conv_2"]
    alpha = np.abs(net.conv_2.weight.data).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(model.arrays()["conv_2.alpha"], alpha, rtol=1e-6)


def test_loops_constants_and_views(rng):
    mask = rng.standard_normal((4, 4, 1)).astype(np.float32)

    def forward(self, x):
        for layer in self.layers:
            x = ops.relu(layer(x)) * mask
        rows = x.reshape((len(x), 4, 4 * 3))
        rows = rows.reshape((len(x), -1))
        return self.head(rows) / np.float32([1, 2, 4]) - 1.0

    layers = nn.ModuleList(nn.Conv2d(c, 3, 1, rng=rng) for c in (2, 3))
    model = same(own(forward, layers=layers, head=nn.Linear(48, 3, rng=rng)), (4, 4, 2))
    kinds = [node.kind for node in model.graph]
    assert kinds == [
        *("Input", "Conv", "Relu", "Constant", "Multiply", "Conv", "Relu", "Constant", "Multiply"),
        *("Flatten", "Conv", "Constant", "Divide", "Shift"),
    ]
    assert model.fixed_size


def test_detached_tensors_and_arrays_of_tensors(rng):
    net = own(lambda self, x: self.conv(x.detach()) + Tensor(x.numpy()), conv=nn.Conv2d(2, 2, 1, rng=rng))
    same(net, (3, 3, 2))


def test_a_matrix_product(rng):
    weight = nn.Parameter(rng.standard_normal((6, 4)))
    net = own(lambda self, x: ops.flatten(x) @ self.weight)
    net.weight = weight
    assert [node.kind for node in same(net, (3, 2, 1)).graph] == ["Input", "Flatten", "Conv"]


def test_fused_functions_that_are_called_directly(rng):
    def forward(self, x):
        x = ops.conv2d_norm_relu(x, self.conv.weight, self.norm.normalisation())
        return ops.norm_xnor_conv2d(x, self.norm2.normalisation(), self.binary.weight, relu=True)

    layers = {"norm": nn.BatchNorm(4), "norm2": nn.BatchNorm(4), "binary": nn.BinConv2d(4, 3, 3, rng=rng)}
    model = same(own(forward, conv=nn.Conv2d(1, 4, 3, rng=rng), **layers), (7, 7, 1))
    assert [node.kind for node in model.graph.nodes[1:]] == [
        *("Conv", "BatchNorm", "Relu", "BatchNorm", "XnorConv", "Relu"),
    ]


def test_images_of_another_size(rng):
    conv = nn.Conv2d(1, 2, 3, rng=rng)
    any_size = own(lambda self, x: self.conv(x).mean(axis=(1, 2)), conv=conv)
    assert trace(any_size, (5, 6, 1)).input.any_size
    window = own(lambda self, x: ops.avg_pool2d(self.conv(x), (x.shape[1] - 2, x.shape[2] - 2)), conv=conv)
    assert not trace(window, (5, 6, 1)).input.any_size
    with pytest.raises(ValueError, match=r"images must be \(N, 5, 6, 1\), got \(1, 6, 6, 1\)"):
        binnet.pack(window, input_shape=(5, 6, 1))(np.zeros((1, 6, 6, 1), np.float32))


class Cube(Function):
    @staticmethod
    def forward(ctx, x, *, scale=1.0):
        return x**3 * np.float32(scale)


@graph.kind
@dataclass(frozen=True, eq=False)
class CubeNode(graph.Node):
    """x³ · scale."""

    scale: float = 1.0

    def compute(self, *inputs):
        return inputs[0] ** 3 * np.float32(self.scale)


def test_a_function_of_one_s_own(rng, tmp_path):
    net = own(lambda self, x: self.conv(Cube.apply(x, scale=2.0)), conv=nn.BinConv2d(2, 3, 1, rng=rng))
    with pytest.raises(ValueError, match=r"Net cannot be packed: there is no node for the op Cube; use ops that have"):
        binnet.pack(net, input_shape=(4, 4, 2))
    register(Cube, CubeNode)
    try:
        model = same(net, (4, 4, 2))
    finally:
        from binnet.graph.tracer import CONVERTERS

        del CONVERTERS[Cube]
    assert model.graph["cube"].scale == 2.0
    model.save(tmp_path / "m.h5")
    x = np.random.default_rng(1).standard_normal((2, 4, 4, 2), np.float32)
    np.testing.assert_array_equal(binnet.load(tmp_path / "m.h5")(x), logits(net, x))


def test_a_kind_whose_name_is_taken():
    class Add(graph.Node):
        pass

    with pytest.raises(ValueError, match=r"there is a kind of node Add already, in binnet\.graph\.maps"):
        graph.kind(Add)


def deciding(self, x):
    return ops.relu(x) if x.numpy().mean() > 0 else x


def by_batch(self, x):
    return ops.mul(x, 1.0 / len(x))


def outside(self, x):
    return ops.add(x, Tensor(np.tanh(x.numpy())))


def centred(self, x):
    return ops.add(x, -x.numpy().mean(axis=(0, 1, 2)))


def own_weight(self, x):
    return ops.conv2d(x, Tensor(x.numpy()))


def first_only(self, x):
    return ops.reshape(x, (1, -1))


DEPENDS = r"Net cannot be packed: what it computes depends on the values of the images or on the size of the batch \("
REFUSED = [
    (deciding, DEPENDS + "2 nodes in one, 1 in the other"),
    (by_batch, DEPENDS + "mul has other constants"),
    (centred, DEPENDS + "add has other constants"),
    (outside, r"Net cannot be packed: it uses an array \(2, 4, 4, 2\) that is not the same for each image|" + DEPENDS),
    (first_only, r"Net cannot be packed: the op reshape gives \(1, 64\), whose first axis is not that of the batch"),
    (own_weight, "Net cannot be packed: its weights depend on the images|x has 2 channels"),
    (lambda self, x: x.sum(axis=(1, 2)), "of sums and means only the mean over rows and columns of a map"),
    (lambda self, x: x.mean(axis=3), "of sums and means only the mean over rows and columns of a map"),
    (lambda self, x: Tensor(np.zeros((len(x), 3))), "its result was not computed from the images by layers and"),
    (lambda self, x: x.numpy(), "its forward must return one tensor, got ndarray"),
    (
        lambda self, x: ops.reshape(x, (len(x), 4, 8)) + 1.0,
        r"maps are \(N, H, W, C\) and rows \(N, C\), got \(N, 4, 8\)",
    ),
    (lambda self, x: np.ones((3, 32)) @ ops.reshape(x, (32, -1)), "whose first axis is not that of the batch"),
]


@pytest.mark.parametrize(("forward", "match"), REFUSED, ids=[f"{i}" for i in range(len(REFUSED))])
def test_what_cannot_be_a_graph_is_named(forward, match):
    with pytest.raises(ValueError, match=match) as caught:
        binnet.pack(own(forward), input_shape=(4, 4, 2))
    assert "\n" not in str(caught.value)


def test_a_layer_in_a_layer_is_named_by_its_path(rng):
    inner = own(lambda self, x: Cube.apply(x))
    with pytest.raises(ValueError, match=r"body\.inner \(Net\) cannot be packed: there is no node for the op Cube"):
        binnet.pack(nn.Sequential(("body", nn.Sequential(("inner", inner)))), input_shape=(4, 4, 2))


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        (None, r"pack needs input_shape=\(rows, columns, channels\) for Net"),
        (8, r"input_shape must be \(rows, columns, channels\) of an image, got 8"),
        ((8, 8), r"input_shape must be \(rows, columns, channels\) of an image, got \(8, 8\)"),
        ((8, 0, 1), r"input_shape must be \(rows, columns, channels\) of an image, got \(8, 0, 1\)"),
        ((8, 8.0, 1), "input_shape must be"),
        ((8, True, 1), "input_shape must be"),
    ],
)
def test_shapes_of_images_that_are_none(shape, match):
    with pytest.raises(ValueError, match=match):
        binnet.pack(own(lambda self, x: ops.relu(x)), input_shape=shape)


def test_what_is_no_module():
    with pytest.raises(TypeError, match=r"network must be a binnet\.nn\.Module, got function"):
        binnet.pack(lambda x: x, input_shape=(4, 4, 1))


def test_errors_of_forward_are_its_own(rng):
    with pytest.raises(ValueError, match=r"conv \(Conv2d\): expected input \(N, H, W, 5\), got \(1, 4, 4, 2\)"):
        binnet.pack(own(lambda self, x: self.conv(x), conv=nn.Conv2d(5, 3, 1, rng=rng)), input_shape=(4, 4, 2))


def test_a_result_that_is_the_images_themselves():
    x = np.ones((2, 3, 3, 1), np.float32)
    model = binnet.pack(own(lambda self, x: x), input_shape=(3, 3, 1))
    np.testing.assert_array_equal(model(x), x)
    with pytest.raises(ValueError, match=r"the model's result is no row of classes, but \(3, 3, 1\) for an image"):
        model.predict(x)
