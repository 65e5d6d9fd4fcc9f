"""The switch between the backends."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import binnet_kernels
from binnet import Tensor, kernels, ops, use_backend


def test_fast_is_the_default_and_blocks_nest():
    assert kernels() is binnet_kernels
    with use_backend("reference"):
        assert kernels() is binnet_kernels.reference
        with use_backend("fast"):
            assert kernels() is binnet_kernels
        assert kernels() is binnet_kernels.reference
    assert kernels() is binnet_kernels


def test_another_thread_keeps_its_own():
    seen = []
    with use_backend("reference"):
        thread = threading.Thread(target=lambda: seen.append(kernels()))
        thread.start()
        thread.join()
    assert seen == [binnet_kernels]


def test_a_wrong_word_lists_the_words():
    with pytest.raises(ValueError, match="'gpu'; there are: fast, reference"), use_backend("gpu"):
        pass


def test_operations_ask_the_active_backend(monkeypatch, rng):
    calls = []
    monkeypatch.setattr(binnet_kernels.reference, "max_pool2d", lambda x, *_: calls.append(x.shape) or x)
    x = Tensor(rng.standard_normal((1, 4, 4, 1)))
    ops.max_pool2d(x, 2)
    assert calls == []
    with use_backend("reference"):
        ops.max_pool2d(x, 2)
    assert calls == [(1, 4, 4, 1)]
    assert np.shape(x.data) == (1, 4, 4, 1)


def test_numba_is_imported_only_when_something_is_computed():
    code = "import sys, binnet, binnet.cli; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
