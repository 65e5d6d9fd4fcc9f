"""HTML below a cell: of the pages, and of notebooks, which get the style with the first piece."""

from __future__ import annotations

from importlib import resources

from IPython.display import display

from binnet.live import widgets


def put(markup: str) -> None:
    """Put HTML on the page, below the cell."""
    display({"text/html": _style() + markup}, raw=True)


def widget(name: str) -> None:
    """Put a figure on the page that readers operate: one of those in :mod:`binnet.live.widgets`."""
    put(widgets.markup(name))


_styled = False


def _style() -> str:
    """The rules for all that is put on a page, once for each kernel."""
    global _styled
    if _styled:
        return ""
    _styled = True
    rules = resources.files("binnet.live").joinpath("live.css").read_text("utf-8")
    return f"<style>{rules}</style>"
