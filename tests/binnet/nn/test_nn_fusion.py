"""Neighbours that run as one function: which they are, and that nothing but speed and memory changes."""

import numpy as np
import pytest

import binnet
from binnet import Tensor, nn, ops
from binnet.nn.fusion import fused

OPTIONS = [
    {},
    {"center": True, "pad_value": 1},
    {"scale": "learned", "weight_gradient": "paper", "pad_value": -1},
    {"weight_gradient": "plain", "clip": False},
    {"act_bits": 2, "ste": "polynomial"},
    {"weight_bits": 2, "act_bits": 3, "center": True, "pad_value": -1},
    {"weight_bits": 3, "scale": "learned", "weight_gradient": "paper"},
]


def network(**options):
    """A convolution, two binary ones and two binary dense layers, with all that stands between them."""
    blocks = nn.Blocks("xnor", nn.BinaryOptions(**options), seed=3)
    layers = [
        *blocks.first_conv("conv1", 3, 37, 3, padding=1),
        *blocks.conv("conv2", 37, 33, 3, 2, 1),
        ("conv2_pool", nn.MaxPool2d(2)),
        *blocks.conv("conv3", 33, 12, 1, relu=False),
        *blocks.linear("dense4", 48, 40, norm_features=12),
        *blocks.linear("dense5", 40, 20, relu=False),
        *blocks.last_norm("last", 20),
        *blocks.last_linear("dense6", 20, 4),
    ]
    net = nn.Sequential(*layers)
    return net


@pytest.fixture
def batch(rng):
    """Images and labels."""
    return rng.standard_normal((6, 8, 8, 3)).astype(np.float32), np.array([0, 1, 2, 3, 0, 1])


def one_by_one(net, x):
    """The network with every layer called by itself."""
    for layer in net:
        x = layer(x)
    return x


def calls(*modules):
    return [type(call).__name__ for call in fused(modules)]


def test_what_is_fused(rng):
    norm, relu, flatten = nn.BatchNorm(4), nn.ReLU(), nn.Flatten()
    conv, dense = nn.BinConv2d(4, 4, 3, rng=rng), nn.BinLinear(4, 4, rng=rng)
    assert calls(norm, conv, relu, norm, conv) == ["SignBlock", "SignBlock"]
    assert calls(norm, flatten, dense, relu, norm, dense) == ["SignBlock", "SignBlock"]
    real, biased = (nn.Conv2d(4, 4, 3, bias=bias, rng=rng) for bias in (False, True))
    assert calls(real, norm, relu, real, norm, conv) == ["ImageBlock", "Conv2d", "SignBlock"]
    assert calls(biased, norm, relu) == ["Conv2d", "NormRelu"]
    pooled = [norm, conv, relu, nn.MaxPool2d(2), norm, conv, nn.AvgPool2d(2), norm, conv]
    assert [call.pooled for call in fused(pooled) if hasattr(call, "pooled")] == [True, True, False]
    assert calls(norm, relu, conv, relu) == ["NormRelu", "BinConv2d", "ReLU"]
    assert calls(norm, flatten, conv) == ["BatchNorm", "Flatten", "BinConv2d"]
    assert calls(conv, norm, flatten) == ["BinConv2d", "BatchNorm", "Flatten"]
    assert [call.relu for call in fused([norm, conv, relu, norm, dense])] == [True, False]


@pytest.mark.parametrize("options", [{"use_k": True}, {"ste": "polynomial"}])
def test_what_needs_more_than_signs_runs_by_itself(options, rng):
    conv = nn.BinConv2d(4, 4, 3, **nn.BinaryOptions(**options).for_xnor(), rng=rng)
    assert calls(nn.BatchNorm(4), conv, nn.ReLU()) == ["BatchNorm", "BinConv2d", "ReLU"]


def test_who_looks_at_a_layer_s_input_gets_it(rng):
    conv = nn.BinConv2d(4, 4, 3, rng=rng)
    conv.forward = conv.forward
    assert calls(nn.BatchNorm(4), conv, nn.ReLU()) == ["BatchNorm", "BinConv2d", "ReLU"]

    class Louder(nn.BatchNorm):
        pass

    assert calls(Louder(4), nn.ReLU()) == ["Louder", "ReLU"]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("training", [True, False])
