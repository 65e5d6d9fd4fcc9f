"""The built site, or a reason why it is not there."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def site(root: Path) -> Path:
    """The folder of the built site."""
    folder = root / "docs" / "_build" / "html"
    if not (folder / "index.html").exists():
        pytest.skip("the site is not built: python docs/build.py")
    return folder
