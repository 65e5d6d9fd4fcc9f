"""The guard seen from a connection, without MPI."""

import json
import os
import signal
import socket
import time

import pytest

from binnet.parallel import guard


class Connection:
    """A worker that says what a test wants."""

    def __init__(self, known, rank, token=None, pid=0):
        self.socket = socket.create_connection(("127.0.0.1", known["port"]), timeout=20)
        token = known["token"] if token is None else token
        self.say(token=token, rank=rank, host="here", place="elsewhere", pid=pid)

    def say(self, **message):
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def hear(self):
        """The next messages; [] when the guard has closed the connection."""
        return [json.loads(line) for line in self.socket.recv(4096).splitlines()]


@pytest.fixture
def started():
    """Start a guard for two workers, and connect both."""
    sockets = []

    def start(timeout=60.0, workers=(0, 1)):
        known = json.loads(guard.start(2, timeout))
        connections = [Connection(known, rank) for rank in workers]
        sockets.extend(connection.socket for connection in connections)
        for connection in connections:
            assert connection.hear()[0].keys() == {"welcome"}
        return known, *connections

    yield start
    for connection in sockets:
        connection.close()


def wait_for_end(known, seconds):
    """Wait until nothing listens at the guard's port any more."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", known["port"]), timeout=1).close()
        except OSError:
            return
        time.sleep(0.1)
    raise AssertionError("the guard is still there")


def test_it_ends_with_the_last_worker(started, capfd):
    known, one, other = started()
    one.say(done=True)
    other.say(done=True)
    wait_for_end(known, 3)
    assert capfd.readouterr().err == ""


def test_only_the_first_loss_is_reported_and_the_others_must_abort(started, capfd, tmp_path):
    known, one, other = started()
    one.say(run=str(tmp_path), command="CONTINUE")
    (tmp_path / "last.h5").touch()
    other.say(beat=7)
    other.socket.close()
    assert one.hear()[-1] == {"abort": True}
    one.socket.close()
    wait_for_end(known, 3)
    sentence = "binnet: error: worker 1 (of 2, on here) was lost after step 7; continue with: CONTINUE\n"
    assert capfd.readouterr().err == sentence
    assert (tmp_path / "log.txt").read_text().endswith(f"  {sentence}")


def test_a_worker_that_does_not_obey(started, capfd):
    """The guard ends all the same, so that the launcher is not held."""
    known, one, other = started()
    other.socket.close()
    wait_for_end(known, 8)
    assert capfd.readouterr().err.count("\n") == 1
    assert [{"abort": True}] == one.hear()[:1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_after_a_signal_is_no_loss(started, capfd, number):
    known, one, other = started()
    one.socket.sendall(bytes([number]))
    time.sleep(0.1)
    one.socket.close()
    other.socket.close()
    wait_for_end(known, 3)
    assert capfd.readouterr().err == ""


def test_silence(started, capfd):
    known, one, _ = started(timeout=1.0)
    for step in range(15):
        one.say(beat=step)
        time.sleep(0.1)
    assert {"abort": True} in one.hear()
    one.socket.close()
    wait_for_end(known, 6)
    assert capfd.readouterr().err == "binnet: error: worker 1 (of 2, on here) has not answered for 1 s\n"


def test_a_suspended_job_is_not_silent(started, capfd):
    """After Ctrl-Z all workers are silent, and then wake up one after the other."""
    known, one, other = started(timeout=2.0)
    time.sleep(3)
    one.say(beat=1)
    time.sleep(0.5)
    for connection in (one, other):
        connection.say(done=True)
    wait_for_end(known, 3)
    assert capfd.readouterr().err == ""


def test_no_worker_comes(capfd):
    wait_for_end(json.loads(guard.start(2)), 8)
    assert capfd.readouterr().err == ""


def test_a_loss_before_all_are_there_names_none(started, capfd):
    """It may be another one that was lost first."""
    known, one = started(workers=[0])
    one.socket.close()
    wait_for_end(known, 8)
    assert capfd.readouterr().err == "binnet: error: a worker (of 2) was lost\n"


def test_strangers_are_sent_away(started, capfd):
    known, one, other = started()
    stranger = Connection(known, 1, token="guessed")
    assert stranger.hear() == []
    with socket.create_connection(("127.0.0.1", known["port"]), timeout=20) as noise:
        noise.sendall(b"GET / HTTP/1.1\r\n\r\n\xff\n[1]\n")
    for connection in (one, other):
        connection.say(done=True)
    wait_for_end(known, 3)
    stranger.socket.close()
    assert capfd.readouterr().err == ""


def test_the_same_failure(started, capfd):
    known, one, other = started()
    for connection in (one, other):
        connection.say(failing="no space")
    for connection in (one, other):
        assert connection.hear() == [{"verdict": "together"}]
        connection.socket.close()
    wait_for_end(known, 3)
    assert capfd.readouterr().err == "binnet: error: no space\n"


def test_a_failure_of_one(started, capfd):
    known, one, other = started()
    one.say(failing="no space")
    assert one.hear() == [{"verdict": "alone"}]
    assert other.hear() == [{"abort": True}]
    for connection in (one, other):
        connection.socket.close()
    wait_for_end(known, 3)
    assert capfd.readouterr().err == "binnet: error: worker 0 (of 2, on here): no space\n"


def test_a_failure_after_a_loss_is_not_reported(started, capfd):
    """MPI may raise an error in the other workers."""
    known, one, other = started()
    other.socket.close()
    time.sleep(0.5)
    one.say(failing="connection reset")
    assert one.hear() == [{"verdict": "alone"}]
    one.socket.close()
    wait_for_end(known, 3)
    assert capfd.readouterr().err == "binnet: error: worker 1 (of 2, on here) was lost\n"


def test_a_worker_without_a_guard(capfd, monkeypatch):
    """It says the sentence itself and ends all."""
    codes = []

    class Ended(BaseException):
        pass

    def end(code):
        codes.append(code)
        raise Ended

    monkeypatch.setattr(os, "_exit", end)
    alone = guard.Guard.connect("", 3, lambda: codes.append("abort"))
    alone.beat(1)
    with pytest.raises(Ended):
        alone.fail("no\nspace")
    alone.done()
    assert codes == ["abort", 1]
    assert capfd.readouterr().err == "binnet: error: worker 3: no space\n"


def test_no_process_can_be_started(monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert guard.start(2) == ""


def test_an_address_that_leads_nowhere():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = json.dumps({"token": "", "port": port, "host": socket.gethostname(), "addresses": ["127.0.0.1"]})
    guard.Guard.connect(address, 0, lambda: None).done()


def test_signal_handling_is_restored():
    with socket.create_server(("127.0.0.1", 0)) as before:  # any file descriptor that does not block
        before.setblocking(False)
        signal.set_wakeup_fd(before.fileno())
        guard.Guard.connect(guard.start(1), 0, lambda: None).done()
        assert signal.set_wakeup_fd(-1) == before.fileno()
