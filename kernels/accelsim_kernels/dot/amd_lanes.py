"""The addition of a floored sum to its accumulator, sixteen at once: the bits of ``added``.

With ``below`` = 32 - fraction_bits, a number of the common exponent E is kept as a whole part in
units of ``2^(E - fraction_bits)`` and the ``below`` bits under it, both in 32 bits.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

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
    power,
)
from accelsim_kernels.dot.vectors import number as constant

#: Exponent of NaN and infinity by which they are dropped.
_SPECIAL = -1
#: Below this exponent a sum can be subnormal.
_SMALL = -90


def _down(x: Lanes, count: Lanes) -> Lanes:
    """Shift right by up to any count, with the sign."""
    return x.of(x.text.builder.ashr(x.value, count.smallest(31).value))


def _zeros(x: Lanes) -> Lanes:
    """Count leading zeros; 32 of zero."""
    return x.of(x.text.call("llvm.ctlz.v16i32", x.value, ir.Constant(ir.IntType(1), 0)))


def _magnitude(whole: Lanes, low: Lanes, sign: Lanes) -> Lanes:
    """Return the whole part of ``|whole + low|``; a negative one is complemented, and +1."""
    carry = low.where("==", 0).choose(sign, 0)
    return (whole ^ sign) - carry  # sign is -1


def _rounded(whole: Lanes, low: Lanes, below: Lanes, high: Lanes) -> Lanes:
    """Floor to 31 fraction bits, round to binary32."""
    one = whole.of(1)
    mask = (one << below) - 1
    sign = _down(whole, whole.of(31))
    lost = (below - _zeros(_magnitude(whole, low, sign))).largest(0)
    low = low & (whole.of(-1) << lost)
    size = _magnitude(whole, low, sign)
    rest = ((low ^ sign) - sign) & mask
    up = (_zeros(size) - 1).smallest(below)
    sticky = ((rest << up) & mask).where("!=", 0).choose(one, 0)
    # Thirty bits or more, so that what sticks lies below the last bit and its half; or all of them.
    word = (size << up) | (rest >> (below - up)) | sticky
    number = word.of(word.text.builder.sitofp(word.value, FLOATS))
    scale = power((high + below - up - 32).largest(-126))
    return ((number * scale).bits() | (sign << 31)).numbers()


def _write_add(text: Text) -> Any:
    builder = text.builder
    out, acc = text.data(0, constant(0), FLOAT), text.data(1, constant(0), FLOAT)
    sums, tops = text.data(2, constant(0), I32), text.data(3, constant(0), I32)
    halves, bits = text.args[4], text.same(builder.trunc(text.args[5], I32))
    count, below = text.args[6], bits.of(32) - bits
    two = builder.icmp_signed("==", halves, constant(2))
    drop = text.same(builder.sext(two, I32))
    rare = text.variable(ir.Constant(ir.IntType(LANES), 0))
    with cgutils.for_range(builder, builder.udiv(count, constant(LANES))) as loop:
        at = builder.mul(loop.index, constant(LANES))

        def read(base: Any, place: Any) -> Lanes:
            return Lanes(text, text.load(base, place, INTS, 4))

        second = builder.add(at, builder.select(two, count, constant(0)))
        one, other = read(tops, at), read(tops, second)
        top = one.largest(other)
        more = drop & _down(read(sums, second), top - other)
        total = _down(read(sums, at), top - one) + more
        word = read(acc, at)
        field = (word >> 23) & 255
        special = field.where("==", 255)
        mine = field.largest(1) - 127
        mine = (special.choose(drop, 0) & (mine.of(_SPECIAL) ^ mine)) ^ mine
        part = (word & 0x7FFFFF) | (field.smallest(1) << 23)
        sign = _down(word, word.of(31))
        part = ((part ^ sign) - sign) << (bits - 23)
        high = top.largest(mine)
        dropped = (high - bits - 1).where(">", mine).choose(drop, 0)
        whole = _down(part, high - mine)
        whole = whole & (dropped ^ -1)
        far = high - top
        low = far.where(">=", below).choose(
            _down(total, (far - below).largest(0)), total << (below - far).largest(0)
        )
        whole = whole + _down(total, far)
        low = low & ((below.of(1) << below) - 1)
        found = _rounded(whole, low, below, high)
        kept = special.choose(dropped ^ -1, 0).where("!=", 0)
        found = kept.choose(word.numbers(), found)
        text.store(found.value, out, at, 4)
        small = high.where("<", _SMALL).choose(whole | low, 0).where("!=", 0)
        mask = builder.bitcast(small.value, ir.IntType(LANES))
        builder.store(builder.or_(builder.load(rare), mask), rare)
    return builder.zext(builder.load(rare), I64)


#: ``add_floored(out, acc, sums, tops, halves, bits, count)``: the accumulators ``out`` after the
#: sums; halves lie ``count`` apart. Not 0 where some are wrong, because they could be subnormal.
add_floored = looped(_write_add, 4, 3)
