"""Front doors: which form runs, and that importing them compiles and loads nothing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import binnet_kernels as bk
from binnet_kernels import elementwise
from binnet_kernels.backend import use_backend

X = np.array([-1, 0, 2], np.float32)


class Recorder:
    """Stands for a form, and notes its name at each call."""

    def __init__(self, name, seen):
        self.relu = lambda x, y: seen.append(name)


@pytest.fixture
def seen(monkeypatch):
    names = []
    for name in ("reference", "compiled"):
        monkeypatch.setattr(elementwise, name, Recorder(name, names))
    return names


def test_the_active_backend_says_which_form_runs(seen):
    bk.relu(X)
    with use_backend("reference"):
        bk.relu(X)
        with use_backend("fast"):
            bk.relu(X)
    bk.relu(X)
    assert seen == ["compiled", "reference", "compiled", "compiled"]


def test_names_of_the_reference_always_run_in_numpy(seen):
    bk.reference.relu(X)
    with use_backend("fast"):
        bk.reference.relu(X)
    bk.relu(X)
    assert seen == ["reference", "reference", "compiled"]


def test_the_reference_leaves_its_backend_after_an_error(seen):
    with pytest.raises(TypeError, match="x must be"):
        bk.reference.relu("no array")
    bk.relu(X)
    assert seen == ["compiled"]


def test_the_reference_says_which_names_it_does_not_have():
    with pytest.raises(AttributeError, match=r"'binnet_kernels\.reference' has no attribute 'rleu'"):
        _ = bk.reference.rleu


def test_the_reference_runs_without_numba():
    code = "import sys, binnet_kernels as bk; print(bk.reference.relu([-1, 2]), 'numba' in sys.modules)"
    path = str(Path(bk.__file__).parents[1])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[0. 2.] False\n"
