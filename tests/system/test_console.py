"""Whatever code page the output has, text is shown, or escaped where the code page lacks a letter."""

import io
import os
import subprocess
import sys

import pytest

from binnet.console import Console

NAME = "Maus 🐁 猫 é \u2026 ─"


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1252", "cp932", "utf-8"])
def test_lines_and_tables(monkeypatch, encoding):
    output = io.TextIOWrapper(io.BytesIO(), encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", output)
    console = Console()
    console.say(f"class {NAME}")
    console.table(["class", "n"], [[NAME, "1"]], ["total", "1"])
    with console.progress(1) as advance:
        advance(1, NAME)
    output.flush()
    text = output.buffer.getvalue().decode(encoding)
    assert text.count("Maus") == 2
    assert ("猫" in text) == (encoding in ("cp932", "utf-8"))
    assert encoding == "utf-8" or "\\U0001f401" in text


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1252"])
@pytest.mark.parametrize("words", [["summary", "quick-tiny20"], ["predict", "quick-tiny20", NAME], ["train", "--help"]])
def test_commands(tmp_path, encoding, words):
    environment = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "binnet", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    shown = (done.stdout + done.stderr).decode(encoding)
    assert done.returncode == (words[0] == "predict")
    assert "Traceback" not in shown
    assert "UnicodeEncodeError" not in shown
    assert len(shown) > 50
