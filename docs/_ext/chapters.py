"""Cards of chapters: a picture, number and title, what the chapter answers, and how long it takes to read.

```{chapters}
paper/1-why-binary: What do one-bit numbers save?
```

The picture of `paper/1-why-binary` is `cards/1-why-binary.svg`, beside this file; the site's style gives its colours.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PICTURES = Path(__file__).parent / "cards"
WORDS = 200  # of prose, a minute
LINES = 30  # of code, a minute


def reading_minutes(text: str) -> int:
    """Minutes that a page takes, solutions of exercises left out; at least 1."""
    cells = re.findall(r"^```\{code-cell\}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = sum(len(cell.splitlines()) for cell in cells if not re.search(r":tags: \[(hide|remove)-", cell))
    prose = re.sub(r"^(```+).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    return max(1, round(len(prose.split()) / WORDS + lines / LINES))


class Chapters(SphinxDirective):
    """A card for each line `page: question` of the content."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        cards = []
        for line in self.content:
            page, _, question = line.partition(": ")
            path = Path(self.env.doc2path(page))
            self.env.note_dependency(str(path))
            text = path.read_text("utf-8")
            title = re.search(r"^# (.+)$", text, re.MULTILINE)
            if title is None or not question:
                raise self.error(f"expected a line `page: question` with a page that has a title, got {line!r}")
            picture = PICTURES / f"{path.stem}.svg"
            if not picture.exists():
                raise self.error(f"expected a picture of {page} in {picture}, which does not exist")
            self.env.note_dependency(str(picture))
            link = self.env.app.builder.get_relative_uri(self.env.docname, page)
            words = f"<strong>{html.escape(title[1])}</strong><span>{html.escape(question)}</span>"
            time = f"<small>{reading_minutes(text)} min to read</small>"
            cards.append(f'<li><a href="{link}">{picture.read_text("utf-8")}{words}{time}</a></li>')
        return [nodes.raw("", f'<ul class="chapters">{"".join(cards)}</ul>', format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("chapters", Chapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
