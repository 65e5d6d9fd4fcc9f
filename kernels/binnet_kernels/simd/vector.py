"""The vector type: a handful of SIMD values and operations inside ordinary compiled code.

LLVM's own vectoriser stops at 256 bits and cannot keep a tile of sums in registers, so the hot kernels say what they
mean: ``Vector`` is a Numba type whose LLVM form is ``<lanes x scalar>``, and each operation below is one LLVM
instruction or two. The same text becomes AVX-512, AVX2, SSE or NEON code.

Every operation exists twice under one name: an LLVM form for compiled code, and a NumPy form that stands in when
Numba's JIT is off. There a vector is a small array. With ``NUMBA_DISABLE_JIT=1`` front doors run the plain NumPy form
of a kernel; only within ``use_backend("fast")`` do they run the compiled one, as plain Python for a debugger. All
indices are element indices into the flat, C-contiguous data of an array; nothing is bounds-checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils, codegen
from numba.extending import intrinsic, models, register_model

JIT = not config.DISABLE_JIT


_ADD = "define <16 x i32> @add(<16 x i32> %a) { %b = add <16 x i32> %a, %a\n ret <16 x i32> %b }"


def assembly(code: str) -> str:
    """What LLVM makes of code for the CPU that Numba compiles for.

    The name of the CPU, its features and Numba's settings all have a say, and only LLVM knows what comes out.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = config.CPU_NAME or llvm.get_host_cpu_name(), config.CPU_FEATURES
    features = codegen.get_host_cpu_features() if features is None else features
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=name, features=features)
    text: str = machine.emit_assembly(llvm.parse_assembly(code))
    return text


def _vector_bits() -> int:
    """Width of the widest integer vectors: the registers of an addition of 512 bits, which is compiled (5 ms)."""
    additions = "".join(re.findall("padd.*", assembly(_ADD)))
    return next((bits for bits, register in ((512, "%zmm"), (256, "%ymm")) if register in additions), 128)


VECTOR_BITS = _vector_bits()
LANES = VECTOR_BITS // 32  # float32 values in a vector


class Vector(types.Type):
    """A SIMD value of ``lanes`` elements of ``scalar``."""

    def __init__(self, scalar: types.Type, lanes: int) -> None:
        self.scalar, self.lanes = scalar, lanes
        super().__init__(name=f"Vector<{scalar} x {lanes}>")

    @property
    def llvm_type(self) -> ir.VectorType:
        floats = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
        element = floats.get(self.scalar) or ir.IntType(self.scalar.bitwidth)
        return ir.VectorType(element, self.lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.llvm_type)


FLOATS = Vector(types.float32, LANES)
HALVES = Vector(types.uint32, LANES)  # half words of 32 signs, the unit that kernels count in
_VECTOR_OF = {types.float32: FLOATS, types.uint32: HALVES}


