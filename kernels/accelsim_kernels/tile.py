"""The innermost loops of all products: a tile of sums that stays in registers while K runs.

One generator writes them for every element type: 6 rows by 4 vectors of 16 lanes are 24
accumulators, which with the operands fill the 32 vector registers of AVX-512. LLVM lowers the same
text for machines with shorter vectors; there it spills, and the bits are the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

#: Rows and columns of a tile.
ROWS, COLUMNS = 6, 64
_LANES, _VECTORS = 16, 4
_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_FLOAT = ir.FloatType()

#: What LLVM calls the parts of the processor that VPDPBUSD on 512 bits needs.
_NEEDED = ("avx512f", "avx512vnni")

#: ``op(builder, sum, a, b)``: what one step does to a vector of sums.
Operation = Callable[[Any, Any, Any, Any], Any]


def _chain(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """One fused multiply-add per lane."""
    signature = ir.FunctionType(total.type, [total.type] * 3)
    function = cgutils.get_or_insert_function(builder.module, signature, "llvm.fma.v16f32")
    return builder.call(function, [a, b, total])


def _dot4(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """Four products of an unsigned and a signed byte per lane, by shifts and multiplications."""
    for byte in range(4):
        left = ir.Constant(b.type, [24 - 8 * byte] * _LANES)
        down = ir.Constant(b.type, [24] * _LANES)
        signed = builder.ashr(builder.shl(b, left), down)
        unsigned = builder.lshr(builder.shl(a, left), down)
        total = builder.add(total, builder.mul(unsigned, signed))
    return total


def _dot4_vnni(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """The same in one instruction: VPDPBUSD of AVX-512 VNNI (Intel SDM, volume 2).

    Where the machine that compiles has none, the portable steps stand in its place.
    """
    if not has_vnni():
        return _dot4(builder, total, a, b)
    operand = ir.VectorType(_I8, 4 * _LANES) if _BYTES else total.type
    signature = ir.FunctionType(total.type, [total.type, operand, operand])
    name = "llvm.x86.avx512.vpdpbusd.512"
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    a, b = (builder.bitcast(x, operand) for x in (a, b))
    return builder.call(function, [total, a, b])


def _takes_bytes() -> bool:
    """Whether this LLVM declares VPDPBUSD on vectors of bytes; older ones took 32-bit lanes."""
    text = (
        "declare <16 x i32> @llvm.x86.avx512.vpdpbusd.512(<16 x i32>, <64 x i8>, <64 x i8>)\n"
        "define <16 x i32> @f(<16 x i32> %s, <64 x i8> %a, <64 x i8> %b) {\n"
        "%r = call <16 x i32> @llvm.x86.avx512.vpdpbusd.512"
        "(<16 x i32> %s, <64 x i8> %a, <64 x i8> %b)\nret <16 x i32> %r\n}\n"
    )
    try:
        llvm.parse_assembly(text).verify()
    except RuntimeError:
        return False
    return True


_BYTES = _takes_bytes()


@functools.cache
def has_vnni() -> bool:
    """Whether kernels are compiled for VPDPBUSD on 512-bit vectors, and this machine has it.

    Numba can be told to compile for less than the machine has (``NUMBA_CPU_NAME``,
    ``NUMBA_CPU_FEATURES``, ``NUMBA_ENABLE_AVX``); LLVM ends the process over an instruction that
    its target lacks. Asked once: LLVM takes as long to answer as a small product.
    """
    chosen = config.CPU_FEATURES
    target = get_host_cpu_features() if chosen is None else chosen
    host = llvm.get_host_cpu_features()
    return all(f"+{name}" in target.split(",") and host.get(name) for name in _NEEDED)


class _Writer:
    """Writes the text of one tile.

    Args:
        builder: of LLVM's instructions.
        element: type of a sum.
        operation: what one step does.
    """

    def __init__(self, builder: Any, element: Any, operation: Operation) -> None:
        self.builder, self.operation = builder, operation
        self.vector = ir.VectorType(element, _LANES)
        self.places = [(row, v) for row in range(ROWS) for v in range(_VECTORS)]

    def load(self, base: Any, index: Any, kind: Any = None) -> Any:
        """Read 16 elements from an index on."""
        builder, kind = self.builder, kind or self.vector
        address = builder.bitcast(builder.gep(base, [index]), kind.as_pointer())
        return builder.load(address, align=4)

    def store(self, values: Any, base: Any, index: Any) -> None:
        """Write 16 elements from an index on."""
        builder = self.builder
        address = builder.bitcast(builder.gep(base, [index]), values.type.as_pointer())
        builder.store(values, address, align=4)

    def spread(self, one: Any) -> Any:
        """Repeat one element in every lane."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        single = self.builder.insert_element(undefined, one, ir.Constant(_I32, 0))
        mask = ir.Constant(ir.VectorType(_I32, _LANES), [0] * _LANES)
        return self.builder.shuffle_vector(single, undefined, mask)

    def begun(self, start: Any, rows: int) -> dict[tuple[int, int], Any]:
        """Read what the sums begin with: one row for all of them, or one each."""
        found = {
            (row, v): self.load(start, _number(row * COLUMNS + v * _LANES))
            for row in range(rows)
            for v in range(_VECTORS)
        }
        return {(row, v): found[row % rows, v] for row, v in self.places}

    def sums(
        self, begun: dict[tuple[int, int], Any], a: Any, b: Any, steps: Any
    ) -> dict[tuple[int, int], Any]:
        """Run K and return the sums."""
        builder = self.builder
        entry = builder.block
        body, after = builder.append_basic_block("k"), builder.append_basic_block("k.end")
        builder.cbranch(builder.icmp_signed(">", steps, _number(0)), body, after)
        builder.position_at_end(body)
        step = builder.phi(_I64)
        running = {place: builder.phi(self.vector) for place in self.places}
        made = self._step(step, running, a, b)
        following = builder.add(step, _number(1))
        step.add_incoming(_number(0), entry)
        step.add_incoming(following, body)
        builder.cbranch(builder.icmp_signed("<", following, steps), body, after)
        builder.position_at_end(after)
        last = {place: builder.phi(self.vector) for place in self.places}
        for row, v in self.places:
            running[row, v].add_incoming(begun[row, v], entry)
            running[row, v].add_incoming(made[row, v], body)
            last[row, v].add_incoming(begun[row, v], entry)
            last[row, v].add_incoming(made[row, v], body)
        return last

    def _step(self, step: Any, running: Any, a: Any, b: Any) -> dict[tuple[int, int], Any]:
        builder = self.builder
        from_b = builder.mul(step, _number(COLUMNS))
        from_a = builder.mul(step, _number(ROWS))
        columns = [self.load(b, builder.add(from_b, _number(v * _LANES))) for v in range(_VECTORS)]
        made = {}
        for row in range(ROWS):
            one = builder.load(builder.gep(a, [builder.add(from_a, _number(row))]), align=4)
            left = self.spread(one)
            for v in range(_VECTORS):
                made[row, v] = self.operation(builder, running[row, v], left, columns[v])
        return made