def test_the_result_is_the_same_to_the_last_bit(backend, batch, options, training):
    joint, single = (network(**options).train(training) for _ in range(2))
    for _ in range(2):
        y, z = joint(Tensor(batch[0])), one_by_one(single, Tensor(batch[0]))
        np.testing.assert_array_equal(y.data, z.data)
    for (name, a), (_, b) in zip(joint.named_buffers(), single.named_buffers(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_the_single_layers(backend, batch, options, training):
    grads = []
    for run in (lambda net, x: net(x), one_by_one):
        net, x = network(**options).train(training), Tensor(batch[0], requires_grad=True)
        binnet.cross_entropy(run(net, x), batch[1]).backward()
        grads.append({"x": x.grad, **{name: p.grad for name, p in net.named_parameters()}})
    largest = max(np.abs(grad).max() for grad in grads[1].values())
    for name, grad in grads[0].items():  # some are small sums of large numbers
        np.testing.assert_allclose(grad, grads[1][name], rtol=1e-4, atol=1e-5 * largest, err_msg=name)
        assert np.abs(grad).max() > 0


def test_what_is_kept_for_the_backward_pass_is_two_bits_a_value(rng):
    x = Tensor(rng.standard_normal((2, 16, 16, 64)), requires_grad=True)
    conv, norm = nn.BinConv2d(64, 8, 1, rng=rng), nn.BatchNorm(64)
    product, K, within = conv(x).node.ctx.saved
    assert K is None
    assert product.bits.nbytes == within.nbytes == x.data.nbytes // 32
    levels = nn.BinConv2d(64, 8, 1, **nn.BinaryOptions(act_bits=3).for_xnor(), rng=rng)
    assert levels(x).node.ctx.saved[0].bits.nbytes == 3 * within.nbytes
    y = nn.Sequential(norm, conv, nn.ReLU())(x)
    saved = y.node.ctx.saved
    maps = [v for v in saved if isinstance(v, np.ndarray) and v.dtype == np.float32 and v.size > 64]
    assert {id(m) for m in maps} == {id(x.data), id(y.data)}  # which exist anyway


def test_what_is_computed_again_is_not_kept(rng):
    conv, norm = nn.BinConv2d(64, 8, 1, rng=rng), nn.BatchNorm(64)
    x = Tensor(rng.standard_normal((2, 16, 16, 64)), requires_grad=True)
    call, _ = fused([norm, conv, nn.ReLU(), nn.MaxPool2d(2)])
    y = call(x)
    assert not [v for v in y.node.ctx.saved if isinstance(v, np.ndarray) and v.shape == y.shape]
    image = Tensor(rng.standard_normal((2, 16, 16, 3)))
    real = nn.Conv2d(3, 64, 3, padding=1, rng=rng)
    [call] = fused([real, norm, nn.ReLU()])
    z = call(image)
    assert not [v for v in z.node.ctx.saved if isinstance(v, np.ndarray) and v.shape == z.shape]


@pytest.mark.parametrize("needs", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_the_block_at_the_image(backend, rng, needs, training):
    grads, results = [], []
    for run in (lambda net, x: net(x), one_by_one):
        net = nn.Sequential(*nn.Blocks("xnor", nn.BinaryOptions(), seed=3).first_conv("a", 3, 37, 3, 2, 1))
        x = Tensor(np.random.default_rng(1).standard_normal((2, 8, 9, 3)), requires_grad=needs)
        y = run(net.train(training), x)
        y.backward(np.random.default_rng(2).standard_normal(y.shape))
        results.append(y.data)
        grads.append([p.grad for p in (*net.parameters(), x)])
    np.testing.assert_array_equal(*results)
    for one, other in zip(*grads, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)


def test_errors_name_the_layer(rng):
    net = nn.Sequential(("a", nn.BatchNorm(4)), ("b", nn.BinConv2d(3, 4, 3, rng=rng)))
    with pytest.raises(nn.LayerError, match=r"a \(BatchNorm\): expected input \(N, H, W, 4\), got \(1, 5, 5, 3\)"):
        net(np.zeros((1, 5, 5, 3)))
    with pytest.raises(nn.LayerError, match=r"b \(BinConv2d\): expected input \(N, H, W, 3\), got \(1, 5, 5, 4\)"):
        net(np.zeros((1, 5, 5, 4)))
    net = nn.Sequential(("a", nn.BatchNorm(3)), ("b", nn.BinConv2d(3, 4, 3, rng=rng)))
    with pytest.raises(nn.LayerError, match=r"b \(BinConv2d\): "):
        net(np.zeros((1, 2, 2, 3)))
    net = nn.Sequential(("a", nn.BatchNorm(4)), ("f", nn.Flatten()), ("b", nn.BinLinear(15, 4, rng=rng)))
    with pytest.raises(nn.LayerError, match=r"b \(BinLinear\): expected input \(N, 15\), got \(1, 16\)"):
        net(np.zeros((1, 2, 2, 4)))
    with pytest.raises(nn.LayerError, match=r"b \(BinLinear\): expected input \(N, 4\), got \(1, 2, 2, 4\)"):
        nn.Sequential(nn.BatchNorm(4), ("b", nn.BinLinear(4, 4, rng=rng)))(np.zeros((1, 2, 2, 4)))


def simulate(net, x):
    """The network as float simulations compute it: every binary layer a real convolution of ±1, all in NumPy."""
    with binnet.use_backend("reference"):
        return one_by_one(net, x)


@pytest.mark.slow
def test_a_hundred_steps_are_those_of_the_float_simulation(rng):
    images = rng.standard_normal((4, 6, 8, 8, 3)).astype(np.float32)
    labels = rng.integers(0, 4, (4, 6))
    weights = []
    for run in (lambda net, x: net(x), simulate):
        net = network()
        optimiser = binnet.optim.SGD(net.parameters(), lr=0.01)
        for step in range(100):
            optimiser.zero_grad()
            loss = binnet.cross_entropy(run(net, Tensor(images[step % 4])), labels[step % 4])
            with binnet.use_backend("reference" if run is simulate else "fast"):
                loss.backward()
            optimiser.step()
        weights.append(net.state_dict())
    before = network().state_dict()
    for name, value in weights[0].items():
        np.testing.assert_allclose(value, weights[1][name], rtol=0, atol=1e-4, err_msg=name)
        assert name.endswith("step") or np.abs(value - before[name]).max() > 1e-3, name


@pytest.mark.parametrize("training", [True, False])
def test_norm_and_relu_together(backend, leaf, rng, training):
    x, gamma, beta = leaf(5, 4, 3, 6), leaf(6), leaf(6)
    grad = rng.standard_normal(x.shape).astype(np.float32)
    results = []
    for joint in (True, False):
        statistics = ops.Statistics(np.zeros(6, np.float32), np.ones(6, np.float32), training)
        y = ops.batch_norm(x, gamma, beta, statistics, relu=joint)
        y = y if joint else ops.relu(y)
        y.backward(grad)
        results.append((y.data, x.grad, gamma.grad, beta.grad, statistics.running_mean, statistics.running_var))
        x.grad = gamma.grad = beta.grad = None
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
