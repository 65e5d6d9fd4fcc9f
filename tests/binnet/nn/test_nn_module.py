"""Modules: finding parameters, modes, saving and loading, messages."""

import collections

import numpy as np
import pytest

from binnet import Tensor, nn


@pytest.fixture
def net():
    rng = np.random.default_rng(0)
    body = nn.Sequential(("conv", nn.Conv2d(2, 2, 3, padding=1, rng=rng)), ("norm", nn.BatchNorm(2)))
    return nn.Sequential(nn.Residual(body), nn.Flatten(), nn.Dropout(0.5), ("last", nn.Linear(32, 3, rng=rng)))


def test_names(net):
    assert [name for name, _ in net.named_parameters()] == [
        "0.body.conv.weight",
        "0.body.norm.gamma",
        "0.body.norm.beta",
        "last.weight",
        "last.bias",
    ]
    assert [name for name, _ in net.named_buffers()] == [
        "0.body.norm.running_mean",
        "0.body.norm.running_var",
        "2.seed",
        "2.step",
    ]
    assert list(net.state_dict()) == [n for n, _ in [*net.named_parameters(), *net.named_buffers()]]
    assert [type(m).__name__ for m in net] == ["Residual", "Flatten", "Dropout", "Linear"]
    assert dict(net.named_modules())["0.body.conv"] is net[0].body[0]
    assert len(net) == 4
    assert len(net.parameters()) == 5
    assert len(net.buffers()) == 4


def test_a_shared_parameter_is_listed_once():
    layer = nn.Linear(2, 2, rng=np.random.default_rng(0))
    assert len(nn.Sequential(layer, layer).parameters()) == 2


def test_names_that_cannot_be():
    for name in ("forward", "training", "a.b", ""):
        with pytest.raises(ValueError, match="cannot be the name"):
            nn.Sequential((name, nn.ReLU()))


def test_train_and_eval_reach_everything(net):
    assert net.eval() is net
    assert not any(m.training for _, m in net.named_modules())
    assert net.train() is net
    assert all(m.training for _, m in net.named_modules())


def test_evaluation_changes_nothing(net, rng):
    net.eval()
    before = net.state_dict()
    net(Tensor(rng.standard_normal((2, 4, 4, 2))))
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_training_changes_buffers_only(net, rng):
    before = net.state_dict()
    net(Tensor(rng.standard_normal((2, 4, 4, 2))))
    changed = {name for name, value in net.state_dict().items() if (value != before[name]).any()}
    assert changed == {name for name, _ in net.named_buffers()} - {"2.seed"}


def test_state_round_trip(net, rng):
    x = Tensor(rng.standard_normal((4, 4, 4, 2)))
    net(x)
    state = net.state_dict()
    saved = {name: value.copy() for name, value in state.items()}
    first = net(x).data  # draws a mask and moves the statistics
    for name in state:
        np.testing.assert_array_equal(state[name], saved[name])  # copies, not views
    weights = [p.data for p in net.parameters()]
    net.load_state_dict(saved)
    assert all(p.data is w for p, w in zip(net.parameters(), weights, strict=True))
    np.testing.assert_array_equal(net(x).data, first)


def test_loading_refuses_and_changes_nothing(net):
    state = net.state_dict()
    state["last.weight"] = np.zeros((3, 31))
    state["more"] = state.pop("last.bias")
    state["0.body.conv.weight"] += 1
    before = net.state_dict()
    with pytest.raises(ValueError, match="does not fit") as error:
        net.load_state_dict(state)
    message = str(error.value)
    assert "last.bias: missing, expected shape (3,)" in message
    assert "more: not known" in message
    assert "last.weight: expected shape (3, 32), got (3, 31)" in message
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_loading_a_part(net):
    bias = np.array([1, 2, 3])
    net.load_state_dict({"last.bias": bias, "more": bias}, strict=False)
    np.testing.assert_array_equal(dict(net.named_parameters())["last.bias"].data, bias)
    with pytest.raises(ValueError, match="got \\(2,\\)"):
        net.load_state_dict({"last.bias": bias[:2]}, strict=False)


def test_messages_name_the_layer(net):
    x = Tensor(np.zeros((1, 4, 4, 3)))
    with pytest.raises(ValueError, match=r"^0.body.conv \(Conv2d\): expected input \(N, H, W, 2\), got \(1, 4, 4, 3\)"):
        net(x)
    with pytest.raises(ValueError, match=r"^Conv2d: an image of 2x2.*smaller than the filter of 3x3$"):
        nn.Conv2d(1, 1, 3, rng=np.random.default_rng(0))(np.zeros((1, 2, 2, 1)))


