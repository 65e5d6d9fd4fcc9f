"""The sources of the pages: line length of their cells, and notation of fractions."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

from binnet.lab.trace import chapters

WIDEST = 92  # characters that fit beside the two columns of a window 1200 pixels wide


def _cells(text: str) -> list[str]:
    return re.findall(r"^```\{code-cell\}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_lines_of_cells_fit_on_the_page(root: Path) -> None:
    pages = {path.name: _cells(path.read_text("utf-8")) for path in (root / "docs" / "paper").glob("[1-8]-*.md")}
    assert len(pages) == 9  # chapter 4 has two parts
    assert all(pages.values())
    lines = [(name, line) for name, cells in pages.items() for cell in cells for line in cell.splitlines()]
    assert [pair for pair in lines if len(pair[1]) > WIDEST] == []


def test_code_of_figures_and_tables_is_folded(root: Path) -> None:
    long = []
    for path in (root / "docs" / "paper").glob("[1-8]-*.md"):
        for cell in _cells(path.read_text("utf-8")):
            shows = re.search(r"live\.(table|show|maps)\(", cell) is not None
            if shows and not cell.startswith(":tags:") and len(cell.splitlines()) > 12:
                long.append((path.name, cell.splitlines()[0]))
    assert long == []


@pytest.mark.parametrize(
    ("latex", "found"),
    [
        (r"\frac{1}{2} + \frac{\frac{x + 1}{2}}{b^{2}}", ""),
        (r"\frac {1} {2} \fractal", ""),
        (r"\frac12", r"\frac12"),
        (r"x + \frac{1}n", r"\frac{1}n"),
        (r"\dfrac{\frac1n}{2}", r"\frac1n}{2}"),
        (r"\frac{1}{2", r"\frac{1}{2"),
    ],
)
def test_fractions_need_braces(script: Callable[[str], ModuleType], latex: str, found: str) -> None:
    pytest.importorskip("fontTools", reason="what builds the pages is not installed: pip install '.[docs]'")
    pytest.importorskip("sphinx", reason="what builds the pages is not installed: pip install '.[docs]'")
    mathml = script("docs/_ext/mathml.py")
    assert mathml.bare_fraction(latex) == found


def test_reading_takes_time_for_prose_and_code_that_is_shown(script: Callable[[str], ModuleType]) -> None:
    pytest.importorskip("sphinx", reason="what builds the pages is not installed: pip install '.[docs]'")
    minutes = script("docs/_ext/chapters.py").reading_minutes
    prose, code = "# 1 Title\n\n" + "word " * 1000, "```{code-cell}\n%s" + "x = 1\n" * 90 + "```\n"
    assert minutes("# Title") == 1
    assert minutes(prose) == 5
    assert minutes(prose + "\n" + code % "") == 8
    assert minutes(prose + "\n" + code % ":tags: [hide-cell]\n") == 5


def test_checks_are_gathered_at_the_end_of_their_section(script: Callable[[str], ModuleType]) -> None:
    nodes = pytest.importorskip(
        "docutils.nodes", reason="what builds the pages is not installed: pip install '.[docs]'"
    )
    pytest.importorskip("sphinx", reason="what builds the pages is not installed: pip install '.[docs]'")

    def cell(text: str, **attributes: str) -> Any:
        output = nodes.container("", nodes.container("", nodes.raw("", text, format="html")), **attributes)
        return nodes.container("", nodes.literal_block("", "code"), output)

    check = '<p class="check">one</p>'
    inner = nodes.section("", nodes.title("", "Inner"), cell(check), cell(check.replace("one", "two")))
    solution = nodes.container("", cell(check), hide_mode="all")
    closed = nodes.container()  # as the builder of notebooks wraps it, without telling it where it is
    closed.extend(solution.children)
    solution.children = [closed]
    outer = nodes.section("", nodes.title("", "Outer"), cell("<style>a</style>" + check), solution, inner)
    doctree = nodes.section("", outer)
    script("docs/_ext/checks.py").gather(doctree)

    texts = [raw.astext() for raw in doctree.findall(nodes.raw)]
    assert texts[:2] == ["<style>a</style>", check]  # the solution keeps its own
    assert texts[2].count("<p") == 1
    assert "1 result was checked" in texts[2]
    assert texts[3].count("<p") == 2
    assert "2 results were checked" in texts[3]
    assert len(texts) == 4
    assert outer.index(inner) == len(outer.children) - 1


def test_the_page_of_a_trace_names_chapters_as_they_are(root: Path) -> None:
    known = [chapter for chapter in vars(chapters).values() if isinstance(chapter, chapters.Chapter)]
    assert len(known) >= 5
    for chapter in known:
        assert (root / "docs" / "paper" / f"{chapter.page}.md").read_text("utf-8").count(f"\n# {chapter.title}\n") == 1


def test_each_chapter_has_a_picture_for_its_card(root: Path) -> None:
    pictures = sorted((root / "docs" / "_ext" / "cards").glob("*.svg"))
    pages = sorted((root / "docs" / "paper").glob("[0-9]-*.md"))
    assert [path.stem for path in pictures] == [path.stem for path in pages]
    for path in pictures:
        drawing = ElementTree.fromstring(path.read_text("utf-8"))
        assert drawing.attrib == {"viewBox": "0 0 120 40", "aria-hidden": "true"}
        # No colours of their own, for dark pages; no names, as they stand on one page.
        names = {name for part in drawing.iter() for name in part.attrib}
        assert not names & {"fill", "stroke", "style", "id"}
        for box in drawing.iter("rect"):
            x, y, width, height = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
            assert x >= 0 <= y
            assert x + width <= 120
            assert y + height <= 40
