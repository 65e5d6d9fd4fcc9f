"""Signals, limits, scripts and forks, with and without what Linux has."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from binnet_system import machine, processes


def test_signals_that_there_are():
    assert processes.signals("SIGINT", "SIGNONE", "SIGTERM") == [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", ["own", signal.SIGTERM])
def test_kill(monkeypatch, number):
    if number != "own":
        monkeypatch.setattr(processes, "_KILL", number)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    processes.kill(process.pid)
    assert process.wait(30) != 0


def test_a_script_finds_this_package_whatever_is_left_out(tmp_path):
    script = tmp_path / "späte Datei.py"
    script.write_text("import sys, binnet_system; print(__name__, sys.argv[1:], sys.flags.isolated)", "utf-8")
    command = [*processes.python(str(script), "-I", "-S"), "one", "two"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "__main__ ['one', 'two'] 1\n"


SCRIPT = """
import os, sys, time
from binnet_system import processes
if {fork} is None:
    processes.fork = None
print(sys.stdin.readline().strip(), os.getpid(), flush=True)
processes.leave_parent()
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
os.dup2(null, 1)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
open(sys.argv[1] + ".done", "w").write(str(os.getpid()))
"""


@pytest.mark.parametrize("fork", ["own", None])
def test_a_process_says_its_line_and_goes_on_by_itself(tmp_path, monkeypatch, fork):
    if fork is None:
        monkeypatch.setattr(processes, "fork", None)
    script, go = tmp_path / "script.py", tmp_path / "go"
    script.write_text(SCRIPT.format(fork=repr(fork)), "utf-8")
    word, number = processes.first_line([*processes.python(str(script)), str(go)], b"token\n").split()
    go.touch()
    done = tmp_path / "go.done"
    end = time.monotonic() + 30
    while not (done.exists() and done.read_text("utf-8")) and time.monotonic() < end:
        time.sleep(0.01)
    assert word == b"token"
    assert (done.read_text("utf-8") == number.decode()) == (fork is None or processes.fork is None)


@pytest.mark.parametrize("fork", ["own", None])
def test_a_process_that_cannot_begin_says_nothing(tmp_path, monkeypatch, fork):
    if fork is None:
        monkeypatch.setattr(processes, "fork", None)
    assert processes.first_line([sys.executable, "-c", "raise SystemExit(3)"], b"") == b""


def test_options_of_a_process_apart(monkeypatch):
    monkeypatch.setattr(processes, "fork", None)
    monkeypatch.setattr(subprocess, "DETACHED_PROCESS", 8, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    assert processes.apart() == {"creationflags": 520}


def test_output_is_taken_where_nobody_can_tell(monkeypatch):
    monkeypatch.setattr(processes, "fork", None)
    assert processes.takes_output(2, 0.0)


def test_a_system_without_limits(monkeypatch):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(processes, "import_module", refuse)
    processes.limit(1, 1)


def test_a_system_that_takes_no_limit_of_memory(monkeypatch):
    taken = []

    class Resource:
        RLIMIT_AS, RLIMIT_CPU = 9, 0

        @staticmethod
        def setrlimit(number, limits):
            if number == 9:
                raise ValueError("current limit exceeds maximum limit")
            taken.append((number, limits))

    monkeypatch.setattr(processes, "import_module", lambda _: Resource)
    processes.limit(1 << 30, 60)
    assert taken == [(0, (60, 60))]


def test_a_system_without_affinity(monkeypatch):
    monkeypatch.setattr(machine, "_affinity", None)
    assert machine.cores() == set(range(os.cpu_count() or 1))


def test_a_system_without_users(monkeypatch, tmp_path):
    status = tmp_path.stat()
    assert machine.only_ours(status)
    monkeypatch.setattr(machine, "_getuid", lambda: status.st_uid + 1)
    assert not machine.only_ours(status)
    monkeypatch.setattr(machine, "_getuid", None)
    assert machine.only_ours(status)
    assert machine.user() == "user"


def test_a_system_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(machine, "NAME_SPACE", tmp_path / "none")
    monkeypatch.setattr(machine.platform, "processor", lambda: "a processor")
    assert machine.name_space() == ""
    if sys.platform != "darwin":
        assert machine.processor() == "a processor"


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="needs /proc")
def test_the_processor_of_linux(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: Some CPU @ 2 GHz\n", "utf-8")
    monkeypatch.setattr(machine, "CPUINFO", info)
    assert machine.processor() == "Some CPU @ 2 GHz"


def test_a_board_has_a_name_where_its_cores_have_none(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nCPU part : 0xd0b\n", "utf-8")
    (tmp_path / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "BOARD", tmp_path / "model")
    assert machine.processor() == "Raspberry Pi 5 Model B Rev 1.0"
