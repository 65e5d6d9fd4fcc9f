"""Optimisers against steps worked out by hand."""

import math

import numpy as np
import pytest

from binnet import Tensor, models, nn, ops, optim, watch
from binnet.nn import Parameter


def run(optimizer, parameter, grads):
    values = []
    for g in grads:
        parameter.grad = np.array([g], np.float32)
        optimizer.step()
        values.append(parameter.data.item())
    return values


def test_sgd_by_hand():
    p = Parameter([1.0])
    assert run(optim.SGD([p], lr=0.1, momentum=0), p, [2, -1]) == pytest.approx([0.8, 0.9])
    p = Parameter([1.0])
    # v: 2, 0.5·2 + 1 = 2
    assert run(optim.SGD([p], lr=0.1, momentum=0.5), p, [2, 1]) == pytest.approx([0.8, 0.6])
    p = Parameter([1.0])
    # g + 0.5 v: 2 + 1 = 3, 1 + 1 = 2
    assert run(optim.SGD([p], lr=0.1, momentum=0.5, nesterov=True), p, [2, 1]) == pytest.approx([0.7, 0.5])


def test_adam_by_hand():
    p = Parameter([1.0])
    values = run(optim.Adam([p], lr=0.1, betas=(0.8, 0.9), eps=1e-8), p, [2, -1])
    first = 1 - 0.1 * 1.0  # m̂ / √v̂ = 2 / 2
    m, v = (0.8 * 0.4 - 0.2) / (1 - 0.64), (0.9 * 0.4 + 0.1) / (1 - 0.81)
    assert values == pytest.approx([first, first - 0.1 * m / math.sqrt(v)], rel=1e-5)


def test_adams_eps():
    p = Parameter([1.0])
    assert run(optim.Adam([p], lr=0.1, eps=3.0), p, [1.0]) == pytest.approx([1 - 0.1 / 4])


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_weight_decay_spares_what_says_so(kind):
    real, spared = Parameter([2.0]), Parameter([2.0], decay=False)
    tensor = Tensor([2.0], requires_grad=True)
    for p in (real, spared, tensor):
        p.grad = np.zeros(1, np.float32)
    kind([real, spared, tensor], lr=0.1, weight_decay=0.5).step()
    assert spared.data.item() == 2
    expected = 2 - 0.1 * 1.0  # the gradient is 0.5 · 2; Adam's first step is lr · g / |g|
    assert real.data.item() == pytest.approx(expected)
    assert tensor.data.item() == pytest.approx(expected)


def test_which_parameters_of_a_network_decay():
    decaying = [name for name, p in models.build("lenet5").named_parameters() if p.decay]
    assert decaying == ["conv1.weight", "dense4.weight"]


def test_clip():
    p, free = Parameter([0.95, -0.95, 0.5], clip=1.0), Parameter([0.95])
    p.grad, free.grad = np.array([-1, 1, 0], np.float32), np.array([-1], np.float32)
    optim.SGD([p, free], lr=1, momentum=0).step()
    np.testing.assert_allclose(p.data, [1, -1, 0.5])
    assert free.data.item() == pytest.approx(1.95)


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_updates_are_in_place_and_leave_gradients_alone(kind, rng):
    p, idle = Parameter(rng.standard_normal((3, 4))), Parameter([1.0])
    p.grad = rng.standard_normal((3, 4)).astype(np.float32)
    data, grad, copy = p.data, p.grad, p.grad.copy()
    optimizer = kind([p, idle], lr=0.1, weight_decay=0.1)
    optimizer.step()
    assert p.data is data
    assert p.grad is grad
    np.testing.assert_array_equal(grad, copy)
    assert idle.data.item() == 1
    optimizer.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_resuming_gives_the_same_bits(kind, rng):
    grads = rng.standard_normal((6, 5)).astype(np.float32)

    def step(optimizer, p, g):
        p.grad = g.copy()
        optimizer.step()

    p = Parameter(np.ones(5))
    optimizer = kind([p], lr=0.05)
    for g in grads[:3]:
        step(optimizer, p, g)
    state, q = optimizer.state_dict(), Parameter(p.data)
    saved = {name: value.copy() for name, value in state.items()}
    resumed = kind([q], lr=0.05)
    for g in grads[3:]:
        step(optimizer, p, g)
    resumed.load_state_dict(state)
    for g in grads[3:]:
        step(resumed, q, g)
    np.testing.assert_array_equal(p.data, q.data)
    for name, value in state.items():
        np.testing.assert_array_equal(value, saved[name])
    assert state["updates"].tolist() == [3]


