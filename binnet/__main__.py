"""``python -m binnet`` is ``binnet``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line, and end in one line on a Ctrl-C while it is still being loaded."""
    try:
        from .cli import main as run
    except KeyboardInterrupt:
        print("binnet: stopped", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
