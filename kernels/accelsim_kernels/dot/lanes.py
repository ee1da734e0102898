"""The innermost loops of aligned sums: two rows by 64 columns while the K of one chunk runs.

Each is written as LLVM vectors of 512 bits. The text of ``highest`` and ``cut_sums`` is the same
for every machine. ``narrow_sums`` gives the bits of ``cut_sums`` where a term has at most 15 bits,
in two instructions of AVX-512 per 16 products.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from accelsim_kernels.tile import has_vnni

#: Rows and columns of a tile.
ROWS, COLUMNS = 2, 64
_LANES = 16
_VECTORS = COLUMNS // _LANES
_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_FLOAT = ir.FloatType()
_BYTES = ir.VectorType(_I8, COLUMNS)
_INTS = ir.VectorType(_I32, _LANES)
_FLOATS = ir.VectorType(_FLOAT, _LANES)
#: Embedded rounding toward zero without exceptions (Intel SDM, volume 2, EVEX.RC).
_TOWARD_ZERO = 11


def _number(value: int) -> Any:
    return ir.Constant(_I64, value)


class _Text:
    """Writes loads, stores and loops.

    Args:
        context, builder: of Numba.
        signature: of the intrinsic.
        args: its arguments.
    """

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder = context, builder
        self.kinds, self.args = signature.args, args

    def data(self, argument: int, offset: Any, element: Any) -> Any:
        """Return the address of an element of an array."""
        array = self.context.make_array(self.kinds[argument])
        data = array(self.context, self.builder, self.args[argument]).data
        return self.builder.gep(self.builder.bitcast(data, element.as_pointer()), [offset])

    def load(self, base: Any, index: Any, kind: Any, align: int) -> Any:
        """Read a vector that begins with an element."""
        address = self.builder.gep(base, [index])
        return self.builder.load(
            self.builder.bitcast(address, kind.as_pointer()), align=align
        )

    def store(self, value: Any, base: Any, index: int, align: int) -> None:
        """Write a vector."""
        address = self.builder.gep(base, [_number(index)])
        self.builder.store(
            value, self.builder.bitcast(address, value.type.as_pointer()), align=align
        )

    def spread(self, one: Any, lanes: int) -> Any:
        """Repeat one element in every lane."""
        kind = ir.VectorType(one.type, lanes)
        single = self.builder.insert_element(ir.Constant(kind, ir.Undefined), one, _number(0))
        mask = ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes)
        return self.builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), mask)

    def call(self, name: str, *operands: Any) -> Any:
        """Call a function of LLVM whose result has the type of its first operand."""
        kinds = [operand.type for operand in operands]
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(kinds[0], kinds), name
        )
        return self.builder.call(function, operands)

    def variable(self, value: Any) -> Any:
        """Return a variable that LLVM turns into a register: nothing else can see it."""
        return cgutils.alloca_once_value(self.builder, value)


def _intrinsic(write: Any, arrays: int, places: int) -> Any:
    """Return an intrinsic of some arrays, then some int64, that returns nothing."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        write(_Text(context, builder, signature, args))
        return context.get_dummy_value()  # what Numba calls the None of an intrinsic

    def kinds(given: tuple[Any, ...]) -> Any:
        return types.void(*given[:arrays], *[types.int64] * places), codegen

    # Numba reads the number of arguments from the signature, so it cannot take ``*given``.
    if (arrays, places) == (3, 3):
        return intrinsic(lambda typing, a, b, c, i, j, k: kinds((a, b, c, i, j, k)))
    if (arrays, places) == (4, 3):
        return intrinsic(lambda typing, a, b, c, d, i, j, k: kinds((a, b, c, d, i, j, k)))
    return intrinsic(
        lambda typing, a, b, c, d, e, f, i, j, k: kinds((a, b, c, d, e, f, i, j, k))
    )


def _write_highest(text: _Text) -> None:
    builder = text.builder
    out = text.data(0, _number(0), _I8)
    a, b = text.data(1, text.args[3], _I32), text.data(2, text.args[4], _I8)
    low = ir.Constant(_BYTES, [-128] * COLUMNS)
    found = [text.variable(low) for _ in range(ROWS)]
    with cgutils.for_range(builder, text.args[5]) as loop:
        right = text.load(b, builder.mul(loop.index, _number(COLUMNS)), _BYTES, 1)
        at = builder.mul(loop.index, _number(ROWS))
        for row in range(ROWS):
            one = builder.load(builder.gep(a, [builder.add(at, _number(row))]), align=4)
            left = builder.bitcast(text.spread(one, _LANES), _BYTES)
            sums = builder.add(left, right)
            builder.store(
                text.call(f"llvm.smax.v{COLUMNS}i8", builder.load(found[row]), sums), found[row]
            )
    for row in range(ROWS):
        text.store(builder.load(found[row]), out, row * COLUMNS, 1)


def _places() -> list[tuple[int, int]]:
    return [(row, v * _LANES) for row in range(ROWS) for v in range(_VECTORS)]


