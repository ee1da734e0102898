"""Requantization of 64 sums at once, spelled for 16 lanes.

Products of 32-bit numbers are wanted in 64 bits. Compilers widen whole vectors for that; here even
and odd lanes are multiplied where they stand, which spares the moves. The text is plain LLVM: where
there are no vectors of 16 lanes it is lowered to shorter ones, and the bits are those of the loops
in ``requant``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from accelsim_kernels.tile import COLUMNS

_LANES = 16
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()
_LOW = 0xFFFFFFFF
_ROUNDER = 1.5 * 2.0**23


def _many(kind: Any, value: Any, lanes: int = _LANES) -> Any:
    return ir.Constant(ir.VectorType(kind, lanes), [value] * lanes)


@dataclass(frozen=True)
class _Lanes:
    """What 16 lanes are made of: the sums, and how to load their columns of the table."""

    builder: Any
    sums: Any
    column: Callable[[int, Any], Any]
    factor: Callable[[], Any]
    zero: Any
    low: Any
    high: Any

    def halves(self, values: Any) -> tuple[Any, Any]:
        """Return the even and the odd lanes as signed 64-bit numbers."""
        builder, by = self.builder, _many(_I64, 32, _LANES // 2)
        pairs = builder.bitcast(values, by.type)
        return builder.ashr(builder.shl(pairs, by), by), builder.ashr(pairs, by)

    def joined(self, even: Any, odd: Any) -> Any:
        """Return the low halves of the even and the high halves of the odd numbers as lanes."""
        builder, low = self.builder, _many(_I64, _LOW, _LANES // 2)
        high = _many(_I64, _LOW << 32, _LANES // 2)
        found = builder.or_(builder.and_(even, low), builder.and_(odd, high))
        return builder.bitcast(found, ir.VectorType(_I32, _LANES))

    def bounded(self, values: Any) -> Any:
        """Add the zero point and clamp."""
        builder = self.builder
        moved = builder.add(values, self.zero)
        above = builder.select(builder.icmp_signed("<", moved, self.low), self.low, moved)
        return builder.select(builder.icmp_signed(">", above, self.high), self.high, above)


def _double(lanes: _Lanes) -> Any:
    """The high half of twice the product, half up; a shift, half away from zero."""
    builder = lanes.builder
    shifted = lanes.halves(builder.shl(lanes.sums, lanes.column(1, _I32)))
    multipliers = lanes.halves(lanes.column(0, _I32))
    half = _many(_I64, 1 << 30, _LANES // 2)
    even, odd = (
        builder.add(builder.mul(x, m), half) for x, m in zip(shifted, multipliers, strict=True)
    )
    even = builder.lshr(even, _many(_I64, 31, _LANES // 2))
    high = lanes.joined(even, builder.shl(odd, _many(_I64, 1, _LANES // 2)))
    right, one = lanes.column(2, _I32), _many(_I32, 1)
    mask = builder.sub(builder.shl(one, right), one)
    threshold = builder.add(builder.lshr(mask, one), builder.lshr(high, _many(_I32, 31)))
    more = builder.icmp_signed(">", builder.and_(high, mask), threshold)
    found = builder.sub(builder.ashr(high, right), builder.sext(more, high.type))
    return lanes.bounded(found)


def _single(lanes: _Lanes, nudged: bool = False) -> Any:
    """The product, half up, shifted right by all there is to shift."""
    builder, one = lanes.builder, _many(_I64, 1, _LANES // 2)
    made = []
    for x, m, by in zip(
        lanes.halves(lanes.sums), lanes.halves(lanes.column(0, _I32)),
        lanes.halves(lanes.column(2, _I32)), strict=True,
    ):  # fmt: skip
        half = builder.shl(one, builder.sub(by, one))
        if nudged:
            half = builder.add(half, _nudge(builder, x, by))
        made.append(builder.ashr(builder.add(builder.mul(x, m), half), by))
    return lanes.bounded(lanes.joined(made[0], builder.shl(made[1], _many(_I64, 32, _LANES // 2))))


def _nudge(builder: Any, x: Any, by: Any) -> Any:
    """2^30 away from zero where more than 31 places are shifted, else nothing."""
    nothing, nudge = _many(_I64, 0, _LANES // 2), _many(_I64, 1 << 30, _LANES // 2)
    down = builder.icmp_signed("<", x, nothing)
    away = builder.select(down, builder.sub(nothing, nudge), nudge)
    more = builder.icmp_signed(">", by, _many(_I64, 31, _LANES // 2))
    return builder.select(more, away, nothing)


def _nudged(lanes: _Lanes) -> Any:
    """``_single`` of rules that move away from zero first."""
    return _single(lanes, nudged=True)


def _float(lanes: _Lanes) -> Any:
    """A product in binary32, clamped without the zero point, ties to even."""
    builder, floats = lanes.builder, ir.VectorType(_FLOAT, _LANES)
    value = builder.fmul(builder.sitofp(lanes.sums, floats), lanes.column(0, _FLOAT))
    for edge, order in ((lanes.low, "<"), (lanes.high, ">")):
        bound = builder.sitofp(builder.sub(edge, lanes.zero), floats)
        value = builder.select(builder.fcmp_ordered(order, value, bound), bound, value)
    rounder = _many(_FLOAT, _ROUNDER)
    whole = builder.fsub(builder.fadd(value, rounder), rounder)
    return builder.add(builder.fptosi(whole, lanes.sums.type), lanes.zero)


def _real(lanes: _Lanes) -> Any:
    """A product in binary64, half away from zero, within int32."""
    builder, doubles = lanes.builder, ir.VectorType(_DOUBLE, _LANES)

    def call(name: str, *args: Any) -> Any:
        kind = ir.FunctionType(doubles, [doubles] * len(args))
        module = builder.module
        return builder.call(cgutils.get_or_insert_function(module, kind, name), args)

    value = builder.fmul(builder.sitofp(lanes.sums, doubles), lanes.factor())
    size = call("llvm.fabs.v16f64", value)
    whole = call("llvm.floor.v16f64", size)
    up = builder.fcmp_ordered(">=", builder.fsub(size, whole), _many(_DOUBLE, 0.5))
    step = builder.select(up, _many(_DOUBLE, 1.0), _many(_DOUBLE, 0.0))
    away = call("llvm.copysign.v16f64", builder.fadd(whole, step), value)
    for edge, order in ((-(2.0**31), "<"), (2.0**31 - 1, ">")):
        bound = _many(_DOUBLE, edge)
        away = builder.select(builder.fcmp_ordered(order, away, bound), bound, away)
    return lanes.bounded(builder.fptosi(away, lanes.sums.type))


def _row(operation: Callable[[_Lanes], Any]) -> Any:
    """Return ``row(sums, table, n, scales, limits, edge, out)`` for 64 columns from ``edge`` on.

    ``sums`` holds 64 int32; ``table`` is flat, three rows of n; ``limits`` as of a
    ``Requantization``; ``out`` holds 64 codes.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args

        def address(which: int) -> Any:
            return context.make_array(kinds[which])(context, builder, args[which]).data

        def vector(which: int, at: Any, kind: Any) -> Any:
            place = builder.gep(builder.bitcast(address(which), kind.as_pointer()), [at])
            wide = ir.VectorType(kind, _LANES).as_pointer()
            return builder.load(builder.bitcast(place, wide), align=4)

        def spread(which: int) -> Any:
            one = builder.load(builder.gep(address(4), [_I64(which)]))
            single = builder.insert_element(_many(_I32, ir.Undefined), one, _I32(0))
            return builder.shuffle_vector(single, single, _many(_I32, 0))

        limits = [spread(which) for which in (2, 3, 4)]
        width = ir.IntType(kinds[6].dtype.bitwidth)
        for start in range(0, COLUMNS, _LANES):
            at = builder.add(args[5], _I64(start))

            def column(row: int, kind: Any, at: Any = at) -> Any:
                return vector(1, builder.add(at, builder.mul(args[2], _I64(row))), kind)

            def factor(at: Any = at) -> Any:
                return vector(3, at, _DOUBLE)

            lanes = _Lanes(builder, vector(0, _I64(start), _I32), column, factor, *limits)
            found = operation(lanes)
            if width.width < 32:
                found = builder.trunc(found, ir.VectorType(width, _LANES))
            target = builder.gep(address(6), [_I64(start)])
            builder.store(found, builder.bitcast(target, found.type.as_pointer()), align=1)
        return context.get_dummy_value()  # what Numba calls the None of an intrinsic

    def typer(
        typingctx: Any, sums: Any, table: Any, n: Any, scales: Any, limits: Any, edge: Any,
        out: Any,
    ) -> Any:  # fmt: skip
        index = types.int64
        return types.void(sums, table, index, scales, limits, index, out), codegen

    return intrinsic(typer)


double_row = _row(_double)
single_row = _row(_single)
nudged_row = _row(_nudged)
float_row = _row(_float)
real_row = _row(_real)
