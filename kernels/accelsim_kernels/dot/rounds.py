"""What stands around the sums of a chunk: common exponents before, accumulators behind.

Both work on tiles of two rows by 64 columns, 16 lanes at a time, in int32 and binary32. What does
not fit (NaN, infinity, exponents far apart or beyond 2^+-100, sums beyond int32) is marked ``ODD``
in the exponents, and left to ``exact``.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from accelsim_kernels.dot.lanes import COLUMNS, ROWS
from accelsim_kernels.dot.vectors import (
    FLOAT,
    FLOATS,
    I8,
    I16,
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

#: Added to the common exponent of an element that vectors cannot do.
ODD = 1 << 20
#: Relative exponent of zero: below every sum of two exponents that are not.
NOTHING = -64
#: Smaller relative exponents are raised to this; a largest sum above it is exact all the same.
LEAST = -31
#: Exponents whose sums are normal numbers of binary32.
_FAR = 100
_BYTES = ir.VectorType(I8, LANES)
_INFINITY = 0x7F800000

# Places of the rules: integers that every kernel of aligned sums is given.
F, KEPT, HALF, ZERO, WIDE, CHUNK, FIRST_FLOOR, FLOOR, BLOCK, NARROW = range(10)


class Marks:
    """Collects which lanes are odd."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.kind = ir.VectorType(ir.IntType(1), LANES)
        self.found = text.variable(ir.Constant(self.kind, [0] * LANES))

    def add(self, odd: Lanes) -> None:
        """Note odd lanes."""
        builder = self.text.builder
        builder.store(builder.or_(builder.load(self.found), odd.value), self.found)

    def any(self) -> Any:
        """Return an int64 that is zero where no lane was odd."""
        builder = self.text.builder
        return builder.zext(builder.bitcast(builder.load(self.found), I16), I64)


def lanes(text: Text, base: Any, index: Any, kind: Any) -> Lanes:
    """Read 16 lanes that begin with an element."""
    return Lanes(text, text.load(base, index, kind, 4))


