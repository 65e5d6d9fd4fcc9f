"""Write docs/benchmarks.md from the reports of ``binnet bench --json``; the page is not edited by hand.

    python docs/make_benchmarks.py layers.json figure4.json network.json training.json cold.json

The script needs an installed binnet. The order of the sections does not depend on the order of the files;
``docs/figure4.png`` is shown if it exists. The text between ``<!-- by hand -->`` and ``<!-- end -->`` is kept: that is
what binnet cannot measure, the comparison with other libraries and the code for other processors.
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

`docs/make_benchmarks.py` writes this page from reports of `binnet bench`; two sections before the last are by hand.
[ADR 0012](adr/0012-measuring.md) defines the measurements and the parts of a layer.

Times are medians on one machine and comparable only within one section: other CPUs, and other programs on the same
machine, change them by factors. Every ratio names its baseline. The two important ones differ widely: **× plain**
compares with float loops without vectors on one thread, the kind of baseline that the paper's 58 refers to, and is
largely due to vectors, which speed up real numbers as well; **× float32** compares with binnet's own vectorised float32
convolution on the same threads, and is the practical gain of a binary layer.
"""


def page(reports: Sequence[tuple[Path, Report]], figure: bool, by_hand: str) -> str:
    """The complete page as Markdown, with the part that is written by hand."""
    order = list(TITLES)
    parts = [HEAD]
    for _, report in sorted(reports, key=lambda pair: (order.index(pair[1].what), pair[1].command)):
        picture = "![Figure 4, measured](figure4.png)\n\n" if figure and report.what == "figure4" else ""
        parts.append(f"## {_title(report)}\n\n{picture}{report.markdown()}")
    return "\n".join([*parts, *filter(None, (by_hand,)), _repeat(reports)])


def _title(report: Report) -> str:
    target = f", {report.settings['target']}" if "target" in report.settings else ""
    target += ", classifier in one bit" if report.settings.get("classifier") == "one-bit" else ""
    target += ", real layers in int8" if report.settings.get("real") == "int8" else ""
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
