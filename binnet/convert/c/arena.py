"""Places of maps in the arena: maps that are not needed at the same time share memory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

ALIGNED = 16  # elements: a vector of floats begins at a place that suits it


@dataclass(eq=False)
class Map:
    """Memory for one map.

    Attributes
    ----------
    part : "floats", "words" or "bytes"
        The array of the arena that it lies in. Each type has its own: C allows no memory of changing types.
    size : int
        Number of elements.
    first, last : int
        The stages between which it is needed.
    """

    part: str
    size: int
    first: int
    last: int
    place: int = -1


class Arena:
    """The maps of a network, and how much memory they need together."""

    def __init__(self) -> None:
        self._maps: dict[Any, Map] = {}

    def map(self, key: Any, part: str, size: int, first: int, last: int) -> str:
        """C expression for the address of a map, a mark until :meth:`placed` replaces it."""
        found = self._maps.setdefault(key, Map(part, size, first, last))
        found.first, found.last = min(found.first, first), max(found.last, last)
        return f"\x1a{list(self._maps).index(key)}\x1a"  # a character that no name in a program has

    def sizes(self) -> dict[str, int]:
        """Choose the places; the number of elements of each part."""
        ends = {"floats": 0, "words": 0, "bytes": 0}
        placed: list[Map] = []
        # Large maps first: small ones fit into the gaps.
        for each in sorted(self._maps.values(), key=lambda m: (-m.size, m.first)):
            each.place = _lowest_gap(each, [m for m in placed if _meets(each, m)])
            placed.append(each)
            ends[each.part] = max(ends[each.part], each.place + each.size)
        return ends

    def placed(self, text: str) -> str:
        """The text with marks replaced by addresses; after :meth:`sizes`."""
        maps = list(self._maps.values())

        def address(mark: re.Match[str]) -> str:
            found = maps[int(mark[1])]
            return f"arena.{found.part} + {found.place}"

        return re.sub("\x1a(\\d+)\x1a", address, text)


def _meets(a: Map, b: Map) -> bool:
    return a.part == b.part and a.first <= b.last and b.first <= a.last


def _lowest_gap(each: Map, others: list[Map]) -> int:
    place = 0
    for other in sorted(others, key=lambda m: m.place):
        if place + each.size <= other.place:
            break
        place = max(place, -(-(other.place + other.size) // ALIGNED) * ALIGNED)
    return place