def _number(value: int) -> Any:
    return ir.Constant(_I64, value)


def _data(context: Any, builder: Any, kind: Any, value: Any, offset: Any, element: Any) -> Any:
    """Return the address of an element of an array."""
    data = context.make_array(kind)(context, builder, value).data
    return builder.gep(builder.bitcast(data, element.as_pointer()), [offset])


def _row_stream() -> Any:
    """Return ``stream(out, at, sums, place)``: 64 integers to ``out[at:]``, past the caches.

    A result that no cache holds is otherwise read before it is written, which takes as long as the
    writing itself. ``out[at:]`` begins with a cache line. What is written is seen by other threads
    after their next lock.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds, vector = signature.args, ir.VectorType(_I32, _LANES)
        out = _data(context, builder, kinds[0], args[0], args[1], _I32)
        row = _data(context, builder, kinds[2], args[2], args[3], _I32)
        mark = builder.module.add_metadata([ir.Constant(_I32, 1)])
        for v in range(_VECTORS):
            place = [_number(v * _LANES)]
            source, target = (
                builder.bitcast(builder.gep(base, place), vector.as_pointer())
                for base in (row, out)
            )
            stored = builder.store(builder.load(source, align=4), target, align=4 * _LANES)
            stored.set_metadata("nontemporal", mark)
        return context.get_dummy_value()  # what Numba calls the None of an intrinsic

    def typer(typingctx: Any, out: Any, at: Any, sums: Any, place: Any) -> Any:
        return types.void(out, types.int64, sums, types.int64), codegen

    return intrinsic(typer)


def _tile(element: Any, operation: Operation, scaled: bool = False, resumed: bool = False) -> Any:
    """Return ``tile(out, start, scale, a, at_a, b, at_b, steps)``.

    ``out`` is ``[6, 64]``, ``start`` and ``scale`` are ``[64]``. Every row of sums begins with
    ``start``, or with ``resumed`` with what ``out`` holds; step s adds the products of the 6
    elements of ``a`` from ``at_a + 6 s`` on with the 64 of ``b`` from ``at_b + 64 s`` on; all
    elements have 32 bits. The sums are stored in ``out``; with ``scaled``,
    ``out = fma(float32(sum), scale, out)``.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds, zero, result = signature.args, _number(0), _FLOAT if scaled else element
        writer = _Writer(builder, element, operation)
        out = _data(context, builder, kinds[0], args[0], zero, result)
        start = _data(context, builder, kinds[1], args[1], zero, element)
        a = _data(context, builder, kinds[3], args[3], args[4], element)
        b = _data(context, builder, kinds[5], args[5], args[6], element)
        begun = writer.begun(out, ROWS) if resumed else writer.begun(start, 1)
        sums = writer.sums(begun, a, b, args[7])
        floats = ir.VectorType(_FLOAT, _LANES)
        scale = _data(context, builder, kinds[2], args[2], zero, _FLOAT)
        for row, v in writer.places:
            place, values = _number(row * COLUMNS + v * _LANES), sums[row, v]
            if scaled:
                step = writer.load(scale, _number(v * _LANES), floats)
                before = writer.load(out, place, floats)
                values = _chain(builder, before, builder.sitofp(values, floats), step)
            writer.store(values, out, place)
        return context.get_dummy_value()  # what Numba calls the None of an intrinsic

    def typer(  # Numba hands over one argument per argument of the tile
        typingctx: Any, out: Any, start: Any, scale: Any, a: Any, at_a: Any, b: Any, at_b: Any,
        steps: Any,
    ) -> Any:  # fmt: skip
        index = types.int64
        return types.void(out, start, scale, a, index, b, index, index), codegen

    return intrinsic(typer)


#: FP32: ``sum = fma(a, b, sum)``, K ascending.
chain_tile = _tile(_FLOAT, _chain)
#: Four bytes per element: ``sum += a0 b0 + a1 b1 + a2 b2 + a3 b3``, a unsigned and b signed.
dot4_tile = _tile(_I32, _dot4)
dot4_tile_vnni = _tile(_I32, _dot4_vnni)
#: The same, going on with sums of a lower part of K.
dot4_more = _tile(_I32, _dot4, resumed=True)
dot4_more_vnni = _tile(_I32, _dot4_vnni, resumed=True)
#: The same, with the sums scaled and added to float32.
dot4_group = _tile(_I32, _dot4, scaled=True)
dot4_group_vnni = _tile(_I32, _dot4_vnni, scaled=True)
stream_row = _row_stream()
