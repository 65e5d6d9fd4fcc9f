"""Other CPUs than this one: the width of vectors, the instructions that come out, and the same results.

``.ci/kernels`` runs all tests of the kernels for two older CPUs; here is what they cannot see. A name alone does not
pin Numba to a CPU: it goes on using the features of the host unless ``NUMBA_CPU_FEATURES`` is given too.
"""

import json
import os
import platform
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from llvmlite import binding as llvm
from numba import config

from binnet_kernels.simd import byte_tile, vector

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="about x86 and what is compiled on it"),
]
KERNELS = Path(__file__).parents[2] / "kernels"


def has(feature):
    return bool(llvm.get_host_cpu_features().get(feature))


HOST: dict[str, str] = {}
HASWELL = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
X86_64_V2 = {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": ""}
needs_avx2 = pytest.mark.skipif(not (has("avx2") and has("fma") and has("bmi2")), reason="this CPU has no AVX2")
needs_vpopcntdq = pytest.mark.skipif(not has("avx512vpopcntdq"), reason="this CPU has no AVX-512 VPOPCNTDQ")
not_pinned = pytest.mark.skipif(
    bool(config.CPU_NAME or config.CPU_FEATURES or not config.ENABLE_AVX), reason="Numba is told of another CPU"
)


# ---------------------------------------------------------------------------------------------- width of vectors


@pytest.mark.parametrize(
    ("name", "features", "bits"),
    [
        ("generic", "", 128),
        ("x86-64-v2", "", 128),
        ("nehalem", "", 128),
        ("sandybridge", "", 128),  # AVX, but its integers are 128 bits wide
        ("haswell", "", 256),
        ("x86-64-v3", "", 256),
        ("skylake", "", 256),
        ("znver3", "", 256),
        ("alderlake", "", 256),
        ("skylake-avx512", "", 512),
        ("icelake-server", "", 512),
        ("x86-64-v4", "", 512),
        ("znver4", "", 512),
        ("haswell", "-avx2", 128),
        ("x86-64-v2", "+avx2", 256),
        ("haswell", "+avx512f,+avx512vl", 512),
        ("znver4", "-avx512f", 256),
    ],
)
def test_width_of_vectors(monkeypatch, name, features, bits):
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    assert vector._vector_bits() == bits


@not_pinned
def test_width_of_vectors_here():
    assert vector._vector_bits() == vector.VECTOR_BITS == (512 if has("avx512f") else 256 if has("avx2") else 128)


@not_pinned
def test_a_name_alone_leaves_the_features_of_the_host(monkeypatch):
    monkeypatch.setattr(config, "CPU_NAME", "x86-64-v2")
    assert vector._vector_bits() == vector.VECTOR_BITS


# ---------------------------------------------------------------------------------------------- instructions

SCRIPT = """
import json, sys
import numpy as np
import binnet_kernels as bk
from binnet_kernels.compiled import conv
from binnet_kernels.compiled.fused import int8
from binnet_kernels.simd import vector
from binnet_kernels.compiled.forward import xnor

bk.set_num_threads(1)
rng = np.random.default_rng(0)
weight, x = rng.standard_normal((37, 3, 3, 70)), rng.standard_normal((2, 7, 9, 70))
signs = bk.XnorConv2d(weight, padding=1, alpha=False)(x)
whole = bk.conv2d(x.round(), weight.round(), padding=1)
image, out = bk.ByteMap(x.shape, 1), np.empty((2, 7, 9, 37), np.float32)
image.inside[...] = rng.integers(0, 256, x.shape)
small = rng.integers(-127, 128, weight.shape).astype(np.int8)
layer = bk.FusedInt8Conv2d(small, small.shape, padding=1, scale=rng.random(37), zero=[99.5])
layer.bind(image, bk.Epilogue(()), out=out)()
float_kernels = [kernel.serial for kernel in vars(conv).values() if "serial" in getattr(kernel, "__dict__", ())]
print(json.dumps({
    "bits": vector.VECTOR_BITS,
    "signs": signs.ravel().tolist(),
    "whole": whole.ravel().tolist(),
    "bytes": out.ravel().tolist(),
    "dots": "".join(int8._int8.serial.inspect_asm().values()),
    "xnor": "".join(xnor._xnor_convolve.serial.inspect_asm().values()),
    "float": "".join("".join(kernel.inspect_asm().values()) for kernel in float_kernels),
    "llvm": "".join(xnor._xnor_convolve.serial.inspect_llvm().values()),
}))
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """``compiled(settings)``: results and code of a new process with these settings and an empty cache.

    Code that comes from the cache has no assembly to look at.
    """

    @cache
    def run(*settings):
        folder = tmp_path_factory.mktemp("cache")
        chosen = {"BINNET_CACHE_DIR": str(folder), "PYTHONPATH": str(KERNELS), **dict(settings)}
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT], env={**os.environ, **chosen}, capture_output=True, text=True, timeout=300
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return lambda settings: run(*settings.items())


@needs_vpopcntdq
@not_pinned
def test_avx512_counts_with_one_instruction(compiled):
    here = compiled(HOST)
    assert here["bits"] == 512
    assert re.search(r"vpopcnt[dq]\s.*%zmm", here["xnor"])
    assert not re.search(r"vpshufb|\spopcnt", here["xnor"])
    assert re.search(r"vfmadd\d+ps\s.*%zmm", here["float"])
    assert "fmaf" not in here["float"]


@pytest.mark.slow
@needs_avx2
def test_avx2_counts_by_table(compiled):
    haswell = compiled(HASWELL)
    assert haswell["bits"] == 256
    assert re.search(r"vpshufb\s.*%ymm", haswell["xnor"])
    assert re.search(r"vfmadd\d+ps\s.*%ymm", haswell["float"])
    assert not re.search(r"zmm|%k\d|vpopcnt", haswell["xnor"] + haswell["float"])


@pytest.mark.slow
def test_sse_counts_by_table_and_calls_nothing(compiled):
    """Without fused multiply-adds, ``llvm.fma`` would call the C library for each lane, 13 times slower."""
    old = compiled(X86_64_V2)
    assert old["bits"] == 128
    assert re.search(r"\spshufb\s.*%xmm", old["xnor"])
    assert re.search(r"\smulps\s", old["float"])
    assert not re.search(r"[yz]mm\d|\sv[a-z]+ps\s|fmaf", old["xnor"] + old["float"])


@pytest.mark.parametrize(
    ("name", "features", "instruction"),
    [
        ("x86-64-v2", "", ""),
        ("haswell", "", ""),
        ("skylake-avx512", "", ""),
        ("cascadelake", "", "vpdpbusd"),
        ("znver4", "", "vpdpbusd"),
        ("znver4", "-avx512vnni", ""),
        ("alderlake", "", "vpdpbusd"),
    ],
)
def test_products_of_bytes(monkeypatch, name, features, instruction):
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    assert byte_tile._instruction() == instruction


@not_pinned
@pytest.mark.skipif(not (has("avx512vnni") or has("avxvnni")), reason="this CPU multiplies no bytes")
def test_four_products_of_bytes_are_one_instruction(compiled):
    assert re.search(r"vpdpbusd\s", compiled(HOST)["dots"])
    assert not re.search(r"pmadd", compiled(HOST)["dots"])


@pytest.mark.parametrize("settings", [pytest.param(HASWELL, marks=needs_avx2), X86_64_V2], ids=["haswell", "x86-64-v2"])
def test_older_cpus_multiply_pairs_of_16_bits_and_saturate_nowhere(compiled, settings):
    dots = compiled(settings)["dots"]
    assert re.search(r"pmaddwd\s", dots)
    assert not re.search(r"pmaddubsw|pmulld|vpdp|paddus", dots)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [pytest.param(HASWELL, marks=needs_avx2), X86_64_V2], ids=["haswell", "x86-64-v2"])
@pytest.mark.parametrize("result", ["signs", "whole", "bytes"])
def test_whole_numbers_are_the_same_on_all_cpus(compiled, settings, result):
    """Sums of whole numbers, whatever their order, and in eight bits what follows them, too."""
    np.testing.assert_array_equal(compiled(settings)[result], compiled(HOST)[result])


# ---------------------------------------------------------------------------------------------- other instruction sets


TRANSLATE = """
import re, sys
from llvmlite import binding as llvm

triple, cpu = sys.argv[1:]
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
try:
    target = llvm.Target.from_triple(triple)
except RuntimeError as error:
    sys.exit(f"NO TARGET: {error}")
machine = target.create_target_machine(cpu=cpu, opt=3)
code = re.sub("(?m)^target (datalayout|triple) = .*$", "", sys.stdin.read())
# Numba's reference counts are x86 already; a call of anything stands in for them.
code = re.sub(r"(?m)^declare .*@llvm\\.x86\\..*$", lambda line: line[0].replace("immarg", ""), code)
code = code.replace("llvm.x86.", "x86.")
module = llvm.parse_assembly(code)
module.triple, module.data_layout = triple, str(machine.target_data)
print(machine.emit_assembly(module))
"""


def assembly(code, triple, cpu):
    """Assembly of LLVM code that was compiled here, for a CPU that is not here. (LLVM aborts on what it cannot do.)"""
    command = [sys.executable, "-c", TRANSLATE, triple, cpu]
    result = subprocess.run(command, input=code, capture_output=True, text=True, timeout=120)
    if "NO TARGET" in result.stderr:
        pytest.skip(f"this llvmlite does not compile for {triple}")
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("triple", "cpu", "instruction"),
    [
        # NEON, as on every 64-bit ARM: the ones of bytes are counted and added as bytes.
        ("aarch64-unknown-linux-gnu", "generic", r"\bcnt\s+v\d+\.16b"),
        ("aarch64-unknown-linux-gnu", "generic", r"\badd\s+v\d+\.16b"),
        ("powerpc64le-unknown-linux-gnu", "pwr9", r"\bvpopcntb\b"),
    ],
    ids=["aarch64", "aarch64 adds bytes", "ppc64le"],
)
def test_other_instruction_sets_count_vectors(compiled, triple, cpu, instruction):
    """What is compiled for vectors of 128 bits, as binnet takes there."""
    code = compiled(X86_64_V2)["llvm"]
    assert "@llvm.ctpop.v16i8" in code
    text = assembly(code, triple, cpu)
    assert re.search(instruction, text)
    assert "popcount" not in text  # a call


COMBINE = """
import sys
from llvmlite import ir
from binnet_kernels.simd import byte_tile

byte_tile.INSTRUCTION = sys.argv[1]
byte_tile.SHIFT = 128 * (sys.argv[1] == "sdot")
vector = byte_tile.HALVES.llvm_type
function = ir.Function(ir.Module(), ir.FunctionType(vector, [vector] * 3), "combine")
builder = ir.IRBuilder(function.append_basic_block())
builder.ret(byte_tile._combine(builder)(*function.args))
print(function.module)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cpu", "instruction", "expected"),
    [
        ("neoverse-v1", "usdot", r"\busdot\s+v"),
        ("neoverse-n1", "sdot", r"\bsdot\s+v"),
        ("cortex-a72", "", r"\b(mul|mla|[su]mlal|[su]mull)2?\s+v"),
    ],
)
def test_products_of_bytes_on_arm(cpu, instruction, expected):
    def text_of(code):
        return assembly(code, "aarch64-unknown-linux-gnu", cpu)

    mixed, signed = (text_of(byte_tile._SUM.format(first=first)) for first in "zs")
    assert ("usdot" in mixed, "sdot" in signed) == (instruction == "usdot", instruction != "")
    environment = {**os.environ, **X86_64_V2, "PYTHONPATH": str(KERNELS)}
    command = [sys.executable, "-c", COMBINE, instruction]
    code = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout
    assert re.search(expected, text_of(code))