def test_a_state_that_does_not_fit():
    optimizer = optim.Adam([Parameter(np.ones(3))])
    with pytest.raises(ValueError, match=r"missing or unexpected .*momentum\.0"):
        optimizer.load_state_dict(optim.SGD([Parameter(np.ones(3))], lr=1).state_dict())
    state = optimizer.state_dict()
    state["square.0"] = np.ones(2)
    with pytest.raises(ValueError, match=r"square.0: expected shape \(3,\), got \(2,\)"):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda p: optim.SGD(p, lr=-1), "lr"),
        (lambda p: optim.SGD(p, lr=math.nan), "lr"),
        (lambda p: optim.SGD(p, lr=math.inf), "lr"),
        (lambda p: optim.SGD(p, lr=1, momentum=1), "momentum"),
        (lambda p: optim.SGD(p, lr=1, momentum=0, nesterov=True), "nesterov"),
        (lambda p: optim.SGD(p, lr=1, weight_decay=-1), "weight_decay"),
        (lambda p: optim.Adam(p, betas=(1, 0.9)), r"betas\[0\]"),
        (lambda p: optim.Adam(p, betas=(0.9, -0.1)), r"betas\[1\]"),
        (lambda p: optim.Adam(p, eps=-1), "eps"),
        (lambda p: optim.Adam([]), "no parameters"),
    ],
)
def test_numbers_out_of_range(make, word):
    with pytest.raises(ValueError, match=word):
        make([Parameter([1.0])])


def test_the_optimiser_takes_a_generator():
    layer = nn.Linear(2, 2, rng=np.random.default_rng(0))
    assert len(optim.Adam(p for p in layer.parameters()).params) == 2


def test_clipping_gradients_by_hand():
    a, b, idle = Parameter([0.0, 0.0]), Parameter([[0.0]]), Parameter([1.0])
    a.grad, b.grad = np.array([3, 0], np.float32), np.array([[-4]], np.float32)
    assert optim.clip_gradients([a, b, idle], 5.0) == 5.0
    np.testing.assert_array_equal(a.grad, [3, 0])
    assert optim.clip_gradients([a, b, idle], 2.5) == 5.0
    np.testing.assert_allclose([*a.grad, *b.grad[0]], [1.5, 0, -2])
    assert idle.grad is None


@pytest.mark.parametrize("limit", [0, -1.0, np.nan, "1"])
def test_gradients_are_clipped_to_a_number_above_0(limit):
    p = Parameter([0.0])
    p.grad = np.array([7], np.float32)
    with pytest.raises(ValueError, match="limit must be"):
        optim.clip_gradients([p], limit)
    assert p.grad[0] == 7


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_gradients_that_are_not_finite_are_not_clipped(value):
    p = Parameter([0.0, 0.0])
    p.grad = np.array([value, 7], np.float32)
    assert not math.isfinite(optim.clip_gradients([p], 1.0))
    assert p.grad[1] == 7
    p.grad = np.array([3e38, 0], np.float32)  # its square is above float32, and no trouble
    assert optim.clip_gradients([p], 1.0) == pytest.approx(3e38)
    assert p.grad[0] == pytest.approx(1)


def test_two_backward_passes_add_up(rng):
    x = rng.standard_normal((4, 6, 6, 3))
    layer = nn.BinConv2d(3, 5, 3, rng=rng)
    for _ in range(2):
        layer(Tensor(x)).backward(np.ones((4, 4, 4, 5)))
    total = layer.weight.grad
    layer.zero_grad()
    layer(Tensor(x)).backward(np.ones((4, 4, 4, 5)))
    np.testing.assert_allclose(total, 2 * layer.weight.grad, rtol=1e-6)


def test_adam_corrects_the_bias_by_the_updates_of_each_parameter():
    early, late = Parameter(np.zeros(3)), Parameter(np.zeros(3))
    optimizer = optim.Adam([early, late], lr=0.001)
    for _ in range(1000):
        early.grad = np.ones(3, np.float32)
        optimizer.step()
    late.grad = np.full(3, 5, np.float32)
    optimizer.step()
    np.testing.assert_allclose(late.data, -0.001, rtol=1e-5)  # the first step of Adam is lr, whatever the gradient
    assert optimizer.state_dict()["updates"].tolist() == [1001, 1]


