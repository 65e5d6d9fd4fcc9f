"""Command lines: pasted into the shell of each system, and read with the paths of each."""

import subprocess

import pytest

from binnet_system import commands

PLAIN = r"C:\runs\digits-2"
WORDS = [
    ["binnet", "train", "--resume", PLAIN],
    ["a b", "c&d", "e'f", 'say "hi"', "end\\", "two words\\", ""],
    ["träumerei", "100%", "x^2", "(1)", r"\\server\share"],
]


def read_by_windows(line):
    """What a program of Windows takes a line for: backslashes double before a quote, and mean themselves elsewhere."""
    words, word, quoted, begun, i = [], "", False, False, 0
    while i <= len(line):
        rest = line[i:]
        slashes = len(rest) - len(rest.lstrip("\\"))
        if slashes and rest[slashes : slashes + 1] == '"':
            word, begun = word + "\\" * (slashes // 2), True
            if slashes % 2:
                word += '"'
                i += 1
            i += slashes
        elif rest[:1] == '"':
            quoted, begun, i = not quoted, True, i + 1
        elif not rest or (rest[0] == " " and not quoted):
            words, word, begun, i = ([*words, word] if begun else words), "", False, i + 1
        else:
            word, begun, i = word + rest[0], True, i + 1
    return words


@pytest.mark.parametrize("words", WORDS)
def test_a_line_has_its_words(words, monkeypatch):
    monkeypatch.setattr(commands, "WINDOWS", False)
    assert commands.words(commands.line(words)) == words
    monkeypatch.setattr(commands, "WINDOWS", True)
    assert read_by_windows(commands.line(words)) == words
    assert read_by_windows(subprocess.list2cmdline(words)) == words  # so the reading is right


def test_cmd_gets_no_single_quotes(monkeypatch):
    monkeypatch.setattr(commands, "WINDOWS", True)
    assert commands.line(["--resume", PLAIN]) == rf"--resume {PLAIN}"
    assert commands.line(["--resume", r"C:\my runs\1"]) == r'--resume "C:\my runs\1"'


def test_a_given_command_keeps_its_backslashes(monkeypatch):
    monkeypatch.setattr(commands, "WINDOWS", True)
    monkeypatch.setattr(commands.shutil, "which", lambda name: name if name == r"C:\My tools\gcc.exe" else None)
    assert commands.words(r"C:\tools\gcc.exe -O2") == [r"C:\tools\gcc.exe", "-O2"]
    assert commands.words(r'"C:\My tools\cc.exe" -O2') == [r"C:\My tools\cc.exe", "-O2"]
    assert commands.words(r"C:\My tools\gcc.exe") == [r"C:\My tools\gcc.exe"]
    with pytest.raises(ValueError, match="quot"):
        commands.words('"gcc')


def test_programs_have_their_ending(monkeypatch):
    monkeypatch.setattr(commands, "WINDOWS", False)
    assert commands.program("program") == "program"
    monkeypatch.setattr(commands, "WINDOWS", True)
    assert commands.program("program") == "program.exe"
