"""The built site in a real browser: formulas, figures, colours, narrow screens, search, no network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
CHAPTERS = sorted(path.stem for path in (DOCS / "paper").glob("*.md"))
NUMBERED = [f"paper/{name}" for name in CHAPTERS if name[0].isdigit()]
PAGES = ["index", *(f"paper/{name}" for name in CHAPTERS), "results", "benchmarks", "api/kernels", "adr/README"]


@dataclass
class Visit:
    """An open page and its errors."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def js(self, code: str) -> Any:
        return self.page.evaluate(code)


@pytest.fixture
def visit(site: Path, browser: Any) -> Iterator[Callable[..., Visit]]:
    """Open a page by name in a window of some width, in light or dark."""
    contexts = []

    def open_page(name: str, width: int = 1200, scheme: str = "light") -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        context.set_default_timeout(120_000)  # milliseconds: a busy machine takes its time
        contexts.append(context)
        seen = Visit(context.new_page())
        seen.page.on("console", lambda m: seen.complaints.append(m.text) if m.type in ("error", "warning") else None)
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.goto((site / f"{name}.html").as_uri())
        seen.page.wait_for_load_state("load")
        return seen

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_pages_load_without_complaints_and_without_a_network(name: str, visit: Callable[..., Visit]) -> None:
    seen = visit(name)
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
    assert seen.js("document.querySelectorAll('h1').length") == 1


@pytest.mark.parametrize("name", PAGES)
def test_tables_are_drawn_as_tables(name: str, visit: Callable[..., Visit]) -> None:
    seen = visit(name)
    text = seen.js("document.querySelector('article').innerText")
    # As it is written, and as typography leaves it.
    assert [mark for mark in ("|---", "| ---", "|:--", "|—", "|–") if mark in text] == []


@pytest.mark.parametrize("name", NUMBERED)
def test_code_fits_into_its_column(name: str, visit: Callable[..., Visit]) -> None:
    seen = visit(name)
    cut = "[...document.querySelectorAll('.cell_input pre')].filter(p => p.scrollWidth > p.clientWidth + 1).length"
    assert seen.js(cut) == 0


@pytest.mark.parametrize("name", NUMBERED)
def test_figures_are_whole_on_a_phone(name: str, visit: Callable[..., Visit]) -> None:
    seen = visit(name, width=400)
    figures = seen.js("[...document.querySelectorAll('figure.live')].map(f => [f.scrollWidth, f.clientWidth])")
    assert [pair for pair in figures if pair[0] > pair[1] + 1] == []
    shown = seen.js(
        "[...document.querySelectorAll('figure.live')].map(f => [...f.querySelectorAll('svg, .maps')]"
        ".filter(part => part.checkVisibility() && part.getBoundingClientRect().right <= 400).length)"
    )
    assert all(count == 1 for count in shown)


