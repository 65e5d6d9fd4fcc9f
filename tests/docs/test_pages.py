"""The sources of the pages: line length of their cells, and notation of fractions."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

WIDEST = 92  # characters that fit beside the two columns of a window 1200 pixels wide


def _cells(text: str) -> list[str]:
    return re.findall(r"^```\{code-cell\}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_lines_of_cells_fit_on_the_page(root: Path) -> None:
    pages = {path.name: _cells(path.read_text("utf-8")) for path in (root / "docs" / "paper").glob("[1-8]-*.md")}
    assert len(pages) == 8
    assert all(pages.values())
    lines = [(name, line) for name, cells in pages.items() for cell in cells for line in cell.splitlines()]
    assert [pair for pair in lines if len(pair[1]) > WIDEST] == []


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
