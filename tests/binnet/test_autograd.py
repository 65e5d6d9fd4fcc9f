"""Recording, the backward sweep, no_grad, and the check of gradients."""

import gc
import threading
import weakref
from typing import ClassVar

import numpy as np
import pytest

from binnet import Function, Tensor, gradcheck, is_grad_enabled, nn, no_grad, ops


def test_a_tensor_used_twice_gets_the_sum(leaf):
    x = leaf(4)
    ops.sum(ops.add(ops.mul(x, x), x)).backward()
    np.testing.assert_allclose(x.grad, 2 * x.data + 1, rtol=1e-6)


def test_a_diamond_is_swept_once_a_node(leaf):
    x = leaf(3)
    y = ops.mul(x, Tensor([2, 3, 4]))  # used on a short way and on a long one
    ops.sum(ops.add(y, ops.mul(ops.relu(ops.add(y, Tensor([10.0]))), y))).backward()
    np.testing.assert_allclose(x.grad, (1 + 2 * y.data + 10) * [2, 3, 4], rtol=1e-5)


def test_gradients_accumulate_over_calls_and_do_not_share_memory(leaf):
    x, y = leaf(3), leaf(3)
    ops.sum(ops.add(x, y)).backward()
    x.grad *= 5
    np.testing.assert_array_equal(y.grad, np.ones(3))
    ops.sum(x).backward()
    np.testing.assert_array_equal(x.grad, np.full(3, 6))


def test_a_graph_of_10000_operations():
    x = Tensor([1.0], requires_grad=True)
    y, one = x, Tensor([1.0])
    for _ in range(10_000):
        y = ops.add(y, one)
    y.backward()
    np.testing.assert_array_equal(x.grad, [1])
    y = x
    for _ in range(10_000):
        y = ops.add(y, one)
    del y  # a graph that is never swept goes without recursion as well


def test_a_second_backward_names_the_freed_operation_and_changes_nothing(leaf):
    x, w = leaf(3), leaf(3)
    y = ops.mul(x, x)
    ops.sum(y).backward()
    before = x.grad.copy()
    with pytest.raises(RuntimeError, match="second time through _Mul"):
        ops.sum(ops.add(y, w)).backward()
    np.testing.assert_array_equal(x.grad, before)
    assert w.grad is None


def test_the_sweep_frees_what_was_saved(leaf):
    x = leaf(1)
    y = ops.relu(x)
    array = weakref.ref(y.data)
    z = ops.mul(y, y)
    del y
    gc.collect()
    assert array() is not None
    z.backward()
    gc.collect()
    assert z.node.freed
    assert array() is None


def test_the_graph_keeps_no_array_that_was_not_saved(leaf):
    x = leaf(3)
    y = ops.add(x, x)
    array = weakref.ref(y.data)
    z = ops.add(y, y)
    del y
    gc.collect()
    assert array() is None
    z.backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, np.full(3, 4))


def test_backward_wants_a_grad_of_the_right_shape(leaf):
    x = leaf(2, 3)
    with pytest.raises(ValueError, match=r"without grad needs a tensor of one element, got shape \(2, 3\)"):
        ops.relu(x).backward()
    with pytest.raises(ValueError, match=r"\(2, 3\), got \(3,\)"):
        ops.relu(x).backward(np.ones(3))
    ops.mul(x, x).backward(Tensor(np.full((2, 3), 2)))
    np.testing.assert_allclose(x.grad, 4 * x.data, rtol=1e-6)


def test_backward_on_a_leaf_and_on_a_constant(leaf):
    x = leaf(1)
    x.backward()
    np.testing.assert_array_equal(x.grad, [1])
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        Tensor([1.0]).backward()


def test_constants_get_nothing(leaf):
    x, constant = leaf(3), Tensor([1, 2, 3])
    ops.sum(ops.mul(x, constant)).backward()
    assert constant.grad is None
    np.testing.assert_array_equal(x.grad, [1, 2, 3])


def test_no_grad_records_nothing_and_ends_with_an_error_too(leaf):
    x = leaf(3)

    def fail():
        with no_grad():
            assert not ops.relu(x).requires_grad
            with no_grad():
                assert not is_grad_enabled()
            assert not is_grad_enabled()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert is_grad_enabled()
    assert ops.relu(x).requires_grad


def test_no_grad_is_of_one_thread():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


class Double(Function):
    """2x, with a gradient that the test chooses."""

    @staticmethod
    def forward(ctx, x, *, wrong):
        ctx.save(wrong)
        return 2 * x

    @staticmethod
    def backward(ctx, grad):
        return ctx.saved[0](grad)


class Scaled(Function):
    """3x, whose gradient is written over the one that came in where that is allowed."""

    owned: ClassVar[list[bool]] = []

    @staticmethod
    def forward(ctx, x):
        return 3 * x

    @staticmethod
    def backward(ctx, grad):
        Scaled.owned.append(ctx.owns_grad)
        return np.multiply(grad, 3, out=ctx.reusable(grad))


def test_a_gradient_of_one_s_own_may_be_written_to_and_is_kept_without_a_copy(leaf):
    x, made = leaf(3), []

    def fresh(grad):
        made.append(2 * grad)
        return made[0]

    Scaled.owned.clear()
    Double.apply(Scaled.apply(Scaled.apply(x)), wrong=fresh).backward(np.ones(3))
    assert Scaled.owned == [True, True]
    assert x.grad is made[0]
    np.testing.assert_array_equal(x.grad, np.full(3, 18))


