"""Gradients of weights, summed over the images of all workers: each adds up the rows of the filters that it updates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import binnet_kernels as bk
from binnet_kernels import tree
from binnet_kernels.checks import Float
from binnet_kernels.tree import Node

from .codes import Floats
from .communicator import Communicator, lengths, spread

Array = npt.NDArray[Any]
# The gradient (O, ...) of weights over the images of this worker between cuts; None stands for all images at once.
GradWeight = Callable[[Sequence[int] | None], Float]
# From some rows of ∂C/∂W̃ to the same rows of the gradients of the inputs of a function.
Gradients = Callable[[Float, slice], tuple[Float | None, ...]]


class WeightSum:
    """One gradient of weights on its way: the partial sums are sent when it is made, and added up in :meth:`finish`.

    Workers send each other the rows of the filters that the receiver updates. The sums of the micro-batches are added
    in the order of the tree, whoever has computed them.
    """

    def __init__(
        self,
        communicator: Communicator,
        micro_batches: int,
        cuts: Sequence[int],
        grad_weight: GradWeight,
        then: Gradients,
        shapes: Sequence[tuple[int, ...] | None],
        code: Floats,
    ) -> None:
        self._code = code
        self._communicator, self._root, self._then, self._shapes = communicator, (0, micro_batches), then, shapes
        self._results: tuple[Float | None, ...] | None = None
        self.laters: list[Later] = []
        shares, rank = spread(micro_batches, communicator.size), communicator.rank
        nodes = [tree.nodes_within(share.start, share.stop, micro_batches) for share in shares]
        start = shares[rank].start
        own = {node: grad_weight(tuple(cuts[node[0] - start : node[1] - start + 1])) for node in nodes[rank]}
        filters, *shape = next(iter(own.values())).shape
        self._shares = spread(filters, communicator.size)
        self.rows = self._shares[rank]
        self._shape = tuple(shape)
        sent = {node: code.encode(node, grad) for node, grad in own.items()}
        # Views: what is sent stays as it is until it has arrived.
        self._known = {node: [part[self.rows] for part in parts] for node, parts in sent.items()}
        self._waits = [wait for place in range(max(map(len, nodes))) for wait in self._send(sent, nodes, place)]

    def _send(
        self, sent: dict[Node, tuple[Array, ...]], nodes: list[list[Node]], place: int
    ) -> list[Callable[[], None]]:
        """Begin to exchange the partial sums of everybody's node number ``place``."""
        rank, rows, waits = self._communicator.rank, lengths([self.rows])[0], []
        here: list[Node | None] = [each[place] if place < len(each) else None for each in nodes]
        mine = here[rank]
        for part, (shape, dtype) in enumerate(self._code.layout(self._shape)):
            empty: Array = np.empty((0, *shape), dtype)
            send = [empty if mine is None else sent[mine][part][share] for share in self._shares]
            receive = [empty] * len(nodes)
            for sender, node in enumerate(here):
                if node is not None and sender != rank:
                    receive[sender] = np.empty((rows, *shape), dtype)
                    self._known.setdefault(node, []).append(receive[sender])
            waits.append(self._communicator.exchange(send, receive))
        return waits

    def results(self) -> tuple[Float | None, ...]:
        """Rows of the gradients; waits for the other workers."""
        if self._results is None:
            for wait in self._waits:
                wait()
            self._waits.clear()  # they hold what was sent, which nobody needs any more
            known = {node: self._code.decode(parts, self._shape) for node, parts in self._known.items()}
            self._known.clear()
            total = tree.add_up(known, self._root, _add)
            self._results = self._then(total, self.rows) if len(total) else self._no_rows()
        return self._results

    def _no_rows(self) -> tuple[Float | None, ...]:
        """What a worker has that updates no filter, because there are fewer filters than workers."""
        return tuple(None if shape is None else np.empty((0, *shape[1:]), np.float32) for shape in self._shapes)

    def whole(self, place: int) -> Float | None:
        """All rows of the gradient number ``place``; called by all workers."""
        rows = self.results()[place]
        return None if rows is None else self._communicator.join(np.ascontiguousarray(rows), lengths(self._shares))

    def finish(self) -> None:
        """Hand the gradients to their receivers."""
        for later in self.laters:
            later.deliver()
        # Without the circle between this and what it gives, all memory is free now, and not at some time later.
        self.laters.clear()
        self._results = None


class Later:
    """One gradient of a :class:`WeightSum`, which a leaf tensor gets when the backward pass is over.

    Attributes
    ----------
    shape : tuple of int
        Of the whole gradient.
    """

    def __init__(self, source: WeightSum, place: int, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._source, self._place = source, place
        self._receivers: list[Any] = []
        source.laters.append(self)

    def send_to(self, receiver: Any) -> None:
        """Let a leaf tensor have this gradient when it is there."""
        self._receivers.append(receiver)

    def now(self) -> Float:
        """The whole gradient, at once; called by all workers."""
        grad = self._source.whole(self._place)
        assert grad is not None
        return grad

    def deliver(self) -> None:
        """Give the receivers what they keep: the rows that this worker updates, or all."""
        for receiver in self._receivers:
            if receiver.rows is None:
                receiver.receive(self.now())
            else:
                receiver.receive(self._source.results()[self._place])


def _add(left: Float, right: Float) -> Float:
    return bk.add(left, right, out=left)
