"""The innermost loops of aligned sums: two rows by 64 columns while the K of one chunk runs.

Each is written as LLVM vectors of 512 bits. The text of ``highest`` and ``cut_sums`` is the same
for every machine. ``narrow_sums`` gives the bits of ``cut_sums`` where a term has at most 15 bits,
in two instructions of AVX-512 per 16 products.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from accelsim_kernels.dot.vectors import (
    FLOAT,
    FLOATS,
    I8,
    I32,
    I64,
    INTS,
    LANES,
    Text,
    looped,
    number,
)
from accelsim_kernels.tile import has_vnni

#: Rows and columns of a tile.
ROWS, COLUMNS = 2, 64
_VECTORS = COLUMNS // LANES
_BYTES = ir.VectorType(I8, COLUMNS)
#: Embedded rounding toward zero without exceptions (Intel SDM, volume 2, EVEX.RC).
_TOWARD_ZERO = 11


def _write_highest(text: Text) -> None:
    builder = text.builder
    out = text.data(0, number(0), I8)
    a, b = text.data(1, text.args[3], I32), text.data(2, text.args[4], I8)
    low = ir.Constant(_BYTES, [-128] * COLUMNS)
    found = [text.variable(low) for _ in range(ROWS)]
    with cgutils.for_range(builder, text.args[5]) as loop:
        right = text.load(b, builder.mul(loop.index, number(COLUMNS)), _BYTES, 1)
        at = builder.mul(loop.index, number(ROWS))
        for row in range(ROWS):
            one = builder.load(builder.gep(a, [builder.add(at, number(row))]), align=4)
            left = builder.bitcast(text.spread(one, LANES), _BYTES)
            sums = builder.add(left, right)
            builder.store(
                text.call(f"llvm.smax.v{COLUMNS}i8", builder.load(found[row]), sums), found[row]
            )
    for row in range(ROWS):
        text.store(builder.load(found[row]), out, number(row * COLUMNS), 1)


def _places() -> list[tuple[int, int]]:
    return [(row, v * LANES) for row in range(ROWS) for v in range(_VECTORS)]


def _write_cut_sums(text: Text) -> None:
    builder = text.builder
    out, scale = text.data(0, number(0), I32), text.data(1, number(0), FLOAT)
    a, b = text.data(2, text.args[4], FLOAT), text.data(3, text.args[5], FLOAT)
    sums = {place: text.variable(ir.Constant(INTS, [0] * LANES)) for place in _places()}
    scales = {
        (row, v): text.load(scale, number(row * COLUMNS + v), FLOATS, 4) for row, v in _places()
    }
    with cgutils.for_range(builder, text.args[6]) as loop:
        line = builder.mul(loop.index, number(COLUMNS))
        right = {
            v * LANES: text.load(b, builder.add(line, number(v * LANES)), FLOATS, 4)
            for v in range(_VECTORS)
        }
        at = builder.mul(loop.index, number(ROWS))
        for row in range(ROWS):
            one = builder.load(builder.gep(a, [builder.add(at, number(row))]), align=4)
            left = text.spread(one, LANES)
            for v in right:
                # The product is exact, and a power of two leaves it so.
                term = builder.fmul(builder.fmul(left, right[v]), scales[row, v])
                total = sums[row, v]
                cut = builder.fptosi(term, INTS)
                builder.store(builder.add(builder.load(total), cut), total)
    for row, v in _places():
        text.store(builder.load(sums[row, v]), out, number(row * COLUMNS + v), 4)


def _write_narrow_sums(text: Text) -> None:
    if not has_vnni():  # never called then, but compiled
        return
    builder = text.builder
    out, magic = text.data(0, number(0), I32), text.data(1, number(0), FLOAT)
    a, b = text.data(2, text.args[6], FLOAT), text.data(4, text.args[7], FLOAT)
    side = text.data(3, text.args[6], I32)
    # Signs lie beside the numbers twice: as they are, and of the opposite sign.
    sign = builder.gep(text.data(5, number(0), I32), [builder.mul(text.args[7], number(2))])
    sums = {place: text.variable(ir.Constant(INTS, [0] * LANES)) for place in _places()}
    magics = {
        (row, v): text.load(magic, number(row * COLUMNS + v), FLOATS, 4) for row, v in _places()
    }
    with cgutils.for_range(builder, text.args[8]) as loop:
        line = builder.mul(loop.index, number(COLUMNS))
        right = {
            v * LANES: text.load(b, builder.add(line, number(v * LANES)), FLOATS, 4)
            for v in range(_VECTORS)
        }
        at = builder.mul(loop.index, number(ROWS))
        for row in range(ROWS):
            place = builder.add(at, number(row))
            left = text.spread(builder.load(builder.gep(a, [place]), align=4), LANES)
            move = builder.sext(builder.load(builder.gep(side, [place]), align=4), I64)
            signs = builder.add(builder.mul(line, number(2)), move)
            for v in right:
                total = sums[row, v]
                cut = text.call(
                    "llvm.x86.avx512.vfmadd.ps.512", left, right[v], magics[row, v],
                    ir.Constant(I32, _TOWARD_ZERO),
                )  # fmt: skip
                mark = text.load(sign, builder.add(signs, number(v)), INTS, 4)
                builder.store(
                    _pairs(text, builder.load(total), builder.bitcast(cut, INTS), mark), total
                )
    for row, v in _places():
        text.store(builder.load(sums[row, v]), out, number(row * COLUMNS + v), 4)


def _pairs(text: Text, total: Any, a: Any, b: Any) -> Any:
    """VPDPWSSD: adds the products of the signed halves of 32-bit lanes."""
    return text.call("llvm.x86.avx512.vpdpwssd.512", total, a, b)


#: ``highest(out, a, b, at_a, at_b, steps)``: ``out[r, c] = max over s of a[s, r] + b[s, c]``, int8;
#: an element of ``a`` is an int32 that holds the byte four times.
highest = looped(_write_highest, 3, 3)
#: ``cut_sums(out, scale, a, b, at_a, at_b, steps)``: int32
#: ``out[r, c] = sum over s of int(a[s, r] * b[s, c] * scale[r, c])``, cut toward zero.
cut_sums = looped(_write_cut_sums, 4, 3)
#: ``narrow_sums(out, magic, a, side, b, sign, at_a, at_b, steps)``: the same of magnitudes ``a``
#: and ``b`` with ``magic = 2^23 / scale``: added to it with rounding toward zero, a product loses
#: what is below 1, and the low half of the bits of the sum is the term. ``sign[s, 0, c]`` is the
#: sign of ``b`` as the low half of an int32, ``sign[s, 1, c]`` the opposite; ``side`` is 64 where
#: ``a`` is negative. Terms must be below 2^15.
narrow_sums = looped(_write_narrow_sums, 6, 3)
