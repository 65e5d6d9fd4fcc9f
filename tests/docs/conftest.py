"""Fixture of the built site; tests are skipped when it has not been built."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def site(root: Path) -> Path:
    """The folder of the built site."""
    folder = root / "docs" / "_build" / "html"
    if not (folder / "index.html").exists():
        pytest.skip("the site is not built: python docs/build.py")
    return folder
