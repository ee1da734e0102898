"""One chunk of four groups: from exact sums of groups to accumulators, in vectors.

A group's term is ``p * ma * mb * 2^(ea + eb)``, p the sum of its products and m, e of its scales.
With 35 fraction bits terms have up to 47 bits, so they are added in int64, from products in
binary64, which are exact.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from accelsim_kernels.dot.rounds import ODD, Marks, lanes
from accelsim_kernels.dot.vectors import (
    FLOAT,
    FLOATS,
    I32,
    I64,
    INTS,
    LANES,
    Lanes,
    Text,
    looped,
    number,
    power,
)
from accelsim_kernels.tile import COLUMNS, ROWS

#: Groups of a chunk.
GROUPS = 4
#: What is known of a group of one row or column: exponent and significand of its scale, places of
#: codes that are not zero. A scale that is NaN is this bit of the places.
EXPONENT, SIGNIFICAND, PLACES = range(3)
FACTS = 3
NOT_A_NUMBER = 1 << 30
#: Exponents whose sums are normal numbers of binary32.
_FAR = 90
#: Bits below the integer ``p * ma * mb``: FP4 has one, the significands of scales three each.
BELOW = 2 + 6
_DOUBLES, _LONGS = ir.VectorType(ir.DoubleType(), LANES), ir.VectorType(I64, LANES)


class _Tile:
    """Reads what is known of the groups of 16 columns and one row.

    Args:
        text: of the intrinsic.
        row: index of the row.
        column: first column.
    """

    def __init__(self, text: Text, row: Any, column: Any) -> None:
        self.text, self.column = text, column
        builder = text.builder
        self.at = builder.add(builder.mul(row, number(COLUMNS)), column)
        self.sums = text.data(0, number(0), I32)
        self.rows = text.data(2, builder.mul(row, number(GROUPS * FACTS)), I32)
        self.columns = text.data(3, number(0), I32)

    def facts(self, group: int, which: int) -> tuple[Lanes, Lanes]:
        """Return a fact of the row and of the columns."""
        text, place = self.text, group * FACTS + which
        row = text.builder.load(text.builder.gep(self.rows, [number(place)]))
        column = text.builder.add(self.column, number(place * COLUMNS))
        return text.same(row), lanes(text, self.columns, column, INTS)

    def sum(self, group: int) -> Lanes:
        """Return the exact sums of a group."""
        index = self.text.builder.add(self.at, number(group * ROWS * COLUMNS))
        return lanes(self.text, self.sums, index, INTS)


def _long_term(text: Text, total: Any, factor: Lanes) -> Any:
    """Return ``total * factor`` as int64, cut toward zero; both are vectors of 16."""
    builder = text.builder
    wide = builder.fpext(factor.value, _DOUBLES)
    return builder.fptosi(builder.fmul(total, wide), _LONGS)


def _write(text: Text) -> Any:
    builder = text.builder
    zero, kept = text.same(text.integer(4, number(3))), text.integer(4, number(0))
    c, ends = text.data(1, number(0), FLOAT), text.data(5, number(0), I32)
    marks = Marks(text)
    with cgutils.for_range(builder, number(ROWS * COLUMNS // LANES)) as loop:
        row = builder.udiv(loop.index, number(COLUMNS // LANES))
        rest = builder.urem(loop.index, number(COLUMNS // LANES))
        tile = _Tile(text, row, builder.mul(rest, number(LANES)))
        before = lanes(text, c, tile.at, FLOATS)
        magnitude = before.bits() & 0x7FFFFFFF
        field, some = magnitude >> 23, magnitude.where("!=", 0)
        end = some.choose((field - 127).largest(-126), zero)
        odd, exponents = field.where("==", 255), []
        for group in range(GROUPS):
            (ea, eb), (na, nb) = tile.facts(group, EXPONENT), tile.facts(group, PLACES)
            there = (na & nb).where("!=", 0)
            odd = odd | ((na | nb) & NOT_A_NUMBER).where("!=", 0)
            exponents.append(ea + eb)
            end, some = end.largest(there.choose(ea + eb, zero)), some | there
        odd = odd | ((end + _FAR).where("u>", 2 * _FAR) & some)
        marks.add(odd)
        text.store((end + odd.choose(end.of(ODD), 0)).value, ends, tile.at, 4)
        near = end.largest(-_FAR).smallest(_FAR)
        scaled = (before * power(near.of(0) - near)).value
        high = ir.Constant(_DOUBLES, [2.0**35] * LANES)
        total = _long_term(text, high, Lanes(text, scaled))
        for group, exponent in enumerate(exponents):
            ma, mb = (x.numbers() for x in tile.facts(group, SIGNIFICAND))
            shift = (exponent - near + text.same(kept) - BELOW).largest(-_FAR).smallest(_FAR)
            sums = builder.sitofp(tile.sum(group).value, _DOUBLES)
            total = builder.add(total, _long_term(text, sums, ma * mb * power(shift)))
        bits = builder.bitcast(builder.sitofp(total, _DOUBLES), _LONGS)
        cut = builder.and_(bits, ir.Constant(_LONGS, [-(1 << 29)] * LANES))
        made = Lanes(text, builder.fptrunc(builder.bitcast(cut, _DOUBLES), FLOATS))
        made = made * power(near - text.same(kept))
        text.store(odd.choose(before, made).value, c, tile.at, 4)
    return marks.any()


#: ``end_groups(sums, c, rows, columns, rules, ends)``: turns sums ``[4, 6, 64]`` and accumulators
#: ``[6, 64]`` into accumulators. ``rows`` are facts ``[6, 4, 3]``, ``columns`` ``[4, 3, 64]``;
#: significands are stored as bits of binary32.
end_groups = looped(_write, 6, 0)
