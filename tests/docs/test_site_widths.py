"""Nothing on the pages is cut, on a phone and on a wide screen; pictures of maps are dimmed on a dark page."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PAGES = ["index", *sorted(f"paper/{path.stem}" for path in (Path(__file__).parents[2] / "docs/paper").glob("*.md"))]

# What reaches out of the column, or out of a box that hides the rest, with no scroll bar at it or around it.
CUT = """
() => {
  const article = document.querySelector("article");
  const column = article.getBoundingClientRect();
  const style = (node, name) => getComputedStyle(node)[name];
  const scrolls = (node) => ["auto", "scroll"].includes(style(node, "overflowX"));
  const drawn = (box) => box.width > 1 && box.height > 1;  // boxes of one pixel are for those who listen
  const faults = [];
  for (const node of article.querySelectorAll("*")) {
    const box = node.getBoundingClientRect();
    if (!node.checkVisibility() || !drawn(box) || /^H[1-6]$/.test(node.tagName)) continue;  // headings have wide frames
    let left = column.left, right = column.right, free = false;
    for (let around = node; around !== article && !free; around = around.parentElement) {
      free = around !== node && scrolls(around);
      const frame = around.getBoundingClientRect();
      if (around !== node && drawn(frame) && ["hidden", "clip"].includes(style(around, "overflowX"))) {
        left = Math.max(left, frame.left);
        right = Math.min(right, frame.right);
      }
    }
    if (!free && (box.left < left - 1.5 || box.right > right + 1.5))
      faults.push(`${node.tagName} .${node.getAttribute("class") || ""} ${box.left | 0}..${box.right | 0}`
        + ` in ${left | 0}..${right | 0}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return faults;
}
"""


@pytest.fixture
def open_page(site: Path, browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page by name in a window of some width, in light or dark."""
    contexts = []

    def opened(name: str, width: int, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        context.set_default_timeout(120_000)  # milliseconds: a busy machine takes its time
        contexts.append(context)
        page = context.new_page()
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_load_state("load")
        page.evaluate("document.fonts.ready.then(() => true)")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut(name: str, width: int, open_page: Callable[..., Any]) -> None:
    page = open_page(name, width)
    page.evaluate("document.querySelectorAll('article details').forEach(part => (part.open = true))")
    assert page.evaluate(CUT) == []


def test_what_is_cut_is_found(open_page: Callable[..., Any]) -> None:
    page = open_page("index", 400)
    wide = '<p style="width: 900px; margin: 0">wide</p>'
    for style, count in (("", 1), ("overflow-x: hidden", 1), ("overflow-x: auto", 0)):
        page.evaluate(
            "([style, wide]) => { const box = document.createElement('div'); box.id = 'box'; box.style = style;"
            " box.innerHTML = wide; document.querySelector('article').append(box); }",
            [style, wide],
        )
        assert len(page.evaluate(CUT)) == count, style
        page.evaluate("document.getElementById('box').remove()")


@pytest.mark.parametrize(
    ("scheme", "theme"), [("dark", "auto"), ("light", "dark"), ("light", "auto"), ("dark", "light")]
)
def test_maps_are_dimmed_on_a_dark_page(scheme: str, theme: str, open_page: Callable[..., Any]) -> None:
    page = open_page("paper/4-xnor-convolution", 1200, scheme)
    page.evaluate("theme => (document.body.dataset.theme = theme)", theme)
    page.evaluate(
        "document.querySelector('article').insertAdjacentHTML('beforeend',"
        ' \'<figure class="live"><div class="maps"><img alt=""></div></figure>\')'
    )  # a site whose cells were not run has none
    filters = page.evaluate(
        "[...document.querySelectorAll('figure.live .maps img:not(.photo)')]"
        ".map(picture => getComputedStyle(picture).filter)"
    )
    dark = theme == "dark" or (theme, scheme) == ("auto", "dark")
    assert set(filters) == {"brightness(0.8)" if dark else "none"}
