"""The example in the README is run as it stands."""

import json
import re
from pathlib import Path

import pytest

from binnet.cli import main

README = Path(__file__).parent.parent / "README.md"


def test_example_trains_and_packs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.splitlines()) <= 28
    exec(compile(code, str(README), "exec"), {})
    word, accuracy = capsys.readouterr().out.split()
    assert word == "accuracy"
    assert float(accuracy) > 0.9
    assert (tmp_path / "digits.h5").stat().st_size < 60_000
    assert main(["evaluate", "digits.h5", "--dataset", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] == pytest.approx(float(accuracy), abs=1e-6)
