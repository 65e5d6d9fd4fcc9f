"""The built site and a browser, or a reason why they are not there."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def site(root: Path) -> Path:
    """The folder of the built site."""
    folder = root / "docs" / "_build" / "html"
    if not (folder / "index.html").exists():
        pytest.skip("the site is not built: python docs/build.py")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium that is installed on this machine, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install '.[browser]'")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no browser is installed: apt-get install chromium")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()