def _begin(narrow: bool) -> Any:
    """Return ``begin(top, c, row_marks, column_marks, rules, scale, ends, pair, floor)``."""

    def write(text: Text) -> Any:
        builder, (pair, floor) = text.builder, text.args[7:]
        top, c = text.data(0, number(0), I8), text.data(1, number(0), FLOAT)
        columns = text.data(3, number(0), I32)
        scale, ends = text.data(5, number(0), FLOAT), text.data(6, number(0), I32)
        kept, zero, wide = (text.same(text.integer(4, number(i))) for i in (F, ZERO, WIDE))
        least = wide.where("!=", 0).choose(wide.of(LEAST), NOTHING)
        lowest = text.same(builder.trunc(floor, I32))
        marks = Marks(text)
        for side in range(ROWS):
            row = builder.add(builder.mul(pair, number(2 * ROWS)), number(2 * side))
            line = text.data(2, row, I32)
            base, strange = (
                text.same(builder.load(builder.gep(line, [number(i)]))) for i in range(2)
            )
            with cgutils.for_range(builder, number(COLUMNS // LANES)) as loop:
                column = builder.mul(loop.index, number(LANES))
                at = builder.add(column, number(side * COLUMNS))
                bytes_ = text.load(top, at, _BYTES, 1)
                found = Lanes(text, builder.sext(bytes_, INTS))
                offset = base + lanes(text, columns, column, INTS)
                odd_column = lanes(text, columns, builder.add(column, number(COLUMNS)), INTS)
                magnitude = lanes(text, c, at, INTS) & 0x7FFFFFFF
                field = magnitude >> 23
                there, some = found.where(">", NOTHING), magnitude.where("!=", 0)
                exponent = some.choose((field - 127).largest(lowest), zero)
                end = exponent.largest(there.choose(found + offset, zero))
                far = (end + _FAR).where("u>", 2 * _FAR) & (some | there)
                odd = (strange | odd_column).where("!=", 0) | field.where("==", 255)
                odd = odd | far | (there & found.where("<=", least))
                marks.add(odd)
                text.store((end + odd.choose(end.of(ODD), 0)).value, ends, at, 4)
                shift = (kept - end + offset).largest(-_FAR).smallest(_FAR)
                factor = power(shift.of(23) - shift) if narrow else power(shift)
                text.store(factor.value, scale, at, 4)
        return marks.any()

    return looped(write, 7, 2)


def _rounded(magnitude: Lanes, half: bool) -> Lanes:
    """Return bits of binary32, rounded toward zero; with ``half``, to odd.

    Rounded to odd with two bits to spare, a second rounding is as good as one (S. Boldo,
    G. Melquiond, 2008).
    """
    near = magnitude.rounded()
    back = near.cut_unsigned()
    ones = magnitude.of(1)
    bits = near.bits() - back.where("u>", magnitude).choose(ones, 0)
    return bits | back.where("!=", magnitude).choose(ones, 0) if half else bits


def _to_half(value: Lanes) -> Lanes:
    """Return bits of positive numbers rounded to binary16."""
    field = (value.bits() >> 23).largest(127 - 14).smallest(200)
    # Added to 1.5 times 2^23 steps of the result, a number is rounded to a step.
    large = (((field + 13) << 23) | 0x400000).numbers()
    made = value.plus(large).minus(large).bits()
    return made.where(">=", 0x47800000).choose(made.of(_INFINITY), made)  # 65536


def _end(runs: int, half: bool) -> Any:
    """Return ``end(sums, c, rules, ends)``.

    Args:
        runs: how many sums of a tile are added; 0: one, below 2^24.
        half: whether accumulators are binary16, rounded to nearest.
    """

    def write(text: Text) -> Any:
        builder = text.builder
        sums, c = text.data(0, number(0), I32), text.data(1, number(0), FLOAT)
        ends = text.data(3, number(0), I32)
        kept, fraction = (text.same(text.integer(2, number(i))) for i in (F, KEPT))
        mask = kept.of(-1) << (fraction.of(23) - fraction)
        marks = Marks(text)
        with cgutils.for_range(builder, number(ROWS * COLUMNS // LANES)) as loop:
            at = builder.mul(loop.index, number(LANES))
            end, before = lanes(text, ends, at, INTS), lanes(text, c, at, FLOATS)
            odd = end.where(">", ODD // 2)
            terms = [(before * power((kept - end).smallest(127))).cut()]
            if runs == 2:
                second = builder.add(at, number(ROWS * COLUMNS))
                terms.append(lanes(text, sums, second, INTS))
            total = lanes(text, sums, at, INTS)
            for term in terms:
                made = total + term
                if runs:
                    over = ((made ^ total) & (made ^ term)).where("<", 0)
                    marks.add(over)
                    end = end + (over & (end.where("<", ODD // 2))).choose(end.of(ODD), 0)
                    odd = odd | over
                total = made
            negative = total.where("<", 0)
            magnitude = negative.choose(total.of(0) - total, total)
            bits = _rounded(magnitude, half) if runs else magnitude.rounded().bits()
            if not half:
                bits = bits & mask
            value = bits.numbers() * power((end - kept).largest(-126))
            made = _to_half(value) if half else value.bits()
            sign = (total & -(1 << 31)) & made.where("!=", 0).choose(made.of(-1), 0)
            text.store(odd.choose(before.bits(), made | sign).numbers().value, c, at, 4)
            if runs:
                text.store(end.value, ends, at, 4)
        return marks.any()

    return looped(write, 4, 0)


begin_cut, begin_narrow = _begin(False), _begin(True)
end_narrow, end_narrow_half = _end(0, False), _end(0, True)
end_one, end_one_half = _end(1, False), _end(1, True)
end_two, end_two_half = _end(2, False), _end(2, True)
