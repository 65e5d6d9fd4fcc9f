"""Build the documentation site, run its pages, check its links and doctests: `python docs/build.py`.

The site is written to docs/_build/html; open index.html there. Nothing is fetched. Any warning, an error in a cell of a
page, a link that leads nowhere or a wrong doctest makes the exit code 1.

    python docs/build.py               everything, from scratch
    python docs/build.py --again       only pages whose text has changed, to write them
    python docs/build.py --no-run      without running the cells, to look at the layout
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
BUILT = DOCS / "_build"
HTML = BUILT / "html"


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the documentation site into docs/_build/html.")
    parser.add_argument("--again", action="store_true", help="only pages whose text has changed")
    parser.add_argument("--no-run", action="store_true", help="do not run the cells of the pages")
    options = parser.parse_args()
    if not options.again:
        shutil.rmtree(BUILT, ignore_errors=True)
    start = time.monotonic()
    settings = ["-D", "nb_execution_mode=off", "-D", "suppress_warnings=myst-nb.lexer"] if options.no_run else []
    steps = {
        "pages": [*_sphinx("html", HTML), *settings],
        "links": [sys.executable, str(DOCS / "_ext" / "links.py"), str(HTML)],
        "doctests": [*_sphinx("doctest", BUILT / "doctest"), *settings],
    }
    for name, command in steps.items():
        code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
        print(f"{name}: {'well' if code == 0 else 'FAILED'}, after {time.monotonic() - start:.0f} s", flush=True)
        if code != 0:
            return 1
    print(f"the site is in {HTML}")
    return 0


def _sphinx(builder: str, target: Path) -> list[str]:
    command = ["-m", "sphinx", "--builder", builder, "--fail-on-warning", "--keep-going", "-d", str(BUILT / "doctrees")]
    return [sys.executable, *command, str(DOCS), str(target)]


if __name__ == "__main__":
    sys.exit(main())