@pytest.mark.parametrize("name", PAGES)
def test_narrow_screens_need_no_scrolling_to_the_side(name: str, visit: Callable[..., Visit]) -> None:
    seen = visit(name, width=400)
    assert seen.js("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("name", NUMBERED)
def test_formulas_are_drawn(name: str, visit: Callable[..., Visit]) -> None:
    seen = visit(name)
    boxes = seen.js("[...document.querySelectorAll('article math')].map(m => m.getBoundingClientRect().toJSON())")
    assert boxes
    assert all(box["width"] > 4 and box["height"] > 4 for box in boxes)
    assert seen.js("document.fonts.ready.then(() => document.fonts.check('16px \"STIX Two Math\"'))")
    # TeX that nobody has translated would show as such.
    text = seen.js("[...document.querySelectorAll('article p')].map(p => p.textContent).join('\\n')")
    assert not any(word in text for word in ("\\frac", "\\alpha", "\\operatorname", "$$"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_figures_stand_out_from_the_page(scheme: str, visit: Callable[..., Visit]) -> None:
    seen = visit("paper/2-binary-weights", scheme=scheme)
    behind = seen.js(_BRIGHTNESS.format("document.body", "backgroundColor"))
    words = {
        "text": "document.querySelector('article p')",
        "formula": "document.querySelector('article math')",
        "figure": "document.querySelector('figure.live svg')",
    }
    for what, element in words.items():
        assert abs(seen.js(_BRIGHTNESS.format(element, "color")) - behind) > 100, what
    assert (behind < 100) == (scheme == "dark")


_BRIGHTNESS = "getComputedStyle({0}).{1}.match(/[\\d.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3"


def test_the_button_switches_to_dark(visit: Callable[..., Visit]) -> None:
    seen = visit("index")
    for _ in range(3):  # automatic, light, dark
        if seen.js("document.body.dataset.theme") == "dark":
            break
        seen.page.locator(".theme-toggle-header, .theme-toggle-content").locator("visible=true").first.click()
    assert seen.js(_BRIGHTNESS.format("document.body", "backgroundColor")) < 100


@pytest.mark.parametrize("name", NUMBERED)
def test_pictures_have_words_for_those_who_do_not_see_them(name: str, visit: Callable[..., Visit]) -> None:
    seen = visit(name)
    assert seen.js("[...document.querySelectorAll('article img')].filter(i => !i.alt).length") == 0
    labels = seen.js(
        "[...document.querySelectorAll('figure.live svg, figure.live [role=group]')]"
        ".map(s => s.getAttribute('aria-label'))"
    )
    assert all(labels)
    assert all(len(label) > 20 for label in labels)


@pytest.mark.parametrize("name", NUMBERED)
def test_exercises_have_solutions_that_open(name: str, visit: Callable[..., Visit]) -> None:
    seen = visit(name)
    exercises = seen.js("[...document.querySelectorAll('#exercises > p > strong')].length")
    summaries = seen.js("[...document.querySelectorAll('#exercises summary')].map(s => s.innerText.trim())")
    assert exercises >= 2
    assert summaries == ["Solution"] * exercises
    seen.page.locator("#exercises summary").first.click()
    assert seen.page.locator("#exercises details[open]").count() == 1


@pytest.mark.parametrize("name", NUMBERED)
def test_checks_of_a_section_are_one_line_that_opens(name: str, visit: Callable[..., Visit]) -> None:
    seen = visit(name)
    lines = seen.page.locator("article details.checks")
    assert lines.count() >= 2
    assert seen.js(
        "[...document.querySelectorAll('section')].every(s => s.querySelectorAll(':scope > .checks').length < 2)"
    )
    assert seen.js("[...document.querySelectorAll('article p.check')].every(line => line.closest('details') !== null)")
    first = lines.first
    assert not first.locator("p.check").first.is_visible()
    first.locator("summary").click()
    assert first.locator("p.check").first.is_visible()
    assert int(first.locator("summary").inner_text().split()[0]) == first.locator("p.check").count()


def test_equations_lead_to_the_source_of_their_functions(visit: Callable[..., Visit]) -> None:
    seen = visit("paper/2-binary-weights")
    seen.page.locator("#eq-6 a", has_text="source").first.click()
    seen.page.wait_for_load_state("load")
    assert seen.page.url.endswith("/_modules/binnet_kernels/binarize.html#weight_alpha")
    assert "def weight_alpha" in seen.page.locator("#weight_alpha").text_content()


@pytest.mark.parametrize(
    ("word", "chapter"),
    [
        ("popcount", 3),
        ("K", 4),
        ("xnor", 3),
        ("alpha", 2),
        ("α", 2),
        ("beta", 4),
        ("straight-through", 5),
        ("STE", 5),
        ("sign", 2),
        ("batch normalisation", 5),
        ("binary gradient", 8),
        ("tail bits", 3),
        ("k bits", 8),
        ("pooling", 5),
    ],
)
def test_search_finds_the_chapter_first(word: str, chapter: int, site: Path, visit: Callable[..., Visit]) -> None:
    seen = visit("index")
    seen.page.goto((site / "search.html").as_uri() + f"?q={word}")
    first = seen.page.locator("#search-results li a").first
    first.wait_for()  # results come one after the other, the best first
    assert f"paper/{chapter}-" in first.get_attribute("href")


def test_search_finds_functions_by_their_names(site: Path, visit: Callable[..., Visit]) -> None:
    seen = visit("index")
    seen.page.goto((site / "search.html").as_uri() + "?q=scale_map")
    first = seen.page.locator("#search-results li a").first
    first.wait_for()
    assert first.get_attribute("href").endswith("scale_map")


def test_the_questions_lead_to_their_answers(visit: Callable[..., Visit]) -> None:
    seen = visit("index")
    for target in ("xnor-and-popcount", "where-is-k"):
        link = seen.page.locator(f"article a[href$='#{target}']").first
        assert link.is_visible()


WITH_WIDGETS = ["index", *(name for name in NUMBERED if "live.widget(" in (DOCS / f"{name}.md").read_text("utf-8"))]
# Contrast ratio (WCAG 2.2) of the text of an element and what lies behind it.
_CONTRAST = """
(selector) => {
  const behind = (node) => {
    const colour = getComputedStyle(node).backgroundColor;
    return /, 0\\)$/.test(colour) || colour === "transparent" ? behind(node.parentElement) : colour;
  };
  const bright = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const node = document.querySelector(selector);
  const [low, high] = [bright(getComputedStyle(node).color), bright(behind(node))].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
"""


@pytest.mark.parametrize("name", WITH_WIDGETS)
def test_widgets_are_there(name: str, visit: Callable[..., Visit]) -> None:
    seen = visit(name)
    stages = seen.page.locator("figure.widget .stage").all_inner_texts()
    assert stages
    assert all(len(stage) > 20 for stage in stages)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_widgets_can_be_read(scheme: str, visit: Callable[..., Visit]) -> None:
    seen = visit("index", scheme=scheme)
    for part in (".cell.neg", ".cell.pos", ".cell.zero", ".name", ".note", ".part", ".result", ".good", "figcaption"):
        assert seen.page.evaluate(_CONTRAST, f".widget {part}") >= 4.5, part
    seen = visit("paper/3-dot-products-of-bits", scheme=scheme)
    for part in (".cell.tail", "li.bad", "li.good", ".slider span"):
        assert seen.page.evaluate(_CONTRAST, f".widget {part}") >= 4.5, part


def test_cards_lead_to_the_chapters_and_say_how_long_they_take(visit: Callable[..., Visit]) -> None:
    seen = visit("index")
    links = seen.page.locator(".chapters a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert sorted(link.removesuffix(".html") for link in links) == NUMBERED
    numbers = [link.removeprefix("paper/")[0] for link in links]
    assert numbers == sorted(numbers)
    pictures = seen.page.locator(".chapters a > svg[aria-hidden=true]").evaluate_all(
        "all => all.map(p => [p.getBoundingClientRect().height, p.getBBox().height])"
    )
    assert len(pictures) == len(NUMBERED)
    assert all(height > 30 and drawn > 15 for height, drawn in pictures)
    times = [int(text.removesuffix(" min to read")) for text in seen.page.locator(".chapters small").all_inner_texts()]
    assert all(1 <= minutes <= 60 for minutes in times)
