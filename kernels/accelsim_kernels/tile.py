"""The innermost loops of all products: a tile of sums that stays in registers while K runs.

One generator writes them for every element type: 6 rows by 4 vectors of 16 lanes are 24
accumulators, which with the operands fill the 32 vector registers of AVX-512. LLVM lowers the same
text for machines with shorter vectors; there it spills, and the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Rows and columns of a tile.
ROWS, COLUMNS = 6, 64
_LANES, _VECTORS = 16, 4
_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_FLOAT = ir.FloatType()

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
    """The same in one instruction: VPDPBUSD of AVX-512 VNNI (Intel SDM, volume 2)."""
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


def has_vnni() -> bool:
    """Whether this machine has the VPDPBUSD instruction on 512-bit vectors."""
    features = llvm.get_host_cpu_features()
    return bool(features.get("avx512vnni")) and bool(features.get("avx512f"))


def _data(context: Any, builder: Any, kind: Any, value: Any, offset: Any, element: Any) -> Any:
    """Return the address of an element of an array."""
    data = context.make_array(kind)(context, builder, value).data
    return builder.gep(builder.bitcast(data, element.as_pointer()), [offset])


def _tile(element: Any, operation: Operation) -> Any:
    """Return ``tile(sums, a, at_a, b, at_b, steps)``.

    ``sums`` is ``[6, 64]``; step s multiplies the 6 elements of ``a`` from ``at_a + 6 s`` on with
    the 64 of ``b`` from ``at_b + 64 s`` on; all elements have 32 bits.
    """
    vector = ir.VectorType(element, _LANES)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        zero = ir.Constant(_I64, 0)
        sums = _data(context, builder, kinds[0], args[0], zero, element)
        a = _data(context, builder, kinds[1], args[1], args[2], element)
        b = _data(context, builder, kinds[3], args[3], args[4], element)
        _loop(builder, (sums, a, b), args[5], vector, operation)
        return context.get_dummy_value()

    def typer(typingctx: Any, sums: Any, a: Any, at_a: Any, b: Any, at_b: Any, steps: Any) -> Any:
        return types.void(sums, a, types.int64, b, types.int64, types.int64), codegen

    return intrinsic(typer)


def _loop(builder: Any, addresses: Any, steps: Any, vector: Any, operation: Operation) -> None:
    """Load the sums, run K, store the sums."""
    sums, a, b = addresses
    places = [(row, v) for row in range(ROWS) for v in range(_VECTORS)]

    def load(base: Any, index: Any) -> Any:
        place = builder.bitcast(builder.gep(base, [index]), vector.as_pointer())
        return builder.load(place, align=4)

    def constant(number: int) -> Any:
        return ir.Constant(_I64, number)

    at = {p: constant(p[0] * COLUMNS + p[1] * _LANES) for p in places}
    first = {p: load(sums, at[p]) for p in places}
    entry = builder.block
    body, after = builder.append_basic_block("k"), builder.append_basic_block("k.end")
    builder.cbranch(builder.icmp_signed(">", steps, constant(0)), body, after)
    builder.position_at_end(body)
    step = builder.phi(_I64)
    step.add_incoming(constant(0), entry)
    running = {p: builder.phi(vector) for p in places}
    for p in places:
        running[p].add_incoming(first[p], entry)
    from_b = builder.mul(step, constant(COLUMNS))
    from_a = builder.mul(step, constant(ROWS))
    columns = [load(b, builder.add(from_b, constant(v * _LANES))) for v in range(_VECTORS)]
    made = {}
    for row in range(ROWS):
        one = builder.load(builder.gep(a, [builder.add(from_a, constant(row))]), align=4)
        spread = _spread(builder, one, vector)
        for v in range(_VECTORS):
            made[row, v] = operation(builder, running[row, v], spread, columns[v])
    following = builder.add(step, constant(1))
    step.add_incoming(following, body)
    for p in places:
        running[p].add_incoming(made[p], body)
    builder.cbranch(builder.icmp_signed("<", following, steps), body, after)
    builder.position_at_end(after)
    for p in places:
        last = builder.phi(vector)
        last.add_incoming(first[p], entry)
        last.add_incoming(made[p], body)
        running[p] = last
    for p in places:
        place = builder.bitcast(builder.gep(sums, [at[p]]), vector.as_pointer())
        builder.store(running[p], place, align=4)


def _spread(builder: Any, one: Any, vector: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, one, ir.Constant(_I32, 0))
    mask = ir.Constant(ir.VectorType(_I32, _LANES), [0] * _LANES)
    return builder.shuffle_vector(single, undefined, mask)


#: FP32: ``sum = fma(a, b, sum)``, K ascending.
chain_tile = _tile(_FLOAT, _chain)
#: Four bytes per element: ``sum += a0 b0 + a1 b1 + a2 b2 + a3 b3``, a unsigned and b signed.
dot4_tile = _tile(_I32, _dot4)
dot4_tile_vnni = _tile(_I32, _dot4_vnni)
