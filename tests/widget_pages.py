"""A widget alone in a page of a browser, and what tests read from it and do to it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from live_parts import part

PAGE = '<!doctype html><meta charset="utf-8"><title>w</title><body data-theme="auto" style="margin: 0">{}</body>'


@pytest.fixture(scope="module")
def markup() -> Callable[[str], str]:
    """`widgets.markup`."""
    return part("widgets").markup  # type: ignore[no-any-return]


@pytest.fixture
def page_of(markup: Callable[[str], str], browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a widget alone in a page; at the end, fail on errors and on requests."""
    contexts, wrong = [], []

    def opened(name: str, width: int = 1200, scheme: str = "light", shell: str = PAGE) -> Any:
        file = tmp_path / f"{name}.html"
        file.write_text(shell.format(markup(name)), "utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url))
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def values_of(name: str) -> dict[str, Any]:
    """What Python gives to a widget."""
    return part(f"widgets.{name}").values()


def text(page: Any, name: str) -> str:
    return page.locator(f'[data-value="{name}"]').first.inner_text()


def value(page: Any, name: str) -> float:
    return float(text(page, name).replace("−", "-").replace("×", ""))


def cells(page: Any, row: str) -> list[str]:
    return page.locator(f'.row:has(.name:text-is("{row}")) .cell').all_inner_texts()


def drag(page: Any, name: str, right: float, down: float) -> None:
    """Drag the handle of this name by so many pixels."""
    box = page.locator(f'[role=slider][aria-label="{name}"]').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=3)
    page.mouse.up()


def handle_at(page: Any, name: str) -> float:
    return float(page.locator(f'[role=slider][aria-label="{name}"]').get_attribute("aria-valuenow"))
