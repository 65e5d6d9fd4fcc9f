"""Actions of a custom forward that the recorded calls do not show: packed with the same bits, or refused."""

from dataclasses import dataclass

import numpy as np
import pytest

import binnet
from binnet import Function, Tensor, graph, nn, ops
from binnet.evaluation.evaluate import open_model
from binnet.graph import register, trace
from binnet.graph.tracer import CONVERTERS
from own_modules import logits, own, same

# ---------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (3, 1, 2, 0), (0, 2, 1, 3)])
@pytest.mark.parametrize("op", [ops.conv2d, lambda x, w, padding=0: ops.xnor_conv2d(x, w, None, padding=padding)])
def test_weights_that_are_another_view_of_the_same_memory_are_others(rng, op, axes):
    """A transposed square weight has the address and the shape of the weight itself."""
    net = own(
        lambda self, x: op(
            op(x, self.conv.weight, padding=1), Tensor(self.conv.weight.data.transpose(axes)), padding=1
        ),
        conv=nn.Conv2d(3, 3, 3, rng=rng),
    )
    same(net, (5, 5, 3))


def test_an_autoencoder_with_tied_weights(rng):
    net = own(
        lambda self, x: ops.linear(self.dense(ops.flatten(x)), Tensor(self.dense.weight.data.T)),
        dense=nn.Linear(8, 8, bias=False, rng=rng),
    )
    same(net, (2, 2, 2))


@pytest.mark.parametrize("transposed", [False, True])
def test_training_goes_on_without_changing_the_packed_model(rng, transposed):
    weight = nn.Parameter(rng.standard_normal((1, 3) if transposed else (3, 1)))
    net = own(lambda self, x: x.mean(axis=(1, 2)) @ (Tensor(weight.data.T) if transposed else weight))
    model = binnet.pack(net, input_shape=(2, 2, 3))
    x = rng.standard_normal((2, 2, 2, 3), np.float32)
    before = logits(net, x)
    weight.data[...] = 7
    np.testing.assert_array_equal(model(x), before)


# ---------------------------------------------------------------------------------------------- changes in place


def rectified(self, x):
    y = self.conv(x)
    np.maximum(y.data, 0, out=y.data)
    return self.conv(y)


def cropped(self, x):
    y = self.conv(x)
    y.numpy()[:, 0] = 0
    return y


def clipped(self, x):
    x.data.clip(-1, 1, out=x.data)
    return self.conv(x)


def moved(self, x):
    self.conv.bias.data[...] = x.data.mean(axis=(0, 1, 2))
    return self.conv(x)


def shrunk(self, x):
    y = self.conv(x)
    self.conv.weight.data *= 0.5
    y = self.conv(y)
    self.conv.weight.data *= 2
    return y


def forgotten(self, x):
    y = self.conv(x)
    self.conv.weight.data += 1
    return y


@pytest.mark.parametrize("forward", [rectified, cropped, clipped, moved, shrunk, forgotten])
def test_what_is_changed_in_place_is_refused(rng, forward):
    """The calls of ops do not say that an array became another one between them: the graph would be a wrong one."""
    net = own(forward, conv=nn.Conv2d(3, 3, 3, 1, 1, bias=True, rng=rng))
    with pytest.raises(ValueError, match=r"cannot be packed: an array that it reads was changed in place"):
        trace(net, (5, 5, 3))


def test_a_buffer_that_is_filled_with_the_same_values_in_each_call_is_a_weight(rng):
    buffer = np.zeros((3, 3, 3, 3), np.float32)

    def forward(self, x):
        buffer[...] = self.conv.weight.data / 2
        return ops.conv2d(x, Tensor(buffer))

    same(own(forward, conv=nn.Conv2d(3, 3, 3, rng=rng)), (5, 5, 3))


# ---------------------------------------------------------------------------------------------- sizes


def evened(self, x):
    return ops.max_pool2d(ops.pad(self.conv(x), (0, x.shape[1] % 2, 0, x.shape[2] % 2), 7.0), 2)


def oblong(self, x):
    return self.conv(x) + (100.0 if x.shape[1] != x.shape[2] else 0.0)


def pooled(self, x):
    return ops.max_pool2d(self.conv(x), 2) if x.shape[1] >= 4 else self.conv(x)


@pytest.mark.parametrize("forward", [evened, oblong, pooled])
def test_what_depends_on_the_size_otherwise_than_by_twice_takes_its_own_size_alone(rng, forward):
    net = own(forward, conv=nn.Conv2d(3, 3, 3, 1, 1, rng=rng))
    assert same(net, (4, 4, 3)).fixed_size


def averaged(self, x):
    y = self.conv(x)
    return self.binary(y + y.mean(axis=(1, 2), keepdims=True))


def thinned(self, x):
    y = self.conv(x)
    return self.binary(ops.max_pool2d(y, 1, (50, 1)) + y)


@pytest.mark.parametrize("forward", [averaged, thinned])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (2, 5)])
def test_a_sum_that_repeats_no_axis_at_its_own_size_may_at_another(rng, forward, size):
    layers = {"conv": nn.Conv2d(3, 4, 3, 1, 1, rng=rng), "binary": nn.BinConv2d(4, 5, 3, 1, 1, rng=rng)}
    net = own(forward, **layers)
    model = same(net, (1, 1, 3))
    assert not model.fixed_size
    x = rng.standard_normal((2, *size, 3), np.float32)
    np.testing.assert_array_equal(model(x), logits(net, x))


