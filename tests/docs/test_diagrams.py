"""Diagrams of boxes and arrows: well-formed, within their frame, the same boxes in both forms, readable on a phone."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from live_parts import part

NAMES = ["block-orders", "xnor-convolution"]
PAGE = '<!doctype html><meta charset="utf-8"><title>d</title><style>{}</style><body style="margin: 0 24px">{}</body>'


@pytest.fixture
def markup(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The HTML that a diagram puts on the page."""
    found: list[str] = []
    monkeypatch.setattr(part("diagrams"), "put", found.append)

    def of(name: str) -> str:
        part("flows").diagram(name)
        return found.pop()

    return of


def rectangles(drawing: ElementTree.Element) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of the boxes."""
    sides = [[float(box.attrib[key]) for key in ("x", "y", "width", "height")] for box in drawing.iter("rect")]
    return [(x, y, x + width, y + height) for x, y, width, height in sides]


@pytest.mark.parametrize("name", NAMES)
def test_boxes_stay_apart_and_arrows_join_them(name: str, markup: Callable[[str], str]) -> None:
    drawings = list(ElementTree.fromstring(markup(name)).iter("svg"))
    assert [drawing.attrib["class"] for drawing in drawings] == ["wide", "narrow"]
    diagram = part("flows")._DIAGRAMS[name]
    for drawing in drawings:
        boxes = rectangles(drawing)
        assert len(boxes) == len(diagram.boxes)
        left, top, width, height = (float(side) for side in drawing.attrib["viewBox"].split())
        for a, b, c, d in boxes:
            assert left <= a < c <= left + width
            assert top <= b < d <= top + height
        pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
        assert all(a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1] for a, b in pairs)
        flows = [path.attrib["d"] for path in drawing.iter("path") if path.attrib["class"].startswith("flow")]
        assert len(flows) == len(diagram.arrows)
        places = list(diagram.boxes)
        for path, arrow in zip(flows, diagram.arrows, strict=True):
            x0, y0, *_, x1, y1 = (float(number) for number in re.findall(r"-?[\d.]+", path))
            for x, y, box in ((x0, y0, boxes[places.index(arrow.start)]), (x1, y1, boxes[places.index(arrow.end)])):
                assert box[0] - 9 < x < box[2] + 9
                assert box[1] - 9 < y < box[3] + 9
    texts = [[text.text for text in drawing.iter("text")] for drawing in drawings]
    assert texts[0] == texts[1]
    assert all(len(drawing.attrib["aria-label"]) > 100 for drawing in drawings)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [400, 1200])
def test_text_is_within_its_box_and_large_enough(
    name: str, width: int, markup: Callable[[str], str], browser: Any, tmp_path: Path
) -> None:
    rules = (Path(part("diagrams").__file__).parent / "live.css").read_text("utf-8")
    file = tmp_path / "diagram.html"
    file.write_text(PAGE.format(rules, markup(name)), "utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = page.locator("svg:visible")
    assert shown.get_attribute("class") == ("narrow" if width == 400 else "wide")
    boxes = shown.locator("rect").evaluate_all("all => all.map((box) => box.getBoundingClientRect().toJSON())")
    inside = shown.locator("text.name, text.quiet").evaluate_all(
        "all => all.map((text) => text.getBoundingClientRect().toJSON())"
    )
    for text in inside:
        assert any(
            box["left"] <= text["left"] and text["right"] <= box["right"] and box["top"] <= text["top"] for box in boxes
        ), text
    heights = shown.locator("text").evaluate_all("all => all.map((text) => text.getBoundingClientRect().height)")
    assert min(heights) >= 11  # of lines; their letters are a little smaller
    context.close()


def test_arrows_need_boxes_and_go_forward() -> None:
    diagrams = part("diagrams")
    boxes = {"a": diagrams.Box("a", 0, 0), "b": diagrams.Box("b", 1, 0)}
    for pair, sentence in ((("a", "c"), "needs two boxes of a, b, got 'c'"), (("b", "a"), "later step than 'b'")):
        with pytest.raises(ValueError, match=sentence):
            diagrams.Diagram(boxes, [diagrams.Arrow(*pair)], {}, "", "")


def test_text_of_boxes_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    diagrams = part("diagrams")
    found: list[str] = []
    monkeypatch.setattr(diagrams, "put", found.append)
    diagrams.show(diagrams.Diagram({"a": diagrams.Box("1 < 2 & 3", 0, 0)}, [], {}, "", 'of "numbers"'))
    drawings = list(ElementTree.fromstring(found[0]).iter("svg"))
    assert [text.text for drawing in drawings for text in drawing.iter("text")] == ["1 < 2 & 3"] * 2
    assert {drawing.attrib["aria-label"] for drawing in drawings} == {'of "numbers"'}
