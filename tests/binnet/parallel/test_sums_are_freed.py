"""Memory of gradients on their way."""

import gc
import weakref

import numpy as np

from binnet import Tensor
from binnet.parallel.batch import Batch
from binnet.parallel.communicator import Communicator


class Keeps(Communicator):
    """As MPI does, it holds the arrays of a message as long as somebody may wait for it."""

    def exchange(self, send, receive):
        kept = send, receive
        return lambda: kept and None


def test_a_batch_that_is_finished_keeps_no_gradients():
    batch, leaf, made = Batch(Keeps(), 2, 4), Tensor(np.zeros((3, 5)), requires_grad=True), []

    def grad_weight(cuts):
        grad = np.ones((3, 5), np.float32)
        made.append(weakref.ref(grad))
        return grad

    gc.disable()  # without it memory is freed at once, or late
    try:
        [later] = batch.weight_gradients(grad_weight, lambda grad, rows: (grad.copy(),), [(3, 5)])
        assert later is not None
        later.send_to(leaf)
        del later
        batch.finish()
        assert made
        assert all(ref() is None for ref in made)
    finally:
        gc.enable()
    assert leaf.grad is not None
    np.testing.assert_array_equal(leaf.grad, np.full((3, 5), len(made)))
