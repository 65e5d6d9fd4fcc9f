"""Write docs/benchmarks.md from what ``binnet bench --json`` has measured; the page is never edited by hand.

    python docs/make_benchmarks.py layers.json figure4.json network.json training.json cold.json

Needs binnet to be installed. Sections come in a fixed order, whatever the order of the files; ``docs/figure4.png`` is
shown where it exists. What stands between ``<!-- by hand -->`` and ``<!-- end -->`` in the page stays as it is: the
comparison with other libraries, which binnet cannot measure by itself.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from binnet.lab.bench.report import Report, load

DOCS = Path(__file__).resolve().parent
TITLES = {
    "layers": "Layers: where the time goes",
    "figure4": "Figure 4 of the paper, measured",
    "network": "Whole networks",
    "training": "A training step",
    "cold": "Starting up",
}
BY_HAND = re.compile(r"<!-- by hand -->\n.*?<!-- end -->\n", re.DOTALL)
HEAD = """# Benchmarks

Written by `docs/make_benchmarks.py` from the files of `binnet bench --json`; only the last section but one is by hand.
[ADR 0012](adr/0012-measuring.md) says how the clock is read and what each part of a layer is.

Times are medians on one machine and compare only within one section: other CPUs, and other programs running beside,
change them by factors. Every ratio says what it is against. The two that matter are far apart: **× plain** is against
float loops without vectors on one thread, the kind of baseline that the paper's 58 refers to, and much of it is due to
vectors, which speed up real numbers as well; **× float32** is against binnet's own vectorised float32 convolution on
the same threads, and is what a binary layer gains in practice.
"""


def page(reports: Sequence[tuple[Path, Report]], figure: bool, by_hand: str) -> str:
    """The whole page, in Markdown, with the part that is written by hand."""
    order = list(TITLES)
    parts = [HEAD]
    for _, report in sorted(reports, key=lambda pair: (order.index(pair[1].what), pair[1].command)):
        picture = "![Figure 4, measured](figure4.png)\n\n" if figure and report.what == "figure4" else ""
        parts.append(f"## {_title(report)}\n\n{picture}{report.markdown()}")
    return "\n".join([*parts, *filter(None, (by_hand,)), _repeat(reports)])


def _title(report: Report) -> str:
    target = f", {report.settings['target']}" if "target" in report.settings else ""
    target += ", classifier in one bit" if report.settings.get("classifier") == "one-bit" else ""
    threads = report.machine["threads"]
    return f"{TITLES[report.what]}{target}, {threads} thread{'' if threads == 1 else 's'}"


def _repeat(reports: Sequence[tuple[Path, Report]]) -> str:
    """The commands that make this page again."""
    lines = []
    for path, report in reports:
        plot = " --plot docs/figure4.png" if report.what == "figure4" else ""
        lines.append(f"{report.command} --json {shlex.quote(path.name)}{plot}")
    lines.append(f"python docs/make_benchmarks.py {shlex.join(path.name for path, _ in reports)}")
    setup = 'python -m pip install ".[plot]"'
    return "\n".join(["## Repeat it", "", "On a machine that does nothing else:", "", "```", setup, *lines, "```", ""])


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page; 1, and one sentence, when a file is not one of ours."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="JSON", help="from binnet bench ... --json JSON")
    parser.add_argument("--out", type=Path, default=DOCS / "benchmarks.md", metavar="FILE", help="page to write")
    arguments = parser.parse_args(argv)
    try:
        reports = [(path, load(path)) for path in arguments.files]
        kept = BY_HAND.search(arguments.out.read_text("utf-8")) if arguments.out.is_file() else None
        new = page(reports, (DOCS / "figure4.png").is_file(), kept[0] if kept else "")
        arguments.out.write_text(new, "utf-8")
    except (ValueError, OSError) as error:
        print(f"make_benchmarks: error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {len(reports)} measurements")
    return 0


if __name__ == "__main__":
    sys.exit(main())