def _write_cut_sums(text: _Text) -> None:
    builder = text.builder
    out, scale = text.data(0, _number(0), _I32), text.data(1, _number(0), _FLOAT)
    a, b = text.data(2, text.args[4], _FLOAT), text.data(3, text.args[5], _FLOAT)
    sums = {place: text.variable(ir.Constant(_INTS, [0] * _LANES)) for place in _places()}
    scales = {
        (row, v): text.load(scale, _number(row * COLUMNS + v), _FLOATS, 4)
        for row, v in _places()
    }
    with cgutils.for_range(builder, text.args[6]) as loop:
        line = builder.mul(loop.index, _number(COLUMNS))
        right = {
            v * _LANES: text.load(b, builder.add(line, _number(v * _LANES)), _FLOATS, 4)
            for v in range(_VECTORS)
        }
        at = builder.mul(loop.index, _number(ROWS))
        for row in range(ROWS):
            one = builder.load(builder.gep(a, [builder.add(at, _number(row))]), align=4)
            left = text.spread(one, _LANES)
            for v in right:
                # The product is exact, and a power of two leaves it so.
                term = builder.fmul(builder.fmul(left, right[v]), scales[row, v])
                total = sums[row, v]
                cut = builder.fptosi(term, _INTS)
                builder.store(builder.add(builder.load(total), cut), total)
    for row, v in _places():
        text.store(builder.load(sums[row, v]), out, row * COLUMNS + v, 4)


def _write_narrow_sums(text: _Text) -> None:
    if not has_vnni():  # never called then, but compiled
        return
    builder = text.builder
    out, magic = text.data(0, _number(0), _I32), text.data(1, _number(0), _FLOAT)
    a, b = text.data(2, text.args[6], _FLOAT), text.data(4, text.args[7], _FLOAT)
    side, sign = text.data(3, text.args[6], _I32), text.data(5, text.args[7], _I32)
    # Signs lie beside the numbers twice: as they are, and of the opposite sign.
    sign = builder.gep(text.data(5, _number(0), _I32), [builder.mul(text.args[7], _number(2))])
    sums = {place: text.variable(ir.Constant(_INTS, [0] * _LANES)) for place in _places()}
    magics = {
        (row, v): text.load(magic, _number(row * COLUMNS + v), _FLOATS, 4)
        for row, v in _places()
    }
    with cgutils.for_range(builder, text.args[8]) as loop:
        line = builder.mul(loop.index, _number(COLUMNS))
        right = {
            v * _LANES: text.load(b, builder.add(line, _number(v * _LANES)), _FLOATS, 4)
            for v in range(_VECTORS)
        }
        at = builder.mul(loop.index, _number(ROWS))
        for row in range(ROWS):
            place = builder.add(at, _number(row))
            left = text.spread(builder.load(builder.gep(a, [place]), align=4), _LANES)
            move = builder.sext(builder.load(builder.gep(side, [place]), align=4), _I64)
            signs = builder.add(builder.mul(line, _number(2)), move)
            for v in right:
                total = sums[row, v]
                cut = text.call(
                    "llvm.x86.avx512.vfmadd.ps.512", left, right[v], magics[row, v],
                    ir.Constant(_I32, _TOWARD_ZERO),
                )  # fmt: skip
                mark = text.load(sign, builder.add(signs, _number(v)), _INTS, 4)
                builder.store(
                    _pairs(text, builder.load(total), builder.bitcast(cut, _INTS), mark), total
                )
    for row, v in _places():
        text.store(builder.load(sums[row, v]), out, row * COLUMNS + v, 4)


def _pairs(text: _Text, total: Any, a: Any, b: Any) -> Any:
    """VPDPWSSD: adds the products of the signed halves of 32-bit lanes."""
    return text.call("llvm.x86.avx512.vpdpwssd.512", total, a, b)


#: ``highest(out, a, b, at_a, at_b, steps)``: ``out[r, c] = max over s of a[s, r] + b[s, c]``, int8;
#: an element of ``a`` is an int32 that holds the byte four times.
highest = _intrinsic(_write_highest, 3, 3)
#: ``cut_sums(out, scale, a, b, at_a, at_b, steps)``: int32
#: ``out[r, c] = sum over s of int(a[s, r] * b[s, c] * scale[r, c])``, cut toward zero.
cut_sums = _intrinsic(_write_cut_sums, 4, 3)
#: ``narrow_sums(out, magic, a, side, b, sign, at_a, at_b, steps)``: the same of magnitudes ``a``
#: and ``b`` with ``magic = 2^23 / scale``: added to it with rounding toward zero, a product loses
#: what is below 1, and the low half of the bits of the sum is the term. ``sign[s, 0, c]`` is the
#: sign of ``b`` as the low half of an int32, ``sign[s, 1, c]`` the opposite; ``side`` is 64 where
#: ``a`` is negative. Terms must be below 2^15.
narrow_sums = _intrinsic(_write_narrow_sums, 6, 3)
