"""Networks in eight bits give the same bits on CPUs with other instructions, for other threads and batches."""

import json
import os
import platform
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
from llvmlite import binding as llvm

import binnet
import binnet_kernels as bk

FEATURES = llvm.get_host_cpu_features()
# Without vector instructions for bytes, with 256 and with 128 bits; see tests/kernels/test_cpus.py.
CPUS = [("haswell", ("avx2", "fma", "bmi2")), ("x86-64-v2", ("sse4.2",))]
CODE = """
import json, sys
import numpy as np
import binnet
import binnet_kernels as bk
from binnet_kernels.simd.byte_tile import INSTRUCTION
from hashlib import sha256
model, images = binnet.load(sys.argv[1]), np.load(sys.argv[2])
found = []
for threads in (1, 2):
    bk.set_num_threads(threads)
    found.append(sha256(model(images).tobytes()).hexdigest())
print(json.dumps([INSTRUCTION, found]))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A packed residual network in eight bits with a pooled first layer, images, and the digest of its logits."""
    folder = tmp_path_factory.mktemp("int8")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 40, 36, 3), np.uint8)
    network = binnet.models.build("resnet18", binarize="xnor", num_classes=10, image_size=(40, 36), seed=1)
    model = binnet.pack(network, real="int8", mean=(0.48, 0.46, 0.41), std=(0.23, 0.22, 0.23), calibration=pixels)
    model.save(folder / "net.h5")
    np.save(folder / "images.npy", pixels)
    return folder / "net.h5", folder / "images.npy", model, pixels


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="about x86 CPUs")
@pytest.mark.parametrize(("name", "needed"), CPUS, ids=[name for name, _ in CPUS])
def test_the_same_bits_on_an_older_cpu(files, name, needed):
    if not all(FEATURES.get(feature) for feature in needed):
        pytest.skip(f"this CPU cannot run code for {name}")
    path, images, model, pixels = files
    own = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, "-c", CODE, str(path), str(images)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **own})
    instruction, found = json.loads(done.stdout)
    assert instruction == ""  # neither has one for sums of four products of bytes
    assert found == [sha256(model(pixels).tobytes()).hexdigest()] * 2


def test_the_same_bits_for_any_threads_and_batch(files):
    _, _, model, pixels = files
    expected, threads = model(pixels), bk.get_num_threads()
    try:
        for number in (1, 2):
            bk.set_num_threads(number)
            single = np.concatenate([model(image[None]) for image in pixels])
            np.testing.assert_array_equal(single, expected)
            np.testing.assert_array_equal(np.concatenate([model(pixels[:2]), model(pixels[2:])]), expected)
    finally:
        bk.set_num_threads(threads)
    np.testing.assert_array_equal(binnet.graph.walk(model.graph, pixels), expected)
