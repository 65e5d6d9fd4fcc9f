"""The tensor itself."""

import numpy as np
import pytest

import binnet
from binnet import Tensor, ops


def test_float32_is_shared_and_the_rest_converted():
    x = np.ones((2, 3), np.float32)
    assert Tensor(x).numpy() is x
    converted = Tensor([[1, 2]])
    assert converted.data.dtype == np.float32
    assert converted.shape == (1, 2)
    assert converted.ndim == 2
    assert len(converted) == 1


@pytest.mark.parametrize("data", [["a"], [1j], Tensor([1.0])])
def test_what_is_not_real_numbers_is_refused(data):
    with pytest.raises(TypeError):
        Tensor(data)


def test_item():
    assert Tensor([[2.5]]).item() == 2.5
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        Tensor([1, 2]).item()


def test_detach_leaves_the_graph(leaf):
    x = leaf(3)
    y = ops.relu(x).detach()
    assert not y.requires_grad
    assert y.node is None


def test_repr_says_shape_and_gradient():
    assert "shape=(2,)" in repr(Tensor([1, 2]))
    assert "requires_grad=True" in repr(Tensor([1, 2], requires_grad=True))
    assert "requires_grad" not in repr(Tensor([1, 2]))


def test_every_exported_name_exists():
    assert all(hasattr(binnet, name) for name in binnet.__all__)
    assert all(hasattr(ops, name) for name in ops.__all__)
    assert all(hasattr(binnet.nn, name) for name in binnet.nn.__all__)
