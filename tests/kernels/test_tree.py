"""The tree in which partial sums over parts of a batch are added."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binnet_kernels.tree import add_up, middle, nodes_within

sizes = st.integers(1, 40)


def pair(left, right):
    """In the place of a sum: the two that would be added."""
    return left, right


def leaves(size):
    return {(i, i + 1): i for i in range(size)}


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, 0),
        (2, (0, 1)),
        (3, ((0, 1), 2)),
        (4, ((0, 1), (2, 3))),
        (5, (((0, 1), (2, 3)), 4)),
        (7, (((0, 1), (2, 3)), ((4, 5), 6))),
    ],
)
def test_small_trees(size, expected):
    assert add_up(leaves(size), (0, size), pair) == expected


@given(sizes)
def test_a_node_splits_behind_a_power_of_two(size):
    for first in range(size - 1):
        left = middle(first, size) - first
        assert left & (left - 1) == 0
        assert left < size - first <= 2 * left


@given(sizes)
def test_it_is_the_order_of_a_binary_counter(size):
    """Equal neighbours merge as soon as they are there, and the rest from the right: what kernels do with a stack."""
    stack = []
    for part in range(size):
        stack.append(part)
        merges = ((part + 1) & -(part + 1)).bit_length() - 1
        for _ in range(merges):
            right = stack.pop()
            stack.append((stack.pop(), right))
    while len(stack) > 1:
        right = stack.pop()
        stack.append((stack.pop(), right))
    assert stack == [add_up(leaves(size), (0, size), pair)]


@given(sizes, st.data())
def test_whoever_adds_which_part(size, data):
    """Workers with consecutive parts add up their own nodes; the root is the same tree, whatever their shares."""
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=5)))
    known, ends = {}, [0, *cuts, size]
    for first, last in pairwise(ends):
        mine = {(i, i + 1): i for i in range(first, last)}
        nodes = nodes_within(first, last, size)
        assert [i for start, end in nodes for i in range(start, end)] == list(range(first, last))
        known |= {node: add_up(mine, node, pair) for node in nodes}
    assert add_up(known, (0, size), pair) == add_up(leaves(size), (0, size), pair)


def test_nodes_are_as_large_as_they_can_be():
    assert nodes_within(0, 8, 8) == [(0, 8)]
    assert nodes_within(0, 7, 8) == [(0, 4), (4, 6), (6, 7)]
    assert nodes_within(3, 3, 8) == []


def test_a_missing_part():
    with pytest.raises(KeyError, match=r"\(2, 3\)"):
        add_up({(0, 2): 1}, (0, 3), pair)
