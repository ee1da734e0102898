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
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim_kernels.dot.amd_lanes import add_floored
from accelsim_kernels.dot.amd_layout import (
    LEAST,
    ZERO,
    Chunks,
    Side,
    columns_of,
    exponent_of,
    rows_of,
)
from accelsim_kernels.dot.lanes import COLUMNS, ROWS, cut_sums, highest
from accelsim_kernels.dot.serial_tiles import BLOCK, in_threads, read_tile, write_tile
from accelsim_kernels.fused import bits_of, bits_of_double, double_of, float_of
from accelsim_kernels.jit import inner, kernel, part

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]

#: Sums of a tile.
_SUMS = ROWS * COLUMNS
#: Fraction bits to which the sum with the accumulator is floored.
SUM_BITS = 31
#: Exponent of a sum without any product but zeros.
_NOTHING = -999
#: Exponent by which NaN and infinity in c are dropped, as mmasim has it; silicon was not asked.
_SPECIAL = -1


@inner
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


@dataclass(frozen=True)
class Floored:
    """A unit.

    Attributes:
        chunk: products of a chunk.
        halves: 1, or 2 where even and odd places are summed apart.
        bits: fraction bits of aligned products.
    """

    chunk: int
    halves: int
    bits: int


class _Room(NamedTuple):
    """Room for a tile of two rows by 64 columns, halves one after the other."""

    relative: Int8
    scales: Float32
    sums: Int32
    tops: Int32
    fixed: Float32
    made: Float32


@inner
def _halved(room: _Room, i: int) -> tuple[np.int32, np.int32]:
    """Return the sum of both halves and its exponent."""
    one, other = room.tops[i], room.tops[_SUMS + i]
    top = max(one, other)
    first = room.sums[i] >> min(np.int32(top - one), np.int32(31))
    second = room.sums[_SUMS + i] >> min(np.int32(top - other), np.int32(31))
    return np.int32(first + second), top


@part
def _one(
    a: Float32, b: Float32, least: tuple[int, int], start: int, rule: tuple[int, int, int, int]
) -> tuple[np.int32, np.int32, np.float64]:
    """Sum one half of a chunk of one row and column.

    Returns:
        The sum, its exponent, and the NaN or infinity that stands in its place (else 0).
    """
    chunk, halves, _, bits = rule
    special, top = 0.0, np.int32(_NOTHING)
    stop = min(a.size, start - start % chunk + chunk)
    for k in range(start, stop, halves):
        product = np.float64(a[k]) * np.float64(b[k])
        if not abs(product) < 2.0**128:
            special += product * np.inf
        elif product != 0.0:
            exponent = exponent_of(a[k], least[0]) + exponent_of(b[k], least[1])
            top = max(top, np.int32(exponent))
    total = np.int32(0)
    scale = double_of(np.int64(np.int32(1023 + bits) - top) << np.int64(52))
    for k in range(start, stop, halves):
        if special == 0.0 and top != np.int32(_NOTHING):
            total += np.int32(np.float64(a[k]) * np.float64(b[k]) * scale)
    return total, top, special


@part
def _fix(
    a: Side, b: Side, tile: tuple[int, int, int], rule: tuple[int, int, int, int],
    least: tuple[int, int], room: _Room, acc: Float32,
) -> None:  # fmt: skip
    """Compute the sums of a tile that relative exponents do not tell, one by one."""
    row, column, number = tile
    chunk, halves = rule[0], rule[1]
    for i in range(_SUMS):
        room.fixed[i] = np.float32(0)
        m, n = row + i // COLUMNS, column + i % COLUMNS
        if m >= a.given.shape[0] or n >= b.given.shape[0]:
            continue
        special = 0.0
        for half in range(halves):
            place = half * _SUMS + i
            total, top, wrong = _one(a.given[m], b.given[n], least, number * chunk + half, rule)
            room.sums[place], room.tops[place] = total, top
            special += wrong
        if special != 0.0:
            c = acc[i]
            room.fixed[i] = np.float32(special) if np.isfinite(c) else np.float32(special + c)


@inner
def _heights(
    relative: Int8, own: np.int32, bases: Int32, bits: int, tops: Int32, scales: Float32
) -> np.int32:
    """Turn largest relative exponents into exponents and scales; 1 where one may be wrong."""
    unknown = np.int32(0)
    for j in range(COLUMNS):
        high = np.int32(relative[j])
        unknown |= np.int32((high <= np.int32(LEAST)) & (high > np.int32(ZERO)))
        top = np.int32(np.int32(own + bases[j]) + high)
        tops[j] = top if high > np.int32(ZERO) else np.int32(_NOTHING)
        power = np.int32(np.int32(127 + bits) - max(high, np.int32(ZERO)))
        scales[j] = float_of(np.uint32(power) << np.uint32(23))
    return unknown


