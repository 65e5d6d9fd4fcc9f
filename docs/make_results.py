"""Fill in the tables of docs/results.md from the records of finished runs in docs/results/.

    python docs/make_results.py                         write the tables and pictures again
    python docs/make_results.py --take RUNS SERIES      first copy what ``binnet reproduce --out RUNS`` has finished

A record consists of three small files of a run: ``config.toml``, ``metrics.csv`` and ``result.json``, in
``docs/results/SERIES/<name of the row>/``, or for several seeds in ``<name of the row>-seed1/`` and so on, which take
precedence. The costs of a step of each row are in ``<table>-steps.json``. In the
page, the text between ``<!-- table1 digits -->`` and ``<!-- end -->`` is replaced by the table of that series; the
text around the tables is written by hand. The name of a network after the series selects its rows:
``<!-- table1 digits lenet5 -->``.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

from binnet.lab import reproduce

DOCS = Path(__file__).resolve().parent
RECORDS = DOCS / "results"
FILES = ("config.toml", "metrics.csv", "result.json", "stages.toml")  # the last one of trainings in stages only
MARK = re.compile(rf"(<!-- ({'|'.join(reproduce.NAMES)}) ([\w-]+)(?: (\w+))? -->\n).*?(<!-- end -->)", re.DOTALL)


def take(runs: Path, series: str) -> None:
    """Copy the records of all finished runs of a folder, and the costs of their steps."""
    for result in sorted(runs.glob("*/result.json")):
        target = RECORDS / series / result.parent.name
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if (result.parent / name).is_file():
                shutil.copyfile(result.parent / name, target / name)
    for steps in sorted(runs.glob("*-steps.json")):
        shutil.copyfile(steps, RECORDS / series / steps.name)


def filled(page: str, pictures: bool) -> str:
    """The page with its tables generated from the records."""

    def table(match: re.Match[str]) -> str:
        begin, name, series, model, end = match.groups()
        known = reproduce.table(name)
        if model is not None and model not in {str(row.options["model"]) for row in known.rows}:
            known = known.with_model(model)
        rows = [row.name for row in known.rows if model in (None, row.options["model"])]
        outcomes = reproduce.recorded(known.only(rows), RECORDS / series)
        picture = f"results/{'-'.join(filter(None, (name, series, model)))}.png"
        if pictures:
            reproduce.draw(outcomes, DOCS / picture)
        return f"{begin}\n{reproduce.markdown(known, outcomes, picture=picture)}\n{end}"

    return MARK.sub(table, page)


def main() -> int:
    """Write the page; with ``--check`` only report whether it is up to date."""
    parser = argparse.ArgumentParser(description="Fill in the tables of docs/results.md from docs/results/.")
    parser.add_argument("--take", nargs=2, metavar=("RUNS", "SERIES"), help="copy finished runs there first")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something would change")
    arguments = parser.parse_args()
    if arguments.take:
        take(Path(arguments.take[0]), arguments.take[1])
    path = DOCS / "results.md"
    page = path.read_text(encoding="utf-8")
    new = filled(page, pictures=not arguments.check)
    if not arguments.check:
        path.write_text(new, encoding="utf-8")
    elif new != page:
        print(f"{path} is not what docs/results/ says: run python docs/make_results.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