def twin(python: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Name two forms at once: the decorated LLVM form with the JIT, ``python`` without it."""
    return lambda llvm_form: intrinsic(llvm_form) if JIT else python


# ------------------------------------------------------------------ LLVM building blocks, shared with tile.py


def pointer(
    context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, index: Any, target: ir.Type | None = None
) -> Any:
    """Address of flat element ``index`` of an array, as a pointer to ``target`` (the element itself by default)."""
    data = context.make_array(array_type)(context, builder, array).data
    address = builder.gep(data, [index])
    return address if target is None else builder.bitcast(address, target.as_pointer())


def spread(builder: ir.IRBuilder, scalar: Any, lanes: int) -> Any:
    """``scalar`` in every lane."""
    undef = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    lane0 = builder.insert_element(undef, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(lane0, undef, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))


def call(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[Any]) -> Any:
    """Call an LLVM intrinsic."""
    function = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)


def suffix(vector: ir.VectorType) -> str:
    """LLVM's name of a vector type in its intrinsics, as in ``llvm.ctpop.v8i64``."""
    names = {ir.FloatType: "f32", ir.DoubleType: "f64"}
    scalar = names.get(type(vector.element)) or f"i{vector.element.width}"
    return f"v{vector.count}{scalar}"


def lane_mask(builder: ir.IRBuilder, keep: Any, lanes: int) -> Any:
    """``<lanes x i1>``, true in the first ``keep`` lanes."""
    number = ir.Constant(ir.VectorType(keep.type, lanes), list(range(lanes)))
    return builder.icmp_signed("<", number, spread(builder, keep, lanes))


def masked_store(builder: ir.IRBuilder, value: Any, address: Any, keep: Any) -> None:
    """Store the first ``keep`` lanes (all of them when ``keep`` is larger)."""
    lanes = value.type.count
    every = builder.icmp_signed(">=", keep, ir.Constant(keep.type, lanes))
    store_where(builder, value, address, every, lambda: lane_mask(builder, keep, lanes))


def store_where(builder: ir.IRBuilder, value: Any, address: Any, every: Any, mask: Callable[[], Any]) -> None:
    """Store all lanes if ``every``, an i1, is true, and else those of ``mask()``, ``<lanes x i1>``.

    What ``mask`` builds runs in the second case only.
    """
    element = value.type.element
    align = {ir.FloatType: 4, ir.DoubleType: 8}.get(type(element)) or element.width // 8
    # Processors of AMD with AVX2 take a masked store apart into dozens of steps (ADR 0044). A branch that nearly always
    # goes the same way costs nothing.
    with builder.if_else(every, likely=True) as (whole, part):
        with whole:
            builder.store(value, address, align=align)
        with part:
            arguments = [value, address, ir.Constant(ir.IntType(32), align), mask()]
            call(builder, f"llvm.masked.store.{suffix(value.type)}.p0", ir.VoidType(), arguments)


# ------------------------------------------------------------------ vectors of float32


def _load(array: Any, index: int) -> Any:
    return array[index : index + LANES].copy()


@twin(_load)
def load(context: Any, array: Any, index: Any) -> Any:
    """The vector that starts at ``index``."""
    vector = _VECTOR_OF[array.dtype]

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        address = pointer(context, builder, sig.args[0], args[0], args[1], vector.llvm_type)
        # Arrays of callers may begin anywhere: only the alignment of one element is promised.
        return builder.load(address, align=vector.scalar.bitwidth // 8)

    return vector(array, types.intp), build


def _load_first(array: Any, index: int, keep: int) -> Any:
    vector = np.zeros(LANES, np.float32)
    vector[: max(keep, 0)] = array[index : index + min(max(keep, 0), LANES)]
    return vector


@twin(_load_first)
def load_first(context: Any, array: Any, index: Any, keep: Any) -> Any:
    """The first ``keep`` floats at ``index``, zeros in the lanes after them; memory past them is not touched."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return masked_load(context, builder, sig.args[0], args[0], args[1], args[2], FLOATS.llvm_type)

    return FLOATS(array, types.intp, types.intp), build


def masked_load(
    context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, index: Any, keep: Any, target: ir.VectorType
) -> Any:
    """Load the first ``keep`` lanes at a flat index, zeros elsewhere."""
    address = pointer(context, builder, array_type, array, index, target)
    zeros = ir.Constant(target, [0.0] * target.count)
    arguments = [address, ir.Constant(ir.IntType(32), 4), lane_mask(builder, keep, target.count), zeros]
    return call(builder, f"llvm.masked.load.{suffix(target)}.p0", target, arguments)


def _store_first(array: Any, index: int, value: Any, keep: int) -> None:
    count = min(max(keep, 0), LANES)
    array[index : index + count] = value[:count]


@twin(_store_first)
def store_first(context: Any, array: Any, index: Any, value: Any, keep: Any) -> Any:
    """Write the first ``keep`` lanes of a float vector at ``index``."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, index, value, keep = args
        masked_store(builder, value, pointer(context, builder, sig.args[0], array, index, value.type), keep)
        return context.get_dummy_value()

    return types.void(array, types.intp, FLOATS, types.intp), build


@twin(lambda a, factor: a * factor)
def times(context: Any, a: Any, factor: Any) -> Any:
    """Each lane times a float32."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.fmul(args[0], spread(builder, args[1], LANES))

    return FLOATS(FLOATS, types.float32), build


@twin(lambda: np.zeros(LANES, np.float32))
def zeros(context: Any) -> Any:
    """A float vector of zeros."""
    return FLOATS(), lambda context, builder, sig, args: ir.Constant(FLOATS.llvm_type, [0.0] * LANES)


@twin(np.abs)
def magnitude(context: Any, a: Any) -> Any:
    """|a| of each lane."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return call(builder, f"llvm.fabs.{suffix(FLOATS.llvm_type)}", FLOATS.llvm_type, list(args))

    return FLOATS(FLOATS), build


@twin(np.add)
def add(context: Any, a: Any, b: Any) -> Any:
    """a + b of each lane."""
    return FLOATS(FLOATS, FLOATS), lambda context, builder, sig, args: builder.fadd(*args)


def _sum_lanes(a: Any) -> Any:
    while len(a) > 1:
        a = a[: len(a) // 2] + a[len(a) // 2 :]
    return a[0]


@twin(_sum_lanes)
def sum_lanes(context: Any, a: Any) -> Any:
    """Sum of all lanes, upper half onto lower half until one is left (a fixed order)."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        value = args[0]
        while value.type.count > 1:
            half = value.type.count // 2
            low, high = (
                ir.Constant(ir.VectorType(ir.IntType(32), half), list(range(start, start + half)))
                for start in (0, half)
            )
            undef = ir.Constant(value.type, ir.Undefined)
            # Halves are added in a fixed order, in which the NumPy form gives the same bits.
            value = builder.fadd(builder.shuffle_vector(value, undef, low), builder.shuffle_vector(value, undef, high))
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return a.scalar(a), build


# ------------------------------------------------------------------ signs


def _store_signs(halves: Any, target: int, array: Any, index: int) -> None:
    halves[target : target + 2] = np.packbits(array[index : index + 64] < 0, bitorder="little").view("<u4")


def _negative(builder: ir.IRBuilder, x: Any) -> Any:
    """The signs of a vector of floats as the bits of one integer."""
    # Ordered: NaN is not below 0 and counts as +1, and so does -0.0.
    negative = builder.fcmp_ordered("<", x, ir.Constant(x.type, [0.0] * x.type.count))
    return builder.bitcast(negative, ir.IntType(x.type.count))


@twin(_store_signs)
def store_signs(context: Any, halves: Any, target: Any, array: Any, index: Any) -> Any:
    """Write the signs of 64 floats to two half words: bit i is 1 when ``array[index + i] < 0``."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        floats, word = ir.VectorType(ir.FloatType(), 64), ir.IntType(64)
        x = builder.load(pointer(context, builder, sig.args[2], args[2], args[3], floats), align=4)
        builder.store(_negative(builder, x), pointer(context, builder, sig.args[0], args[0], args[1], word), align=4)
        return context.get_dummy_value()

    return types.void(halves, types.intp, array, types.intp), build


def _sign_half(array: Any, index: int, keep: int) -> Any:
    bits = np.zeros(32, bool)
    bits[: min(keep, 32)] = array[index : index + min(keep, 32)] < 0
    return np.packbits(bits, bitorder="little").view("<u4")[0]


@twin(_sign_half)
def sign_half(context: Any, array: Any, index: Any, keep: Any) -> Any:
    """The signs of the first ``keep`` of 32 floats in a half word; the other bits are 0."""

    def build(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        array, index, keep = args
        floats = ir.VectorType(ir.FloatType(), 32)
        return _negative(builder, masked_load(context, builder, sig.args[0], array, index, keep, floats))

    return types.uint32(array, types.intp, types.intp), build
