"""Operands of aligned sums, laid out for the loops of ``lanes``: numbers relative to their chunk.

``x = s * 2^e``, where the exponent of a subnormal number is the least of its format. The largest
exponent of every row or column and chunk is kept apart, and numbers are stored relative to it. So
products stay within binary32 whatever the format, and exponents within a byte. K is laid out in
chunks, a chunk in halves (even and odd places) where the unit has them. Places that are missing
are zeros, which never decide an alignment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim_kernels.dot.lanes import COLUMNS, ROWS
from accelsim_kernels.fused import bits_of, float_of
from accelsim_kernels.jit import leaf, part

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]

#: Relative exponent of zero: its sum with any other is below every sum of two that are not zero.
ZERO = -64
#: Smaller relative exponents are raised to this; a largest sum above it is exact all the same.
LEAST = -31
#: The largest exponent of a chunk of zeros, and of one with NaN or infinity.
NOTHING, SPECIAL = -4000, 20000


@dataclass(frozen=True)
class Chunks:
    """How K is cut.

    Attributes:
        length: K.
        chunk: products that are aligned together.
        halves: 1, or 2 where even and odd places are summed apart.
    """

    length: int
    chunk: int
    halves: int

    @property
    def count(self) -> int:
        """Chunks."""
        return -(-self.length // self.chunk)

    @property
    def lanes(self) -> int:
        """Places of a half."""
        return -(-self.chunk // self.halves)

    @property
    def places(self) -> int:
        """Places along K."""
        return self.count * self.halves * self.lanes


@part
def exponent_of(x: np.float32, least: int) -> np.int32:
    """Return the exponent of a number that is not zero; of NaN and infinity 128."""
    field = np.int32((bits_of(x) >> np.uint32(23)) & np.uint32(255))
    return max(np.int32(field - np.int32(127)), np.int32(least))


@leaf
def _tops(x: Float32, least: int, chunk: int, tops: Int32) -> None:
    """Find the largest exponent of every row and chunk."""
    for i in range(x.shape[0]):
        for number in range(tops.shape[0]):
            top = np.int32(NOTHING)
            for k in range(number * chunk, min(x.shape[1], (number + 1) * chunk)):
                found = exponent_of(x[i, k], least)
                top = max(top, found if x[i, k] != np.float32(0) else np.int32(NOTHING))
            tops[number, i] = top if top < np.int32(128) else np.int32(SPECIAL)


@leaf
def _lay(
    x: Float32, least: int, cut: tuple[int, int, int], tops: Int32, numbers: Float32,
    exponents: Int8,
) -> None:  # fmt: skip
    """Lay out rows in groups of as many as the last axis has."""
    chunk, halves, lanes = cut
    width = numbers.shape[2]
    for i in range(x.shape[0]):
        group, lane = i // width, i % width
        for number in range(tops.shape[0]):
            top = tops[number, i]
            if top == np.int32(SPECIAL) or top == np.int32(NOTHING):
                continue
            # In two steps: the inverse of 2^127 is no normal number.
            half = np.int32(top >> np.int32(1))
            first = float_of(np.uint32(np.int32(127) - half) << np.uint32(23))
            rest = float_of(np.uint32(np.int32(127) - top + half) << np.uint32(23))
            start = number * chunk
            for k in range(start, min(x.shape[1], start + chunk)):
                inside = k - start
                place = (number * halves + inside % halves) * lanes + inside // halves
                numbers[group, place, lane] = x[i, k] * first * rest
                down = max(np.int32(exponent_of(x[i, k], least) - top), np.int32(LEAST))
                zero = x[i, k] == np.float32(0)
                exponents[group, place, lane] = np.int32(ZERO) if zero else down


class Side(NamedTuple):
    """One operand.

    Attributes:
        given: the numbers as they are, ``[rows, K]``.
        numbers: relative ones ``[groups, places, rows of a group]``; what is missing is zero.
        exponents: relative ones, of the same shape: int8, or that byte four times in an int32.
        tops: the largest exponents ``[chunks, rows]``.
    """

    given: Float32
    numbers: Float32
    exponents: npt.NDArray[np.int8] | npt.NDArray[np.int32]
    tops: Int32


def rows_of(x: Float32, least: int, cut: Chunks) -> Side:
    """Lay out ``[m, K]`` numbers in pairs of rows; ``least``: exponent of subnormal numbers."""
    side = _side(x, least, cut, ROWS)
    spread = side.exponents.view(np.uint8).astype(np.uint32) * np.uint32(0x01010101)
    return side._replace(exponents=spread.view(np.int32))


def columns_of(x: Float32, least: int, cut: Chunks) -> Side:
    """Lay out ``[n, K]`` numbers, 64 columns side by side."""
    return _side(x, least, cut, COLUMNS)


def _side(x: Float32, least: int, cut: Chunks, width: int) -> Side:
    groups = -(-len(x) // width)
    shape = (groups, cut.places, width)
    tops = np.full((cut.count, groups * width), NOTHING, np.int32)
    numbers, exponents = np.zeros(shape, np.float32), np.full(shape, ZERO, np.int8)
    _tops(x, least, cut.chunk, tops)
    _lay(x, least, (cut.chunk, cut.halves, cut.lanes), tops, numbers, exponents)
    return Side(x, numbers, exponents, tops)
