"""The switch between the backends."""

import subprocess
import sys
import threading

import pytest

from binnet import Tensor, ops, use_backend
from binnet_kernels import pool
from binnet_kernels.backend import active


def test_fast_is_the_default_and_blocks_nest():
    assert active() == "fast"
    with use_backend("reference"):
        assert active() == "reference"
        with use_backend("fast"):
            assert active() == "fast"
        assert active() == "reference"
    assert active() == "fast"


def test_another_thread_keeps_its_own():
    seen = []
    with use_backend("reference"):
        thread = threading.Thread(target=lambda: seen.append(active()))
        thread.start()
        thread.join()
    assert seen == ["fast"]


def test_a_wrong_word_lists_the_words():
    with pytest.raises(ValueError, match="'gpu'; there are: fast, reference"), use_backend("gpu"):
        pass


def test_operations_run_in_the_active_backend(monkeypatch, rng):
    calls = []
    monkeypatch.setattr(pool.reference, "max_pool2d", lambda x, window, y: calls.append(x.shape))
    x = Tensor(rng.standard_normal((1, 4, 4, 1)))
    ops.max_pool2d(x, 2)
    assert calls == []
    with use_backend("reference"):
        ops.max_pool2d(x, 2)
    assert calls == [(1, 4, 4, 1)]


def test_numba_is_imported_only_when_something_is_computed():
    code = "import sys, binnet, binnet.cli; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