def test_zero_grad(net, rng):
    net(Tensor(rng.standard_normal((2, 4, 4, 2)))).backward(np.ones((2, 3)))
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_parameter_copies():
    data = np.ones(3, np.float32)
    parameter = nn.Parameter(data)
    parameter.data += 1
    assert (data == 1).all()
    assert (parameter.binary, parameter.clip, parameter.decay, parameter.requires_grad) == (False, None, True, True)


def test_names_follow_from_attributes():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(nn.Sequential(("dense", nn.Linear(2, 2, rng=0))) for _ in range(2))
            self.blocks.append(nn.ReLU())

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    net = Net()
    assert [module.path for _, module in net.named_modules()] == [path for path, _ in net.named_modules()]
    assert net.blocks[1][0].path == "blocks.1.dense"
    assert len(net.parameters()) == 4
    net.blocks[0] = nn.Linear(2, 2, bias=False, rng=0)
    assert (len(net.blocks), net.blocks[0].path, len(net.parameters())) == (3, "blocks.0", 3)
    assert net(np.ones((1, 2))).shape == (1, 2)
    del net.blocks[0]
    net.blocks.append(nn.Flatten())
    assert [type(block).__name__ for block in net.blocks] == ["Sequential", "ReLU", "Flatten"]
    assert [block.path for block in net.blocks] == ["blocks.0", "blocks.1", "blocks.2"]
    delattr(net.blocks, "0")
    net.blocks.append(nn.Sign())
    assert [type(block).__name__ for block in net.blocks] == ["ReLU", "Flatten", "Sign"]
    with pytest.raises(TypeError, match="a ModuleList holds modules, got Tensor"):
        net.blocks.append(Tensor(1.0))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda m: [m],
        lambda m: (m,),
        lambda m: {"a": m},
        lambda m: [[m]],
        lambda m: {m},
        lambda m: collections.deque([m]),
        lambda m: np.array([m, 1], object),
    ],
)
def test_modules_in_a_plain_container_are_refused(wrap):
    net = nn.Module()
    with pytest.raises(TypeError, match=r"Module: layers holds a Linear in a plain \w+, .* use nn.ModuleList"):
        net.layers = wrap(nn.Linear(2, 2, rng=0))
    net.layers = []
    net.layers.append(nn.Linear(2, 2, rng=0))
    for find in (net.parameters, net.train, net.state_dict):
        with pytest.raises(TypeError, match=r"use nn\.ModuleList"):
            find()
    with pytest.raises(TypeError, match="layers holds a Parameter"):
        net.layers = [nn.Parameter(np.ones(2))]


def test_setting_a_module_too_early():
    class Net(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(TypeError, match=r"Net must call super\(\).__init__\(\) before it sets layer"):
        Net()


def test_what_was_loaded_is_returned():
    net = nn.Linear(2, 2, rng=0)
    state = {"weight": np.ones((2, 2), np.float32), "gamma": np.ones(2, np.float32)}
    assert net.load_state_dict(state, strict=False) == (("weight",), ("bias",), ("gamma",))
    for state in ({"other": np.ones(3)}, {}):
        with pytest.raises(ValueError, match="it has none of the names of the network, such as weight"):
            net.load_state_dict(state, strict=False)
    with pytest.raises(ValueError, match="bias: expected real numbers, got dtype complex128"):
        net.load_state_dict({"bias": np.array([1j, 2])}, strict=False)
    with pytest.raises(TypeError, match=r"ModuleList cannot be called: .* use nn.Sequential"):
        nn.ModuleList([net])(np.ones((1, 2)))


def test_a_module_cannot_contain_itself(net):
    with pytest.raises(ValueError, match="cannot be a part of itself, as again would make it"):
        net.again = nn.Residual(net)


@pytest.mark.parametrize("name", ["a/b", "a.b", "", "two\nlines"])
@pytest.mark.parametrize("value", [nn.ReLU(), nn.Parameter([1.0])])
def test_a_name_that_no_file_could_hold_is_refused_before_training(name, value):
    """A checkpoint with a slash in a name was written, and could not be read."""
    with pytest.raises(ValueError, match="cannot be the name of a"):
        setattr(nn.Module(), name, value)
