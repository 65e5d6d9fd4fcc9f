"""The sources of the pages: line length of their cells, and notation of fractions."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

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
