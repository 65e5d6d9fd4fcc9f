"""The order in which partial sums over parts of a batch are added.

Floating-point sums depend on their order. Parts 0 … size − 1 are added in one binary tree that depends on ``size``
alone: a node over parts ``first … last − 1`` splits behind its largest power of two. So the result has the same bits
whoever adds up which part of the tree.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")
Node = tuple[int, int]  # (first part, last part + 1)


def middle(first: int, last: int) -> int:
    """Where the node over parts ``first`` … ``last − 1``, at least two, splits: behind the largest power of two."""
    return first + (1 << ((last - first - 1).bit_length() - 1))


def nodes_within(first: int, last: int, size: int) -> list[Node]:
    """The largest nodes of the tree over ``size`` parts that lie within ``first`` … ``last − 1``, from left to right.

    An empty list when ``first`` is ``last``.
    """
    return _within(first, last, (0, size))


def _within(first: int, last: int, node: Node) -> list[Node]:
    start, end = node
    if last <= start or end <= first or first == last:
        return []
    if first <= start and end <= last:
        return [node]
    split = middle(start, end)
    return _within(first, last, (start, split)) + _within(first, last, (split, end))


def add_up(known: Mapping[Node, T], node: Node, add: Callable[[T, T], T]) -> T:
    """The sum of ``node``, from sums of nodes below it.

    Parameters
    ----------
    known
        Sums by node; together they cover all parts of ``node``.
    add
        ``add(left, right)`` returns the sum; it may change ``left`` in place.

    Raises
    ------
    KeyError
        When a part is missing.
    """
    if node in known:
        return known[node]
    first, last = node
    if last - first < 2:
        raise KeyError(node)
    split = middle(first, last)
    return add(add_up(known, (first, split), add), add_up(known, (split, last), add))


def add_parts(cuts: Sequence[int], sum_of: Callable[[int, int], T]) -> T:
    """The sum over all parts, of which part i is the images from ``cuts[i]`` to ``cuts[i + 1] - 1``.

    ``sum_of(first, end)`` returns that of one part: a new array, to which others are added in place.
    """
    known = {(i, i + 1): sum_of(*ends) for i, ends in enumerate(pairwise(cuts))}
    return add_up(known, (0, len(known)), operator.iadd)
