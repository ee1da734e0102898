"""Scalar operations that Python has no word for, and over which loops become vectors.

Fused multiply-add, division as IEEE 754 has it, choice without a branch, the bits of a number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from accelsim_kernels.jit import part


def _fma(kind: Any) -> Any:
    def typer(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.fma(*args)

        return kind(kind, kind, kind), codegen

    return intrinsic(typer)


def _division(kind: Any) -> Any:
    def typer(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.fdiv(*args)

        return kind(kind, kind), codegen

    return intrinsic(typer)


def _choice(kind: Any) -> Any:
    def typer(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.select(*args)

        return kind(types.boolean, kind, kind), codegen

    return intrinsic(typer)


def _bitcast(source: Any, target: Any, lowered: Any) -> Any:
    def typer(typingctx: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], lowered)

        return target(source), codegen

    return intrinsic(typer)


#: ``fma(a, b, c)``: ``a * b + c`` with one rounding (IEEE 754-2019, section 5.4.1).
fma32 = _fma(types.float32)
fma64 = _fma(types.float64)
#: ``a / b`` as IEEE 754 has it. Numba's own raises where b is 0, a branch that stops vectors.
divide32 = _division(types.float32)
divide64 = _division(types.float64)
#: ``choose(condition, a, b)``: a where it holds, else b, both computed, without a branch.
choose64 = _choice(types.float64)
#: The bits of a binary32 number, and the number of such bits.
bits_of = _bitcast(types.float32, types.uint32, ir.IntType(32))
float_of = _bitcast(types.uint32, types.float32, ir.FloatType())
#: The binary64 number of its bits, and the bits of a number.
double_of = _bitcast(types.int64, types.float64, ir.DoubleType())
bits_of_double = _bitcast(types.float64, types.int64, ir.IntType(64))


@part
def order_of(x: np.float32) -> np.int32:
    """Return an integer that orders binary32 numbers as they are, -0 before +0, NaN at the ends.

    The largest of integers is found in vectors, that of numbers is not.
    """
    bits = np.int32(bits_of(x))
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


@part
def of_order(key: np.int32) -> np.float32:
    """Return the number of an integer of ``order_of``."""
    return float_of(np.uint32(key ^ ((key >> np.int32(31)) & np.int32(0x7FFFFFFF))))