def test_groups_have_a_learning_rate_and_a_decay_of_their_own():
    slow, fast, decayed = (Parameter(np.ones(2)) for _ in range(3))
    groups = [{"params": slow, "lr": 0.1}, {"params": [fast]}, {"params": [decayed], "weight_decay": 0.5}]
    optimizer = optim.SGD(groups, lr=1.0, momentum=0)
    for lr in (1.0, 0.5):  # a schedule changes all rates in proportion
        for p in (slow, fast, decayed):
            p.data[...], p.grad = 1, np.ones(2, np.float32)
        optimizer.lr = lr
        optimizer.step()
        np.testing.assert_allclose(slow.data, 1 - 0.1 * lr)
        np.testing.assert_allclose(fast.data, 1 - lr)
        np.testing.assert_allclose(decayed.data, 1 - lr * 1.5)


P = Parameter(np.ones(2))


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ([P, P], ValueError, "a parameter was given to the optimiser twice"),
        ([{"params": [P]}, {"params": [P]}], ValueError, "twice"),
        (
            [{"params": [P], "betas": 1}],
            ValueError,
            "takes params, lr and weight_decay, but this one has the key 'betas'",
        ),
        ([{"lr": 1}], ValueError, "this one has no params"),
        ([{"params": []}], ValueError, "a group without parameters"),
        ([{"params": [P], "lr": -1}], ValueError, "lr of a group must be a number of at least 0, got -1"),
        ([{"params": [P]}, P], TypeError, "either tensors or groups of them, got both"),
        ([nn.ReLU()], TypeError, "takes tensors, .* got ReLU"),
        (nn.ReLU(), TypeError, "takes a list of tensors, such as net.parameters.*, got ReLU"),
        (P, TypeError, "takes a list of tensors, .* got Parameter"),
        ({"params": [P]}, TypeError, "takes a list of tensors, .* or of groups of them, got dict"),
        ([{"params": None}], TypeError, "takes tensors, .* got NoneType"),
    ],
)
def test_wrong_parameters_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        optim.Adam(params, lr=0.1)


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_weights_changed_after_the_backward_pass(kind, rng):
    x = rng.standard_normal((4, 6, 6, 3))

    def layer_after_backward():
        layer = nn.BinConv2d(3, 5, 3, rng=np.random.default_rng(1))
        layer(Tensor(x)).backward(np.ones((4, 4, 4, 5)))
        return layer

    expected = layer_after_backward().weight.grad
    layer = layer_after_backward()
    layer.weight.data += 0.1
    np.testing.assert_array_equal(layer.weight.grad, expected)
    weight = (layer := nn.BinConv2d(3, 5, 3, rng=np.random.default_rng(1))).weight
    held = weight.data
    layer(Tensor(x)).backward(np.ones((4, 4, 4, 5)))
    held[0, 0, 0, 0] *= -3  # one value, through an array that was handed out before
    np.testing.assert_array_equal(weight.grad, expected)


def test_an_update_of_weights_that_another_graph_needs_is_noticed(rng):
    w = Parameter(rng.standard_normal((3, 4)))
    optimizer = optim.SGD([w], lr=0.1)
    one, other = (ops.sum(ops.mul(w, w)) for _ in range(2))
    one.backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match="an input of _Mul was changed in place"):
        other.backward()


def test_arrays_that_were_never_handed_out_are_not_compared(monkeypatch, rng):
    monkeypatch.setattr(watch, "fingerprint", lambda array: pytest.fail("compared") if array.ndim > 1 else b".")
    x = rng.standard_normal((4, 6, 6, 3))  # float64: the tensor has a copy of its own
    net = nn.Sequential(nn.BinConv2d(3, 5, 3, rng=1), nn.BatchNorm(5), nn.ReLU(), nn.GlobalAvgPool())
    optimizer = optim.Adam(net.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        ops.cross_entropy(net(x), [0, 1, 2, 3]).backward()
        optimizer.step()
        net.load_state_dict(net.state_dict())


@pytest.mark.parametrize("lr", [-1, float("nan"), "fast"])
def test_a_learning_rate_that_was_set_is_checked(lr):
    p = Parameter(np.ones(2))
    optimizer = optim.SGD([p], lr=0.1)
    p.grad, optimizer.lr = np.ones(2, np.float32), lr
    with pytest.raises(ValueError, match="lr must be a number of at least 0"):
        optimizer.step()
    assert p.data.tolist() == [1, 1]
