"""AMD CDNA3: aligned sums of a chunk, then floored to the exponent of the accumulator.

One chunk of products and the accumulator c become the next c:

1. The products are summed at once (FP16, BF16, XF32: TR-FDPA), or those of even and of odd places
   apart (FP8: GTR-FDPA). In each sum, every product is cut toward zero at
   ``2^(e - fraction_bits)``, where e is the largest exponent of its non-zero products; a product's
   exponent is the sum of its operands' exponents.
2. Two halves are floored to the larger of their exponents, at the same place, and added.
3. With E the larger exponent of that sum and of c (at least -126), the sum is floored at
   ``2^(E - 32)``, c at ``2^(E - fraction_bits)``; with two halves, c counts as zero where its
   exponent is below ``E - fraction_bits - 1``.
4. Their sum is floored to 31 fraction bits of its own (subnormal numbers: at ``2^-157``) and
   rounded to binary32, ties to even.

A product whose magnitude reaches 2^128 is infinite. Floors go toward minus infinity, so the result
of negated operands is not the negated result. Source: arXiv 2511.10909; mmasim 2.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim_kernels.dot.amd_layout import (
    UNROLL,
    Chunks,
    Side,
    columns_of,
    rows_of,
)
from accelsim_kernels.dot.serial_tiles import BLOCK, COLUMNS, in_threads, read_tile, write_tile
from accelsim_kernels.fused import bits_of, bits_of_double, double_of, float_of
from accelsim_kernels.jit import DOOR, kernel, leaf

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int16 = npt.NDArray[np.int16]

#: Fraction bits to which the sum with the accumulator is floored.
SUM_BITS = 31
#: Exponent of a sum without any product but zeros.
_NOTHING = -999
#: Exponent by which NaN and infinity in c are dropped, as mmasim has it; silicon was not asked.
_SPECIAL = -1


@DOOR.inner
def _largest(ea: Int16, eb: Int16, tops: Int16) -> None:
    """Find the largest exponent of a product, for 64 columns."""
    for j in range(COLUMNS):
        tops[j] = np.int16(-8000)
    for k in range(0, ea.size, UNROLL):
        e0, e1, e2, e3 = ea[k], ea[k + 1], ea[k + 2], ea[k + 3]
        for j in range(COLUMNS):
            left = max(np.int16(e0 + eb[k, j]), np.int16(e1 + eb[k + 1, j]))
            right = max(np.int16(e2 + eb[k + 2, j]), np.int16(e3 + eb[k + 3, j]))
            tops[j] = max(tops[j], max(left, right))


@DOOR.inner
def _power(exponent: np.int32) -> np.float32:
    """Return ``2^exponent``; zeros, whose exponent is far below, need no more than a number."""
    return float_of(np.uint32(max(exponent, np.int32(-64)) + np.int32(127)) << np.uint32(23))


@DOOR.inner
def _narrow(a: Float32, b: Float32, scales: Float32, sums: Int32) -> None:
    """Sum products of numbers, each exact in binary32, cut toward zero, for 64 columns."""
    for k in range(0, a.size, UNROLL):
        a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
        for j in range(COLUMNS):
            left = np.int32(a0 * b[k, j] * scales[j]) + np.int32(a1 * b[k + 1, j] * scales[j])
            right = np.int32(a2 * b[k + 2, j] * scales[j]) + np.int32(a3 * b[k + 3, j] * scales[j])
            sums[j] += np.int32(left + right)


@DOOR.inner
def _wide(a: Float32, ea: Int16, b: Float32, eb: Int16, lifts: Int32, sums: Int32) -> None:
    """The same of parts, where products of numbers would leave the range of binary32."""
    for k in range(a.size):
        own = np.int32(ea[k])
        for j in range(COLUMNS):
            power = np.int32(np.int32(own + eb[k, j]) + lifts[j])
            sums[j] += np.int32(a[k] * b[k, j] * _power(power))


@DOOR.inner
def _added(total: np.int32, top: np.int32, c: np.float32, bits: int, drop: bool) -> np.float32:
    """Return the accumulator c after a sum ``total * 2^(top - bits)``."""
    word = bits_of(c)
    field = np.int32((word >> np.uint32(23)) & np.uint32(255))
    mine = max(field, np.int32(1)) - np.int32(127)
    special = field == np.int32(255)
    mine = np.int32(_SPECIAL) if drop and special else np.int32(mine)
    part = np.int32(word & np.uint32(0x7FFFFF)) | (min(field, np.int32(1)) << np.int32(23))
    sign = np.int32(word) >> np.int32(31)
    part = np.int32(np.int32(part ^ sign) - sign)
    high = max(top, mine)
    low = np.int32(part << np.int32(bits - 23)) >> min(np.int32(high - mine), np.int32(31))
    dropped = drop and mine < np.int32(high - np.int32(bits + 1))
    low = np.int32(0) if dropped else np.int32(low)
    up, far = np.int64(SUM_BITS + 1 - bits), np.int64(min(np.int32(high - top), np.int32(63)))
    both = ((np.int64(total) << up) >> far) + (np.int64(low) << up)
    own = np.int64((bits_of_double(np.float64(both)) >> np.int64(52)) & np.int64(2047))
    # Bits below 2^(e - 31), where e is the exponent of the sum, and -126 of a subnormal one.
    place = max(own - np.int64(1023 + SUM_BITS), np.int64(-125) - np.int64(high))
    place = max(np.int64(place), np.int64(0))
    floored = np.float64((both >> place) << place)
    unit = double_of((np.int64(high) + np.int64(1023 - SUM_BITS - 1)) << np.int64(52))
    return c if special and not dropped else np.float32(floored * unit)


@DOOR.inner
def _halved(sums: Int32, tops: Int16, j: int, halves: int) -> tuple[np.int32, np.int32]:
    """Return the sum of both halves and its exponent."""
    first, top = sums[j], np.int32(tops[j])
    if halves == 2:
        other = np.int32(tops[COLUMNS + j])
        high = max(top, other)
        first = first >> min(np.int32(high - top), np.int32(31))
        first += sums[COLUMNS + j] >> min(np.int32(high - other), np.int32(31))
        top = high
    return np.int32(first), np.int32(_NOTHING) if top < np.int32(-900) else top


@leaf
def _special(a: Float32, ea: Int16, b: Float32, eb: Int16, j: int, c: np.float32) -> np.float32:
    """Return the NaN or infinity that a chunk gives; 0 where it gives neither."""
    total = np.float32(0)
    for k in range(a.size):
        product = np.float32(a[k] * b[k, j])
        exponent = np.int32(ea[k]) + np.int32(eb[k, j]) + np.int32(abs(product) >= np.float32(2))
        if exponent >= np.int32(128):
            product *= np.float32(np.inf)
        if not np.isfinite(product):
            total += product
    return total if np.isfinite(c) else np.float32(total + c)


class _Room(NamedTuple):
    """Room for one row and one chunk: of each half, exponents and sums of 64 columns."""

    tops: Int16
    sums: Int32
    lifts: Int32
    scales: Float32
    fixed: Float32


@leaf
def _chunk(
    a: Side, b: Side, row: int, panel: int, number: int, rule: Any, room: _Room, acc: Float32
) -> None:
    """Run one chunk of one row over 64 columns."""
    halves, lanes, bits, narrow = rule
    start = number * halves * lanes
    stop = start + halves * lanes
    flagged = a.tops[row, number] + b.tops[panel, number] >= np.int32(127)
    if flagged:
        for j in range(COLUMNS):
            room.fixed[j] = _special(
                a.parts[row, start:stop], a.exponents[row, start:stop],
                b.parts[panel, start:stop], b.exponents[panel, start:stop], j, acc[j],
            )  # fmt: skip
    for half in range(halves):
        low = start + half * lanes
        high, left = low + lanes, half * COLUMNS
        tops, sums = room.tops[left : left + COLUMNS], room.sums[left : left + COLUMNS]
        _largest(a.exponents[row, low:high], b.exponents[panel, low:high], tops)
        for j in range(COLUMNS):
            sums[j] = np.int32(0)
            room.lifts[j] = np.int32(np.int32(bits) - max(np.int32(tops[j]), np.int32(-900)))
            room.scales[j] = _power(min(room.lifts[j], np.int32(127)))
        if narrow:
            _narrow(a.parts[row, low:high], b.parts[panel, low:high], room.scales, sums)
        else:
            _wide(
                a.parts[row, low:high], a.exponents[row, low:high],
                b.parts[panel, low:high], b.exponents[panel, low:high], room.lifts, sums,
            )  # fmt: skip
    for j in range(COLUMNS):
        total, top = _halved(room.sums, room.tops, j, halves)
        acc[j] = _added(total, top, acc[j], bits, halves == 2)
    if flagged:
        for j in range(COLUMNS):
            acc[j] = room.fixed[j] if not np.isfinite(room.fixed[j]) else acc[j]


@kernel
def _floored(a: Side, b: Side, rule: Any, out: Float32, first: int, last: int) -> None:
    room = _Room(
        np.zeros(2 * COLUMNS, np.int16), np.zeros(2 * COLUMNS, np.int32),
        np.zeros(COLUMNS, np.int32), np.zeros(COLUMNS, np.float32), np.zeros(COLUMNS, np.float32),
    )  # fmt: skip
    acc = np.zeros((BLOCK, COLUMNS), np.float32)
    for block in range(first, last, BLOCK):
        rows = min(BLOCK, last - block)
        for panel in range(b.parts.shape[0]):
            read_tile(out, block, panel * COLUMNS, acc)
            for number in range(a.tops.shape[1]):
                for i in range(rows):
                    _chunk(a, b, block + i, panel, number, rule, room, acc[i])
            write_tile(acc, rows, out, block, panel * COLUMNS)


@dataclass(frozen=True)
class Floored:
    """A unit.

    Attributes:
        chunk: products of a chunk.
        halves: 1, or 2 where even and odd places are summed apart.
        bits: fraction bits of aligned products.
        narrow: products of two numbers are exact in binary32.
    """

    chunk: int
    halves: int
    bits: int
    narrow: bool


def floored(a: Float32, b: Float32, c: Float32, least: tuple[int, int], unit: Floored) -> Float32:
    """Return ``[m, n]`` sums that begin with c.

    Args:
        a: numbers ``[m, K]``.
        b: numbers ``[n, K]``.
        c: accumulators ``[m, n]``.
        least: exponents of subnormal numbers in the formats of a and b.
        unit: the rule.
    """
    cut = Chunks(a.shape[1], unit.chunk, unit.halves)
    left = rows_of(a, least[0], cut, unit.narrow)
    right = columns_of(b, least[1], cut, unit.narrow)
    out = c.copy()
    rule = (unit.halves, cut.lanes, unit.bits, unit.narrow)
    in_threads(lambda first, last: _floored(left, right, rule, out, first, last), out, cut.length)
    return out