@inner
def _align(
    a: Side, b: Side, tile: tuple[int, int, int], half: int, rule: tuple[int, int, int, int],
    room: _Room,
) -> bool:  # fmt: skip
    """Sum one half of a chunk; tell whether some sums are not told by relative exponents."""
    row, column, number = tile
    _, halves, lanes, bits = rule
    pair, panel = row // ROWS, column // COLUMNS
    start = (number * halves + half) * lanes
    at_a = (pair * a.numbers.shape[1] + start) * ROWS
    at_b = (panel * b.numbers.shape[1] + start) * COLUMNS
    relative, sums = room.relative, room.sums[half * _SUMS :]
    tops = room.tops[half * _SUMS :]
    highest(relative, a.exponents, b.exponents, at_a, at_b, lanes)
    unknown = np.int32(0)
    bases = b.tops[number]
    for r in range(ROWS):
        own, left = a.tops[number, row + r], r * COLUMNS
        unknown |= _heights(
            relative[left : left + COLUMNS], own, bases[column : column + COLUMNS], bits,
            tops[left : left + COLUMNS], room.scales[left : left + COLUMNS],
        )  # fmt: skip
    cut_sums(sums, room.scales, a.numbers, b.numbers, at_a, at_b, lanes)
    return unknown != np.int32(0)


@inner
def _largest(x: Int32) -> np.int32:
    top = x[0]
    for i in range(x.size):
        top = max(top, x[i])
    return top


@inner
def _add(room: _Room, halves: int, bits: int, acc: Float32) -> None:
    """Add the sums of a tile to its accumulators."""
    if add_floored(room.made, acc, room.sums, room.tops, halves, bits, _SUMS) == 0:
        for i in range(_SUMS):
            acc[i] = room.made[i]
        return
    if halves == 2:
        for i in range(_SUMS):
            total, top = _halved(room, i)
            acc[i] = _added(total, top, acc[i], bits, True)
    else:
        for i in range(_SUMS):
            acc[i] = _added(room.sums[i], room.tops[i], acc[i], bits, False)


@inner
def _chunk(
    a: Side, b: Side, tile: tuple[int, int, int], rule: tuple[int, int, int, int],
    least: tuple[int, int], room: _Room, acc: Float32,
) -> None:  # fmt: skip
    """Run one chunk over two rows and 64 columns."""
    row, column, number = tile
    halves, bits = rule[1], rule[3]
    wrong = _largest(a.tops[number, row : row + ROWS]) + _largest(
        b.tops[number, column : column + COLUMNS]
    ) >= np.int32(127)
    for half in range(halves):
        wrong |= _align(a, b, tile, half, rule, room)
    if wrong:
        _fix(a, b, tile, rule, least, room, acc)
    _add(room, halves, bits, acc)
    if wrong:
        for i in range(_SUMS):
            acc[i] = acc[i] if np.isfinite(room.fixed[i]) else room.fixed[i]


@kernel
def _floored(
    a: Side, b: Side, rule: tuple[int, int, int, int], least: tuple[int, int], out: Float32,
    first: int, last: int,
) -> None:  # fmt: skip
    room = _Room(
        np.zeros(_SUMS, np.int8), np.zeros(_SUMS, np.float32), np.zeros(2 * _SUMS, np.int32),
        np.zeros(2 * _SUMS, np.int32), np.zeros(_SUMS, np.float32),
        np.zeros(_SUMS, np.float32),
    )  # fmt: skip
    acc = np.zeros((BLOCK, COLUMNS), np.float32)
    flat = acc.reshape(-1)
    for block in range(first, last, BLOCK):
        rows = min(BLOCK, last - block)
        for column in range(0, out.shape[1], COLUMNS):
            read_tile(out, block, column, acc)
            for number in range(a.tops.shape[0]):
                for i in range(0, rows, ROWS):
                    tile = (block + i, column, number)
                    _chunk(a, b, tile, rule, least, room, flat[i * COLUMNS : i * COLUMNS + _SUMS])
            write_tile(acc, rows, out, block, column)


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
    left, right = rows_of(a, least[0], cut), columns_of(b, least[1], cut)
    out, rule = c.copy(), (unit.chunk, unit.halves, cut.lanes, unit.bits)

    def run(first: int, last: int) -> None:
        # Two rows at a time: a thread begins with an even one.
        first, last = -(-first // ROWS) * ROWS, -(-last // ROWS) * ROWS
        _floored(left, right, rule, least, out, first, min(last, len(out)))

    in_threads(run, out, cut.length)
    return out
