"""Rounded gradients: which function of the float ones they are, and that chance is repeatable."""

import numpy as np
import pytest

import binnet
import binnet_kernels as bk
from binnet import Tensor, nn, ops
from binnet.ops.lowbit import RoundedGradient
from binnet_kernels import reference

KINDS = [("ternary", 1), ("ternary", 4), ("even", 2), ("paper", 1)]
PLAIN = ops.WeightBinariser("none", "plain")


def block(how, bits, seed=5):
    options = nn.BinaryOptions(binary_gradient=how, grad_bits=bits)
    blocks = nn.Blocks("xnor", options, seed=seed)
    return nn.Sequential(*blocks.conv("a", 33, 40, 3, padding=1), *blocks.linear("b", 40 * 36, 7, norm_features=40))


@pytest.mark.parametrize(("how", "bits"), KINDS)
def test_both_backends_agree(how, bits, rng):
    x, grad = rng.standard_normal((3, 6, 6, 33)), rng.standard_normal((3, 7)).astype(np.float32)
    results = []
    for name in ("fast", "reference"):
        with binnet.use_backend(name):
            net, leaf = block(how, bits), Tensor(x, requires_grad=True)
            net(leaf).backward(grad)
            results.append({"x": leaf.grad, **{key: p.grad for key, p in net.named_parameters()}})
    for name, value in results[0].items():
        size = np.abs(results[1][name]).max()
        np.testing.assert_allclose(value, results[1][name], rtol=1e-4, atol=1e-4 * size, err_msg=name)
        assert size > 0


def test_a_rounded_gradient_is_the_product_with_rounded_operands(rng):
    x, weight = rng.standard_normal((3, 5, 5, 8)).astype(np.float32), rng.standard_normal((6, 3, 3, 8))
    grad = rng.standard_normal((3, 3, 3, 6)).astype(np.float32)
    leaf, w = Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)
    y = ops.xnor_conv2d(leaf, w, weights=PLAIN, inputs=RoundedGradient(how="ternary", bits=2, seed=9))
    y.backward(grad)
    levels = reference.quantise_gradient(grad, np.ones(6), None, "ternary", 2, 9)
    bits, within = reference.signs(x)
    expected = reference.quantised_grad_weight(bits, levels, weight.shape)
    np.testing.assert_allclose(w.grad, expected, rtol=1e-5, atol=1e-5)
    grad_sign = reference.quantised_grad_input(levels, reference.pack_signs(weight), x.shape)
    np.testing.assert_allclose(leaf.grad, grad_sign * (np.abs(x) <= 1), rtol=1e-5, atol=1e-5)
    assert within.any()


def test_the_mean_over_many_draws_is_the_exact_gradient(rng):
    x, weight = rng.standard_normal((2, 5, 5, 8)), rng.standard_normal((6, 3, 3, 8))
    grad = rng.standard_normal((2, 3, 3, 6)).astype(np.float32)

    def of(inputs):
        w = Tensor(weight, requires_grad=True)
        ops.xnor_conv2d(Tensor(x), w, weights=PLAIN, inputs=inputs).backward(grad)
        return w.grad

    draws = np.mean([of(RoundedGradient(how="ternary", bits=1, seed=seed)) for seed in range(400)], axis=0)
    exact = of(ops.InputBinariser())
    assert np.abs(draws - exact).mean() < 0.1 * np.abs(exact).mean()


@pytest.mark.parametrize("how", ["ternary", "even"])
def test_chance_follows_from_seed_layer_and_step_alone(how, rng):
    x, grad = rng.standard_normal((3, 6, 6, 33)), rng.standard_normal((3, 7)).astype(np.float32)

    def grads(net, threads=1):
        bk.set_num_threads(threads)
        net.zero_grad()
        net(Tensor(x)).backward(grad)
        return [p.grad for p in net.parameters()]

    before = bk.get_num_threads()
    try:
        net = block(how, 1)
        first, second = grads(net), grads(net)
        assert not np.array_equal(first[-1], second[-1])
        again = block(how, 1)
        for one, other in zip(first + second, grads(again, before) + grads(again, before), strict=True):
            np.testing.assert_array_equal(one, other)
        resumed = block(how, 1)
        resumed.load_state_dict(net.state_dict())
        for one, other in zip(grads(net), grads(resumed), strict=True):
            np.testing.assert_array_equal(one, other)
        assert not np.array_equal(first[-1], grads(block(how, 1, seed=6))[-1])
    finally:
        bk.set_num_threads(before)


def test_calls_are_counted_in_training_only():
    net = binnet.models.build("lenet5", in_channels=1, binary_gradient="ternary")
    counts = [name for name, _ in net.named_buffers() if name.endswith("input_binariser.step")]
    assert counts == ["conv2.input_binariser.step", "dense3.input_binariser.step"]
    x = np.zeros((2, 28, 28, 1))
    net(x)
    net.eval()(x)
    assert [int(dict(net.named_buffers())[name]) for name in counts] == [1, 1]
    assert not [name for name, _ in binnet.models.build("lenet5", in_channels=1).named_buffers() if "binariser" in name]
    bwn = binnet.models.build("lenet5", in_channels=1, binarize="bwn", binary_gradient="ternary")
    assert not [name for name, _ in bwn.named_buffers() if "binariser" in name]


@pytest.mark.parametrize("options", [{}, {"order": "cbap"}, {"use_k": True}])
def test_it_learns(options, rng):
    net = binnet.models.build("lenet5", in_channels=1, image_size=8, binary_gradient="ternary", **options)
    optimiser = binnet.optim.Adam(net.parameters(), lr=1e-2)
    x, labels = rng.standard_normal((20, 8, 8, 1)), np.arange(20) % 10
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = binnet.cross_entropy(net(Tensor(x)), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
