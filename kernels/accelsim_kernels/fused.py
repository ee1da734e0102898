"""Scalar operations that Python has no word for: fused multiply-add, and the bits of a number."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _fma(kind: Any) -> Any:
    def typer(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.fma(*args)

        return kind(kind, kind, kind), codegen

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
#: The bits of a binary32 number, and the number of such bits.
bits_of = _bitcast(types.float32, types.uint32, ir.IntType(32))
float_of = _bitcast(types.uint32, types.float32, ir.FloatType())
#: The binary64 number of its bits.
double_of = _bitcast(types.int64, types.float64, ir.DoubleType())
