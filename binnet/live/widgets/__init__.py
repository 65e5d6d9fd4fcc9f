"""Widgets of the pages: figures that a reader operates, each one Python file with its values and one JavaScript file.

A widget is one piece of HTML with its style, script and values inside, so that it works in a page, offline, and as the
output of a cell in a notebook. `kit.js` and `kit.css` are what all of them share.
"""

from __future__ import annotations

import html
import json
from importlib import import_module
from pathlib import Path

_FOLDER = Path(__file__).parent
_FRAME = """<figure class="widget" id="widget-{name}" role="group" aria-label="{label}"><style>{style}</style>
<div class="stage"><noscript>This figure needs JavaScript.</noscript></div><figcaption>{caption}</figcaption>
<script>(() => {{
const ROOT = document.currentScript?.closest(".widget") ?? document.getElementById("widget-{name}");
const VALUES = {values};
{script}
}})();</script></figure>"""


def markup(name: str) -> str:
    """HTML of the widget `name`: its frame, its values from Python, and its script.

    The module `widgets.<name>` has `LABEL` (read aloud), `CAPTION` (HTML, below the figure) and `values()`, what Python
    gives to `<name>.js` as `VALUES`; it must be JSON.
    """
    module = import_module(f"{__name__}.{name}")
    return _FRAME.format(
        name=name,
        label=html.escape(module.LABEL, quote=True),
        caption=module.CAPTION,
        style=_text("kit.css"),
        values=json.dumps(module.values(), allow_nan=False).replace("<", "\\u003c"),
        script=_text("kit.js") + _text(f"{name}.js"),
    )


def _text(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")
