"""The page on import and export names all formats and all kinds of nodes, and its example fits the API it shows."""

import re
from pathlib import Path

import pytest

from binnet.convert import FORMATS
from binnet.convert.larq.layers import HANDLERS
from binnet.graph import KINDS


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "convert.md").read_text("utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table after a heading, without its two head lines."""
    part = page.split(f"{heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", part, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in lines[0].splitlines()[2:]]


def words(cells: list[str]) -> set[str]:
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_every_format_has_its_row(page: str) -> None:
    assert words([row[0] for row in rows(page, "## Import")]) == set(FORMATS)


def test_every_kind_of_node_has_its_row(page: str) -> None:
    """Tests and users register more kinds, which cannot be exported."""
    own = {name for name, kind in KINDS.items() if kind.__module__.startswith("binnet.graph")}
    assert words([row[0] for row in rows(page, "### What can be exported")]) == own


def test_layers_become_nodes_that_exist(page: str) -> None:
    table = rows(page, "### What maps to what")
    assert len(table) > 10
    assert words([row[6] for row in table]) <= set(KINDS)
    keras = {word for word in words([row[3] for row in table]) if word[0].isupper()}
    assert keras <= set(HANDLERS)


def test_the_program_uses_names_that_the_page_explains(page: str) -> None:
    programs = re.findall(r"^```c\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    declared = set(re.findall(r"\b(?:digits|DIGITS)_\w+", page.split("A whole program")[0]))
    assert set(re.findall(r"\b(?:digits|DIGITS)_\w+", programs[1])) <= declared