def test_a_network_that_ends_in_a_softmax_gives_its_own_probabilities(tmp_path, rng):
    """They went through a softmax a second time: 0.16 in place of 0.56."""
    plain = own(lambda self, x: self.dense(ops.flatten(x)) * 3.0, dense=nn.Linear(12, 4, rng=rng))
    net = own(lambda self, x: ops.softmax(self.inner(x)), inner=plain)
    how = {"input_shape": (2, 2, 3), "mean": [0.5], "std": [0.25]}
    model, scores = binnet.pack(net, **how), binnet.pack(plain, **how)
    assert model.gives_probabilities
    assert not scores.gives_probabilities
    image = rng.standard_normal((2, 2, 3), np.float32)
    ours, theirs = model.predict(image), scores.predict(image)
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    np.testing.assert_allclose([p for _, p in ours], [p for _, p in theirs], rtol=1e-5)
    for name, each in {"model": model, "scores": scores}.items():
        each.save(tmp_path / f"{name}.h5")
    x = rng.standard_normal((5, 2, 2, 3), np.float32)
    labels = np.arange(5) % 4
    one, other = (open_model(tmp_path / f"{name}.h5").logits(x) for name in ("model", "scores"))
    losses = [float(binnet.cross_entropy(Tensor(logits), labels).item()) for logits in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


# ---------------------------------------------------------------------------------------------- words, constants


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda y: (y, y), "its forward must return one tensor, got tuple"),
        (lambda y: None, "its forward must return one tensor, got NoneType"),
        (lambda y: y.numpy(), "its forward must return one tensor, got ndarray"),
        (lambda y: y.mean(axis=np.int64(1)), "of sums and means only the mean over rows and columns"),
        (lambda y: y.mean(axis=(1, 2)).reshape(-1) + 1.0, r"maps are \(N, H, W, C\) and rows \(N, C\), got \(N\)"),
        (lambda y: 1.0 / y.mean(axis=(1, 2)).reshape(-1), r"maps are \(N, H, W, C\) and rows \(N, C\), got \(N\)"),
    ],
)
def test_what_no_graph_can_give_is_refused_in_its_own_words(rng, result, words):
    net = own(lambda self, x: result(self.conv(x)), conv=nn.Conv2d(3, 1, 3, rng=rng))
    with pytest.raises(ValueError, match=f"cannot be packed: {words}"):
        trace(net, (5, 5, 3))


@pytest.mark.parametrize(
    "constant",
    [
        lambda y: np.full_like(y.numpy(), 0.5),
        lambda y: np.ones((len(y), 1, 1, 1), np.float32),
        lambda y: np.tile(np.float32([1, 2, 3, -4]), (len(y), 1, 1, 1)),
        lambda y: np.broadcast_to(np.linspace(1, 2, 3, dtype=np.float32)[None, :, None, None], (len(y), 3, 3, 1)),
    ],
)
@pytest.mark.parametrize("op", [ops.add, ops.divide, lambda y, k: ops.subtract(k, y)])
def test_an_array_that_is_the_same_for_each_image_of_the_batch_is_a_constant(rng, op, constant):
    net = own(lambda self, x: op(y := self.conv(x), constant(y)), conv=nn.Conv2d(3, 4, 3, rng=rng))
    same(net, (5, 5, 3))


def test_coordinates_as_further_channels(rng):
    def forward(self, x):
        rows = np.linspace(-1, 1, x.shape[1], dtype=np.float32)[:, None, None]
        return self.conv(ops.concatenate([x, np.broadcast_to(rows, (*x.shape[:3], 1))]))

    assert same(own(forward, conv=nn.Conv2d(4, 4, 3, rng=rng)), (5, 5, 3)).fixed_size


# ---------------------------------------------------------------------------------------------- custom kinds of nodes


class Half(Function):
    @staticmethod
    def forward(ctx, x, by=2):
        return x[:, ::by] * np.float32(0.5)


def of_own_kind(rng, monkeypatch, compute, output=None, by=2):
    """A network with the function, whose node computes and gives this."""

    @dataclass(frozen=True, eq=False)
    class HalfNode(graph.Node):
        by: int = 2

    HalfNode.compute = compute
    if output:
        HalfNode.output = output
    monkeypatch.setitem(graph.KINDS, "HalfNode", HalfNode)
    monkeypatch.setitem(CONVERTERS, Half, None)
    register(Half, HalfNode)
    return own(lambda self, x: self.conv(Half.apply(self.conv(x), by=by)), conv=nn.Conv2d(2, 2, 1, rng=rng))


def halved(self, shape):
    return -(-shape[0] // self.by), *shape[1:]


def doubling_in_place(self, x):
    x *= 2
    return x[:, :: self.by] / np.float32(4)


@pytest.mark.parametrize(
    ("compute", "output", "words"),
    [
        (lambda self, x: x[:, :: self.by], halved, "its node HalfNode computes something else than the op half"),
        (lambda self, x: x * np.float32(0.5), halved, "its node HalfNode computes something else than the op half"),
        (lambda self, x: x[:, :: self.by] * np.float32(0.5), None, "its node says that it gives .* but the op gives"),
        (lambda self: None, halved, "its own node does not do what the op does: .* takes 1 positional argument"),
        (doubling_in_place, halved, "its own node does not do what the op does: output array is read-only"),
    ],
)
def test_a_node_of_ones_own_that_is_not_what_its_function_is(rng, monkeypatch, compute, output, words):
    with pytest.raises(ValueError, match=f"Net cannot be packed: {words}"):
        trace(of_own_kind(rng, monkeypatch, compute, output), (4, 5, 2))


def test_options_of_numpy_can_be_written(rng, monkeypatch, tmp_path):
    net = of_own_kind(rng, monkeypatch, lambda self, x: x[:, :: self.by] * np.float32(0.5), halved, by=np.int64(3))
    same(net, (4, 5, 2)).save(tmp_path / "m.h5")
    assert binnet.load(tmp_path / "m.h5").graph["half"].by == 3
