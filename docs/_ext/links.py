"""Check a built site: every link within it leads somewhere, and no page loads anything from elsewhere.

python docs/_ext/links.py docs/_build/html

Links to other sites are not followed, so that the check needs no network.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("embed", "src")}


class Page(HTMLParser):
    """The names, links and loaded files of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.names.add(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value)
            elif (tag, name) in _LOADED:
                self.loaded.append(value)

    handle_startendtag = handle_starttag


def problems(site: Path) -> Iterator[str]:
    """A sentence for each link that leads nowhere and each file that would come over the network."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"there are no pages in {site}"
    for path, page in pages.items():
        where = path.relative_to(site)
        for link in page.loaded:
            parts = urlsplit(link)
            if parts.netloc:
                yield f"{where} loads {link}"
            elif parts.scheme != "data" and not _target(path, parts.path).exists():
                yield f"{where} loads {link}, which is not there"
        yield from (f"{where}: {sentence}" for sentence in _dead(path, page, pages))
    for sheet in sorted(site.rglob("*.css")):
        for url in re.findall(r"(?:url\(|@import)\s*['\"]?(https?:)?//[^'\")]+", sheet.read_text("utf-8")):
            yield f"{sheet.relative_to(site)} loads {url}"


def _dead(path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    for link in sorted(set(page.links)):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or link == "#":
            continue
        target = _target(path, parts.path)
        if not target.exists():
            yield f"the link {link} leads nowhere"
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].names:
            yield f"there is no {parts.fragment} on the page that {link} leads to"


def _target(path: Path, link: str) -> Path:
    target = (path.parent / unquote(link)).resolve() if link else path
    return target / "index.html" if target.is_dir() else target


def main() -> int:
    found = list(problems(Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "all links lead somewhere, and nothing comes over the network")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
