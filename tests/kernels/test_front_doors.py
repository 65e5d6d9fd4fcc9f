"""Front doors: which form runs, and that importing them compiles and loads nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import binnet_kernels as bk
from binnet_kernels import elementwise, xnor
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


def output_of(code, **environment):
    """What a new process prints."""
    path = str(Path(bk.__file__).parents[1])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"]
    plain = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(command, env={**plain, **environment}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_reference_runs_without_numba():
    code = "import binnet_kernels as bk; print(bk.reference.relu([-1, 2]), 'numba' in sys.modules)"
    assert output_of(code) == "[0. 2.] False"


def test_without_the_compiler_numpy_is_the_default():
    code = "from binnet_kernels.backend import active; print(active())"
    assert output_of(code) == "fast"
    assert output_of(code, NUMBA_DISABLE_JIT="1") == "reference"


def test_the_variable_is_read_as_numba_reads_it():
    values = {"1": True, "-1": True, " 2 ": True, "0": False, "00": False, "": False, "on": False}
    each = f"import os; values = {list(values)}; switch = lambda v: os.environ.update(NUMBA_DISABLE_JIT=v)"
    ours = "from binnet_kernels.backend import jit_disabled as off; print([(switch(v), off())[1] for v in values])"
    assert output_of(f"{each}; {ours}") == str(list(values.values()))
    # Numba warns of what is no integer.
    theirs = "from numba import config as c; off = lambda v: (switch(v), c.reload_config(), c.DISABLE_JIT != 0)[2]"
    assert output_of(f"{each}; {theirs}; print([off(v) for v in values])") == str(list(values.values()))


def test_a_prepared_layer_keeps_its_backend():
    weight = np.ones((2, 3, 3, 4), np.float32)
    with use_backend("reference"):
        layer = bk.XnorConv2d(weight)
    assert type(layer._form) is type(bk.reference.XnorConv2d(weight)._form) is xnor.reference.XnorConv2d
    assert type(bk.XnorConv2d(weight)._form) is xnor.compiled.XnorConv2d


def test_the_reference_has_all_that_computes():
    assert set(bk.__all__) - set(bk.reference.__all__) == {"get_num_threads", "set_num_threads", "reference"}
    assert set(bk.reference.__all__) <= set(dir(bk.reference))


def test_a_layer_enters_few_files_of_the_reference():
    """A reader of the XNOR convolution needs four files: front doors, checks, and the paper on one page."""
    entered = set()

    def note(frame, event, _):
        if event == "call":
            entered.add(Path(frame.f_code.co_filename))

    x, weight = np.ones((1, 4, 4, 3), np.float32), np.ones((2, 3, 3, 3), np.float32)
    before = sys.getprofile()
    with use_backend("reference"):
        sys.setprofile(note)
        try:
            bk.XnorConv2d(weight, padding=1, use_k=True)(x)
        finally:
            sys.setprofile(before)
    folder = Path(bk.__file__).parent
    ours = {path.relative_to(folder).as_posix() for path in entered if folder in path.parents}
    assert ours <= {"xnor.py", "binarize.py", "checks.py", "reference/xnor.py"}
