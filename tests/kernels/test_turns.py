"""One process makes a file, the others wait for it; whatever goes wrong, nobody waits for ever."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from binnet_kernels.simd import turns
from binnet_kernels.simd.turns import turn
from binnet_system import locks

pytestmark = pytest.mark.skipif(not locks.available(), reason="there are no file locks")

HOLDER = """
import sys, time
from pathlib import Path
from binnet_kernels.simd.turns import turn
with turn(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

MAKER = """
import sys, time
from pathlib import Path
from binnet_kernels.simd.turns import turn
path = Path(sys.argv[1])
with turn(path):
    if not path.exists():
        time.sleep(0.5)
        path.with_suffix(".part").write_text("made")
        path.with_suffix(".part").rename(path)
        print("made")
"""


@pytest.fixture
def path(tmp_path):
    """The file that is to be made; its folder does not exist yet."""
    return tmp_path / "folder" / "kernel.bin"


@pytest.fixture
def python():
    """Start Python code with a path as its argument."""
    processes = []

    def start(code, path):
        environment = {**os.environ, "PYTHONPATH": str(Path(turns.__file__).parents[2])}
        command = [sys.executable, "-c", code, path]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def enter_in_thread():
    """Take a turn in a thread; gives an event that is set inside of it. The threads have ended when the test ends."""
    threads = []

    def start(path):
        entered = threading.Event()

        def enter():
            with turn(path):
                entered.set()

        threads.append(threading.Thread(target=enter, daemon=True))
        threads[-1].start()
        return entered

    yield start
    for thread in threads:
        thread.join(10)


def test_one_of_four_processes_makes_it(python, path):
    makers = [python(MAKER, path) for _ in range(4)]
    assert sorted(maker.communicate(timeout=60)[0] for maker in makers) == ["", "", "", "made\n"]
    assert list(path.parent.iterdir()) == [path]


def test_a_holder_that_is_killed(python, path, enter_in_thread):
    holder = python(HOLDER, path)
    assert holder.stdout.readline() == "held\n"
    entered = enter_in_thread(path)
    assert not entered.wait(0.2)
    holder.kill()
    assert entered.wait(10)


def test_those_who_wait_go_on_when_the_file_is_there(python, path, enter_in_thread):
    holder = python(HOLDER, path)
    assert holder.stdout.readline() == "held\n"
    entered = enter_in_thread(path)
    path.touch()
    assert entered.wait(10)
    assert holder.poll() is None


def test_nobody_waits_for_ever(python, path, monkeypatch):
    monkeypatch.setattr(turns, "_LONGEST", 0.1)
    holder = python(HOLDER, path)
    assert holder.stdout.readline() == "held\n"
    with turn(path):
        assert holder.poll() is None


def test_a_child_does_not_keep_the_lock(path, enter_in_thread):
    with turn(path):
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
    try:
        # The file was unlinked; one that was opened before is still to be had.
        assert enter_in_thread(path).wait(10)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_block_gives_the_turn_away(path, error, enter_in_thread):
    with pytest.raises(error), turn(path):
        raise error
    assert list(path.parent.iterdir()) == []
    assert enter_in_thread(path).wait(10)


def test_one_file_needs_another(path):
    with turn(path), turn(path.with_name("helper.bin")):
        assert sorted(file.name for file in path.parent.iterdir()) == ["helper.lock", "kernel.lock"]
    assert list(path.parent.iterdir()) == []


def test_a_file_that_exists_takes_no_lock(path):
    path.parent.mkdir()
    path.touch()
    with turn(path):
        assert list(path.parent.iterdir()) == [path]


def test_without_locks(path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "msvcrt", None)
    with turn(path):
        assert not path.parent.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_that_refuses_locks(path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, "no locks")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with turn(path):
        pass


@pytest.mark.parametrize("function", ["mkdir", "open", "exists"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_folder_that_takes_no_file(path, monkeypatch, function, number):
    def refuse(*_, **__):
        raise OSError(number, "no")

    monkeypatch.setattr(Path, function, refuse)
    with turn(path):
        pass
