"""Chains of fused multiply-adds that stay in registers while K runs.

``chain(out, left, a, i, k, b, row, column, steps)`` takes C-contiguous matrices. For six rows r
and the columns c of its width, while s ascends,
``out[r, left + c] = fma(a[i + r, k + s], b[row + s, column + c], out[r, left + c])``.
The text is the same for every machine; LLVM lowers it to the vectors that it has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from accelsim_kernels.jit import part

Float32 = npt.NDArray[np.float32]

#: Rows of a tile. Six rows of four vectors and their operands fill AVX-512's 32 registers.
ROWS = 6
#: Bytes of a vector.
_WIDTH = 64
_I32, _I64 = ir.IntType(32), ir.IntType(64)


class _Matrix:
    """A C-contiguous matrix, seen from one of its elements."""

    def __init__(self, builder: Any, array: Any, place: tuple[Any, Any]) -> None:
        self.builder = builder
        self.columns = cgutils.unpack_tuple(builder, array.shape)[1]
        self.data = builder.gep(array.data, [place[1]])
        self.data = self.row(place[0])

    def row(self, row: Any) -> Any:
        """Return the address of the first element of a row."""
        return self.builder.gep(self.data, [self.builder.mul(row, self.columns)])


def _number(value: int) -> Any:
    return ir.Constant(_I64, value)


def _vector(builder: Any, row: Any, column: int, kind: Any) -> Any:
    """Return the address of a vector in a row."""
    return builder.bitcast(builder.gep(row, [_number(column)]), kind.as_pointer())


def _spread(builder: Any, one: Any, lanes: int) -> Any:
    """Repeat one element in every lane."""
    kind = ir.VectorType(one.type, lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    single = builder.insert_element(undefined, one, ir.Constant(_I32, 0))
    mask = ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes)
    return builder.shuffle_vector(single, undefined, mask)


def _run(builder: Any, out: _Matrix, a: _Matrix, b: _Matrix, steps: Any, vectors: int) -> None:
    """Load the sums, run K, store the sums."""
    size = 4 if isinstance(out.data.type.pointee, ir.FloatType) else 8
    lanes = _WIDTH // size
    kind = ir.VectorType(out.data.type.pointee, lanes)
    signature = ir.FunctionType(kind, [kind] * 3)
    name = f"llvm.fma.v{lanes}f{8 * size}"
    fma = cgutils.get_or_insert_function(builder.module, signature, name)
    columns = [v * lanes for v in range(vectors)]
    rows = [out.row(_number(row)) for row in range(ROWS)]
    places = {(r, c): _vector(builder, rows[r], c, kind) for r in range(ROWS) for c in columns}
    # LLVM turns these variables, which nothing else can see, into registers.
    sums = {
        place: cgutils.alloca_once_value(builder, builder.load(address, align=size))
        for place, address in places.items()
    }
    lefts = [a.row(_number(row)) for row in range(ROWS)]
    with cgutils.for_range(builder, steps) as loop:
        line = b.row(loop.index)
        right = {c: builder.load(_vector(builder, line, c, kind), align=size) for c in columns}
        for row in range(ROWS):
            one = builder.load(builder.gep(lefts[row], [loop.index]), align=size)
            left = _spread(builder, one, lanes)
            for c in columns:
                total = sums[row, c]
                builder.store(builder.call(fma, [left, right[c], builder.load(total)]), total)
    for place, address in places.items():
        builder.store(builder.load(sums[place]), address, align=size)


def _chain(vectors: int) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def matrix(argument: int, place: tuple[Any, Any]) -> _Matrix:
            make = context.make_array(signature.args[argument])
            return _Matrix(builder, make(context, builder, args[argument]), place)

        out = matrix(0, (_number(0), args[1]))
        a, b = matrix(2, (args[3], args[4])), matrix(5, (args[6], args[7]))
        _run(builder, out, a, b, args[8], vectors)
        return context.get_dummy_value()  # what Numba calls the None of an intrinsic

    def typer(  # Numba hands over one argument per argument of the chain
        typingctx: Any, out: Any, left: Any, a: Any, i: Any, k: Any, b: Any, row: Any, column: Any,
        steps: Any,
    ) -> Any:  # fmt: skip
        index = types.int64
        return types.void(out, index, a, index, index, b, index, index, index), codegen

    return intrinsic(typer)


#: By vectors of 64 bytes: 64, 32 and 16 columns of binary32, or half as many of binary64.
chain4, chain2, chain1 = _chain(4), _chain(2), _chain(1)


@part
def chain_columns(out: Float32, a: Float32, k: int, b: Float32, row: int, steps: int) -> None:
    """Run chains of binary32 over all columns, whose number is a multiple of 16."""
    left, width = 0, out.shape[1]
    while left + 64 <= width:
        chain4(out, left, a, 0, k, b, row, left, steps)
        left += 64
    if left + 32 <= width:
        chain2(out, left, a, 0, k, b, row, left, steps)
        left += 32
    if left + 16 <= width:
        chain1(out, left, a, 0, k, b, row, left, steps)
