"""Arrays of training do not cost fresh pages in every step; the peak of a process is known."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from binnet_system import memory

PROGRAM = """
import resource
import numpy as np
import binnet

optimiser = binnet.optim.SGD([binnet.Tensor(np.ones(1), requires_grad=True)], lr=1.0)

def pages():
    for _ in range(5):
        np.empty(15 << 20, np.uint8).fill(1)  # 15 MB: larger arrays go back to the system
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

first = pages()
print(pages() - first)
"""


def count_pages(**environment):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={**env, **environment}, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()), reason="needs the GNU C library")
def test_memory_is_used_again():
    kept = count_pages()
    assert kept < 100
    assert count_pages(MALLOC_MMAP_THRESHOLD_="1000000") > kept + 100, "settings of the user come first"


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")
def test_the_peak_counts_what_was_given_back_until_it_begins_anew():
    before = memory.start_peak()
    array = np.ones(8 << 20)  # 64 MiB, touched
    assert memory.peak() - before > 60 << 20
    del array
    assert memory.peak() - before > 60 << 20
    if os.access("/proc/self/clear_refs", os.W_OK):
        assert memory.start_peak() - before < 30 << 20


@pytest.mark.parametrize("text", [OSError("no"), "Name: python\n"])
def test_a_system_that_does_not_tell_the_peak(monkeypatch, text):
    def read(path, encoding):
        if isinstance(text, OSError):
            raise text
        return text

    monkeypatch.setattr(memory.Path, "read_text", read)
    assert memory.peak() is None
