"""Difference, quotient, negative and matrix product, and the operators of a tensor that call them."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet import Tensor, gradcheck, nn, ops
from binnet.autograd import Node
from naive_ops import naive_matmul

SHAPES = [(3, 4), (4,), (1, 4), (3, 1), (2, 3, 4), ()]


def away_from_zero(leaf, *shape):
    x = leaf(*shape)
    return Tensor(np.sign(x.data) * (1 + np.abs(x.data)), requires_grad=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_with_broadcasting(leaf, shape):
    assert gradcheck(ops.subtract, leaf(3, 4), leaf(*shape))
    assert gradcheck(ops.subtract, leaf(*shape), leaf(3, 4))
    assert gradcheck(ops.divide, leaf(3, 4), away_from_zero(leaf, *shape))
    assert gradcheck(ops.divide, leaf(*shape), away_from_zero(leaf, 3, 4))
    assert gradcheck(ops.neg, leaf(*shape))


def test_matmul_gradient(backend, leaf):
    assert gradcheck(ops.matmul, leaf(5, 7), leaf(7, 3))
    assert gradcheck(lambda x: ops.matmul(x, np.ones((7, 3))), leaf(5, 7))
    assert gradcheck(lambda y: ops.matmul(np.ones((5, 7)), y), leaf(7, 3))


@given(n=st.integers(0, 9), i=st.integers(0, 40), o=st.integers(0, 20), seed=st.integers(0, 99))
def test_matmul(n, i, o, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, i)).astype(np.float32), rng.standard_normal((i, o)).astype(np.float32)
    product = ops.matmul(Tensor(x), Tensor(y))
    np.testing.assert_allclose(product.data, naive_matmul(x, y), rtol=0, atol=1e-5 * max(i, 1))
    for row in range(n):  # the same bits alone and as a dense layer
        np.testing.assert_array_equal(ops.matmul(x[row : row + 1], y).data[0], product.data[row])
    np.testing.assert_array_equal(ops.linear(Tensor(x), Tensor(y.T)).data, product.data)


@pytest.mark.parametrize(("x", "y"), [((2, 3), (2, 3)), ((3,), (3, 2)), ((2, 3), (3,)), ((1, 2, 3), (3, 2))])
def test_matmul_refuses_what_is_no_pair_of_matrices(x, y):
    message = rf"^matmul takes matrices \(N, I\) and \(I, O\), got shapes \({x[0]},.*\) and \({y[0]},.*\)$"
    with pytest.raises(ValueError, match=message):
        Tensor(np.ones(x)) @ Tensor(np.ones(y))


# ---------------------------------------------------------------------------------------------- operators

OPERATORS = {
    operator.add: "_Add",
    operator.sub: "_Subtract",
    operator.mul: "_Mul",
    operator.truediv: "_Divide",
    operator.matmul: "_Matmul",
}


@pytest.mark.parametrize("symbol", OPERATORS, ids=lambda symbol: symbol.__name__)
def test_operators_are_functions_by_another_name(leaf, symbol):
    """With a tensor, an array of another type, and a NumPy number on either side."""
    x, array = leaf(3, 3), np.arange(1.0, 10.0).reshape(3, 3)
    sides = [(x, leaf(3, 3)), (x, array), (array, x)]
    if symbol is not operator.matmul:
        sides += [(x, 2), (2, x), (x, 0.5), (0.5, x), (np.float64(2), x), (x, np.int64(2)), (np.ones(3), x)]
    for one, other in sides:
        result = symbol(one, other)
        assert type(result) is Tensor
        assert isinstance(result.node, Node)
        assert result.node.function.__name__ == OPERATORS[symbol]
        plain = [side.data if isinstance(side, Tensor) else np.asarray(side, np.float32) for side in (one, other)]
        np.testing.assert_allclose(result.data, symbol(*plain), rtol=1e-5, atol=1e-6)
    assert gradcheck(lambda x: symbol(symbol(array, x), 2 * np.eye(3) + 1), away_from_zero(leaf, 3, 3), eps=1e-3)


def test_an_expression_of_operators(leaf):
    """Written as on paper, against the derivative found by hand."""
    x, w = leaf(4, 3), leaf(3, 2)
    loss = ((1 - x @ w) * -2 / 4).mean()
    loss.backward()
    np.testing.assert_allclose(loss.item(), ((x.data @ w.data - 1) / 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(w.grad, np.outer(x.data.sum(0), [1, 1]) / 16, rtol=1e-5)
    np.testing.assert_allclose(x.grad, np.tile(w.data.sum(1) / 16, (4, 1)), rtol=1e-5)


def test_methods(leaf):
    x = leaf(2, 6)
    np.testing.assert_array_equal(x.reshape(3, 4).data, x.data.reshape(3, 4))
    np.testing.assert_array_equal(x.reshape((-1, 3)).data, x.data.reshape(-1, 3))
    np.testing.assert_array_equal(x.sum(axis=1, keepdims=True).data, ops.sum(x, 1, True).data)
    np.testing.assert_array_equal(x.mean(0).data, ops.mean(x, 0).data)
    np.testing.assert_array_equal((-x).data, -x.data)
    assert gradcheck(lambda x: (-x).reshape(4, 3).sum(0) * x.mean(), x)


def test_an_augmented_assignment_binds_the_name_anew(leaf):
    x = leaf(3)
    y, before = x, x.data.copy()
    y += 1
    y.sum().backward()
    assert y is not x
    np.testing.assert_array_equal(x.data, before)
    np.testing.assert_array_equal(x.grad, np.ones(3))


@pytest.mark.parametrize("symbol", [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.imatmul])
def test_a_parameter_is_not_replaced_by_its_sum(symbol):
    layer = nn.Linear(2, 2, rng=0)
    weight = layer.weight
    with pytest.raises(TypeError, match=r"^a parameter .* nothing trains: change its array, p\.data \+="):
        layer.weight = symbol(layer.weight, 1)
    assert layer.weight is weight
    weight.data += 1


def test_a_tensor_has_no_truth_value(leaf):
    for x in (leaf(3), leaf(1), leaf()):
        with pytest.raises(TypeError, match=r"^a tensor has no truth value: .*x\.item\(\)"):
            bool(x)
        with pytest.raises(TypeError):
            float(x)
        with pytest.raises(TypeError):
            x < 1  # noqa: B015
        assert (x == x.data) is False


@pytest.mark.parametrize("symbol", OPERATORS, ids=lambda symbol: symbol.__name__)
def test_operands_must_be_real_numbers(leaf, symbol):
    for other in ("3", None, 1j, [None]):
        with pytest.raises(TypeError, match="real numbers"):
            symbol(leaf(2, 2), other)
        with pytest.raises(TypeError, match="real numbers"):
            symbol(other, leaf(2, 2))


def test_shapes_must_fit(leaf):
    for symbol in (operator.sub, operator.truediv):
        with pytest.raises(ValueError, match=r"broadcast.*\(2,3\) \(4,\)"):
            symbol(leaf(2, 3), leaf(4))
