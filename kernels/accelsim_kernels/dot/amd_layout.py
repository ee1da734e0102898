"""Operands of aligned sums, taken apart into parts and exponents and laid out for vectors.

``x = part * 2^exponent``, where the exponent of a subnormal number is the least of its format. K is
laid out in chunks, a chunk in halves (even and odd places) where the unit has them, and every half
is filled with zeros to a multiple of four. Zeros never decide an alignment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim_kernels.dot.serial_tiles import COLUMNS
from accelsim_kernels.fused import bits_of, float_of
from accelsim_kernels.jit import leaf

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int16 = npt.NDArray[np.int16]

#: Exponent of a zero: with any other one, the sum is below the exponent of every product.
ZERO = -4000
#: Counts as the largest exponent of a chunk that holds NaN or infinity.
SPECIAL = 20000
#: Products that an inner loop takes at once.
UNROLL = 4


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
        """Places of a half, zeros included."""
        return -(-self.chunk // (self.halves * UNROLL)) * UNROLL

    @property
    def places(self) -> int:
        """Places along K, zeros included."""
        return self.count * self.halves * self.lanes


@leaf
def _place(k: int, chunk: int, halves: int, lanes: int) -> int:
    """Return where a product of K is laid out."""
    number, inside = k // chunk, k % chunk
    return (number * halves + inside % halves) * lanes + inside // halves


@leaf
def _exponent(x: np.float32, least: int) -> np.int32:
    field = np.int32((bits_of(x) >> np.uint32(23)) & np.uint32(255))
    return max(np.int32(field - np.int32(127)), np.int32(least))


@leaf
def _part(x: np.float32, exponent: np.int32) -> np.float32:
    # In two steps: the inverse of 2^127 is no normal number.
    half = np.int32(exponent >> np.int32(1))
    first = float_of(np.uint32(np.int32(127) - half) << np.uint32(23))
    rest = float_of(np.uint32(np.int32(127) - exponent + half) << np.uint32(23))
    return x * first * rest


@leaf
def _rows(
    x: Float32, least: int, chunk: int, halves: int, lanes: int, narrow: bool, parts: Float32,
    exponents: Int16, tops: Int32,
) -> None:  # fmt: skip
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            value, place = x[i, k], _place(k, chunk, halves, lanes)
            exponent = _exponent(value, least)
            if value != value or abs(value) == np.float32(np.inf):
                tops[i, k // chunk] = SPECIAL
            if value != np.float32(0):
                tops[i, k // chunk] = max(tops[i, k // chunk], exponent)
                exponents[i, place] = min(exponent, np.int32(127))
            parts[i, place] = value if narrow else _part(value, exponent)


@leaf
def _columns(
    x: Float32, least: int, chunk: int, halves: int, lanes: int, narrow: bool, parts: Float32,
    exponents: Int16, tops: Int32,
) -> None:  # fmt: skip
    for j in range(x.shape[0]):
        panel, column = j // COLUMNS, j % COLUMNS
        for k in range(x.shape[1]):
            value, place = x[j, k], _place(k, chunk, halves, lanes)
            exponent = _exponent(value, least)
            if value != value or abs(value) == np.float32(np.inf):
                tops[panel, k // chunk] = SPECIAL
            if value != np.float32(0):
                tops[panel, k // chunk] = max(tops[panel, k // chunk], exponent)
                exponents[panel, place, column] = min(exponent, np.int32(127))
            parts[panel, place, column] = value if narrow else _part(value, exponent)


class Side(NamedTuple):
    """One operand.

    Attributes:
        parts: ``[rows, places]``, or ``[panels, places, 64]``.
        exponents: the same shape.
        tops: the largest exponent of every chunk, ``[rows or panels, chunks]``.
    """

    parts: Float32
    exponents: Int16
    tops: Int32


def rows_of(x: Float32, least: int, cut: Chunks, narrow: bool) -> Side:
    """Lay out ``[m, K]`` numbers.

    Args:
        x: numbers.
        least: exponent of subnormal numbers of their format.
        cut: how K is cut.
        narrow: products of two numbers are exact in binary32; parts are then the numbers.
    """
    side = _empty((len(x), cut.places), cut)
    _rows(x, least, cut.chunk, cut.halves, cut.lanes, narrow, *side)
    return side


def columns_of(x: Float32, least: int, cut: Chunks, narrow: bool) -> Side:
    """Lay out ``[n, K]`` numbers, 64 columns side by side."""
    side = _empty((-(-len(x) // COLUMNS), cut.places, COLUMNS), cut)
    _columns(x, least, cut.chunk, cut.halves, cut.lanes, narrow, *side)
    return side


def _empty(shape: tuple[int, ...], cut: Chunks) -> Side:
    return Side(
        np.zeros(shape, np.float32),
        np.full(shape, ZERO, np.int16),
        np.full((shape[0], cut.count), 2 * ZERO, np.int32),
    )
