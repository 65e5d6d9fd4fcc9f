"""A trace as one self-contained HTML page, which needs no network and no other file."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from binnet_datasets.files import replacing
from binnet_datasets.images.transforms import resize_to

from ... import __version__
from .answer import Answer
from .checks import Check
from .first_pixel import strongest
from .page_arrays import BUDGET, Part, arrays, part_of
from .picture import Picture
from .steps import Step, steps

_LARGEST_PICTURE = 256  # maximum longer side of the embedded image, in pixels, to keep the page small
# In the order of their dependencies: the page has one script element, in which each file uses earlier ones.
_SCRIPTS = ("data.js", "colour.js", "maps.js", "bits.js", "details.js", "views.js", "frame.js", "app.js")


def page(picture: Picture, budget: int = BUDGET, chapters: str | None = None) -> str:
    """The HTML text of the page.

    Parameters
    ----------
    picture
        The trace, from :func:`binnet.lab.trace.trace_image`.
    budget
        Maximum number of bytes of all arrays; base64 adds a third. When they do not fit, the page contains only the
        first filters and channels and says so. Its summary still covers all of them.
    chapters
        Address of the folder with the chapters of the documentation, to which the steps then have links: ``"."`` for a
        page beside them. None names the chapters without links.
    """
    t, part, all_steps = picture.trace, part_of(picture.trace, budget), steps(picture)
    values = {
        "title": escape(f"{t.layer.name} · binnet trace"),
        "style": _text("style.css"),
        "theme": _text("theme.js"),
        "picture": _png(picture),
        "image": escape(picture.image),
        "model": escape(picture.model),
        "layer": escape(t.layer.name),
        "facts": escape(facts(picture)),
        "notes": "".join(f"<p>{escape(note)}</p>" for note in (*picture.notes, *_omission_note(picture, part))),
        "rows": "\n".join(map(_row, all_steps)),
        "checks": "\n".join(map(_check, picture.checks)),
        "version": escape(__version__),
        "data": _json({**_meta(picture, all_steps, part, chapters), "arrays": arrays(t, part)}),
        "script": "\n".join(map(_text, _SCRIPTS)),
    }
    return Template(_text("page.html")).substitute(values)  # KeyError for a placeholder without a value


def write_page(picture: Picture, path: str | Path, chapters: str | None = None) -> int:
    """Write the page atomically and return its size in bytes; OSError when it cannot be written.

    Parameters
    ----------
    picture, chapters
        See :func:`page`.
    path
        The file.
    """
    text = page(picture, chapters=chapters).encode()
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(text)
    return len(text)


def embedded(picture: Picture, height: str = "52rem", budget: int = BUDGET, chapters: str | None = None) -> str:
    """HTML that embeds the page in another one, such as a notebook: ``IPython.display.HTML(embedded(picture))``.

    The result is an ``<iframe srcdoc>``, which separates the styles of the two pages and keeps the outer page one file.
    The frame takes the height of its content. Its colours follow the theme button of furo, or else the reader's system.
    The arrow keys step also where the outer page has the focus, while the frame lies across the middle of the window.
    To link a file instead, see :func:`write_page`.

    Parameters
    ----------
    picture, budget, chapters
        See :func:`page`; a relative address starts at the outer page.
    height
        Height of the frame as CSS, where the outer page does not let the inner one change it (a sandbox).
    """
    title = escape(f"binnet trace of {picture.trace.layer.name}")
    style = f"width: 100%; height: {height}; box-sizing: content-box; border: solid #8884; border-width: 1px 0"
    text = escape(page(picture, budget, chapters))
    return f'<iframe title="{title}" style="{style}" loading="lazy" srcdoc="{text}"></iframe>'


def facts(picture: Picture) -> str:
    """One line about the layer: shapes, window, stride, padding and n."""
    t = picture.trace
    (kh, kw), (sh, sw), (ph, pw) = t.layer.window.size, t.layer.window.stride, t.layer.window.padding
    sizes = [" × ".join(map(str, shape)) for shape in (t.x.shape, t.dots.shape)]
    border = f", padding {_pair(ph, pw)} with {t.layer.pad_value}" if ph or pw else ""
    return f"{sizes[0]} → {sizes[1]}, window {kh} × {kw}, stride {_pair(sh, sw)}{border}, n = {t.n:,}"


def _pair(vertical: int, horizontal: int) -> str:
    return str(vertical) if vertical == horizontal else f"{vertical} × {horizontal}"


def _meta(picture: Picture, all_steps: Sequence[Step], part: Part, chapters: str | None) -> dict[str, Any]:
    """The data of the page besides the arrays, as JSON values."""
    # The first selected filter must be one of those that the page contains.
    t, start = picture.trace, strongest(picture.trace, part.filters)
    w = t.layer.window
    window = dict(zip(("kh", "kw", "sh", "sw", "ph", "pw"), (*w.size, *w.stride, *w.padding), strict=True))
    return {
        "layer": t.layer.name,
        "before": list(picture.before),
        "image": picture.image,
        "imageText": f"{picture.image}, the image as the network sees it",
        "input": list(t.x.shape),
        "output": list(t.dots.shape),
        "window": window,
        "n": t.n,
        "words": t.words,
        "padValue": t.layer.pad_value,
        "useK": t.layer.use_k,
        "part": {"filters": part.filters, "channels": part.channels},
        "start": {"pixel": [start.row, start.col], "filter": start.filter},
        "steps": [_step_data(step, chapters) for step in all_steps],
        "answer": _answer_data(picture.answer),
    }


def _answer_data(answer: Answer | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    pairs = zip(answer.names, answer.probabilities, strict=True)
    return {"classes": [{"name": name, "probability": share} for name, share in pairs], "packed": answer.packed}


def _step_data(step: Step, chapters: str | None) -> dict[str, Any]:
    w = step.words
    words = {"key": w.key, "symbol": w.symbol, "title": w.title, "equation": w.equation}
    where = {"chapter": f"Chapter {w.chapter.title}", "address": w.chapter.address(chapters)}
    return {**words, **where, "formula": w.formula, "text": w.text, "shape": step.shape, "numbers": step.numbers}


def _omission_note(picture: Picture, part: Part) -> list[str]:
    """A note about filters and channels that the page does not contain, if there are any."""
    o, c = picture.trace.dots.shape[2], picture.trace.x.shape[2]
    counts = ((part.filters, o, "filters"), (part.channels, c, "channels"))
    found = [f"{count} of {total} {what}" for count, total, what in counts if count < total]
    if not found:
        return []
    return [f"To stay small the page contains the first {' and '.join(found)}; its numbers cover all of them."]


def _row(step: Step) -> str:
    numbers = "; ".join(f"{name} {value}" for name, value in step.numbers)
    cells = (step.words.equation, step.shape, numbers)
    head = escape(f"{step.words.symbol}: {step.words.title}")
    return f'<tr><th scope="row">{head}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _check(check: Check) -> str:
    mark, word = ("good", "✓") if check.passed else ("bad", "✗ failed:")
    exact = "exactly" if check.difference == 0 else f"within {check.difference:.1g} of the largest value"
    return f'<li><span class="{mark}">{word}</span> {escape(check.says)}, {exact}</li>'


def _png(picture: Picture) -> str:
    from PIL import Image

    (h, w, _), buffer = picture.pixels.shape, io.BytesIO()
    less = min(1.0, _LARGEST_PICTURE / max(h, w))
    pixels = resize_to(picture.pixels, (max(1, round(less * h)), max(1, round(less * w))))
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _json(value: Any) -> str:
    """JSON for a script element; a file name with ``</script>`` cannot end the element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _text(name: str) -> str:
    return (files(__package__) / "viewer" / name).read_text("utf-8")