def test_a_gradient_that_others_read_is_not_written_to(leaf):
    x, y, grad = leaf(3), leaf(3), np.ones(3, np.float32)
    Scaled.owned.clear()
    ops.add(Scaled.apply(x), ops.reshape(y, (3,))).backward(grad)
    assert Scaled.owned == [False]
    np.testing.assert_array_equal(grad, np.ones(3))
    np.testing.assert_array_equal(x.grad, np.full(3, 3))
    np.testing.assert_array_equal(y.grad, np.ones(3))
    assert not np.may_share_memory(y.grad, grad)


def test_a_gradient_that_does_not_lie_in_order_is_not_written_to(leaf):
    """Kernels write only to arrays whose values lie in order; the gradient of a border is a part of a larger array."""
    x = leaf(1, 2, 2, 1)
    Scaled.owned.clear()
    ops.pad(Scaled.apply(x), 1).backward(np.arange(16).reshape(1, 4, 4, 1))
    assert Scaled.owned == [False]
    np.testing.assert_array_equal(x.grad[0, :, :, 0], [[15, 18], [27, 30]])


def test_sums_of_gradients_lie_in_order(leaf):
    x = leaf(1, 2, 2, 1)
    y = Scaled.apply(x)
    Scaled.owned.clear()
    ops.add(ops.pad(y, 1), ops.pad(y, 1)).backward(np.arange(16).reshape(1, 4, 4, 1))
    assert Scaled.owned == [True]
    np.testing.assert_array_equal(x.grad[0, :, :, 0], [[30, 36], [54, 60]])


def test_sums_of_gradients_leave_foreign_arrays_alone(leaf):
    x, grad = leaf(3), np.ones(3, np.float32)
    y = Scaled.apply(x)
    ops.add(ops.add(y, Scaled.apply(y)), ops.add(Scaled.apply(y), y)).backward(grad)  # 3 (1 + 3 + 3 + 1)
    np.testing.assert_array_equal(x.grad, np.full(3, 24))
    np.testing.assert_array_equal(grad, np.ones(3))


def test_save_keeps_nothing_without_a_gradient():
    contexts = []

    class Spy(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save(x)
            contexts.append(ctx)
            return x

    Spy.apply(Tensor([1.0]))
    assert contexts[0].saved == ()
    assert contexts[0].needs_grad == (False,)


def test_gradcheck_accepts_the_right_gradient_and_refuses_others(leaf):
    x = leaf(4, 3)
    assert gradcheck(lambda x: Double.apply(x, wrong=lambda g: 2 * g), x) is True
    assert x.grad is None
    for wrong in (lambda g: 2.1 * g, lambda g: 0 * g, lambda g: 2 * g[::-1].copy()):
        with pytest.raises(AssertionError, match=r"backward gives .* the central difference"):
            gradcheck(lambda x, w=wrong: Double.apply(x, wrong=w), x)
    with pytest.raises(AssertionError, match="requires_grad"):
        gradcheck(ops.relu, Tensor([1.0]))


def test_a_gradient_of_the_wrong_shape_or_number_is_caught(leaf):
    with pytest.raises(RuntimeError, match=r"Double.backward returned a gradient \(3,\) for an input \(2, 3\)"):
        Double.apply(leaf(2, 3), wrong=lambda g: g[0]).backward(np.ones((2, 3)))
    with pytest.raises(RuntimeError, match="2 gradients for 1 inputs"):
        Double.apply(leaf(2, 3), wrong=lambda g: (g, g)).backward(np.ones((2, 3)))


@pytest.mark.parametrize("size", [3, 64, 10_001])
def test_one_value_changed_between_forward_and_backward_is_noticed(size):
    x, w = Tensor(np.ones(size), requires_grad=True), Tensor(np.ones(size), requires_grad=True)
    y = ops.sum(ops.mul(x, w))
    w.data[size // 2] = 2
    with pytest.raises(RuntimeError, match="an input of _Mul was changed in place after the forward pass"):
        y.backward()


@pytest.mark.parametrize("change", ["before", "result", "view", "array", "swap", "loaded"])
def test_changes_by_another_way_are_noticed(change, rng):
    own = rng.standard_normal(999).astype(np.float32)
    x, w = Tensor(own, requires_grad=True), nn.Parameter(rng.standard_normal(999))
    held = w.data if change == "before" else None
    positive = ops.relu(x)
    y = ops.mul(ops.reshape(positive, (27, 37)), ops.reshape(w, (27, 37)))
    loss = ops.sum(y)
    if held is not None:
        held[5] += 1
    elif change == "loaded":
        module = nn.Module()
        module.w = w
        module.load_state_dict({"w": np.ones(999)})
    elif change == "swap":
        w.data[[1, 700]] = w.data[[700, 1]]
    else:
        {"result": positive.data, "view": ops.reshape(positive, (-1,)).data, "array": own}[change][5] = 7
    with pytest.raises(RuntimeError, match="was changed in place after the forward pass"):
        loss.backward()


def test_an_array_may_be_changed_after_the_backward_pass():
    x, w = Tensor(np.ones(3), requires_grad=True), Tensor(np.ones(3), requires_grad=True)
    for factor in (1, 2):
        y = ops.sum(ops.mul(x, w))
        y.backward()
        np.testing.assert_array_equal(x.grad, np.full(3, factor))
        x.grad = w.grad = None
        w.data *= 2
