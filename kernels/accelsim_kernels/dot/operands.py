"""Codes of operands laid out for the loops of ``lanes``: numbers relative to their chunk.

A number is ``s * 2^e``: normal ``1 <= |s| < 2``, subnormal ``|s| < 1`` with the least exponent of
its format (arXiv 2511.10909). The largest exponent of every row and chunk is kept apart, with that
of the block's scale; numbers are stored relative to it. So products stay within binary32 whatever
the format, and exponents within a byte.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.dot.lanes import COLUMNS, ROWS
from accelsim_kernels.dot.rounds import LEAST, NOTHING
from accelsim_kernels.formats import NumberFormat
from accelsim_kernels.fused import bits_of, float_of
from accelsim_kernels.jit import inner, part

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
#: Fraction bits, bias and place of the sign of a format.
Split = tuple[np.int32, np.int32, np.int32]
#: A magnitude that no code has.
_NEVER = 1 << 30
_NEGATIVE = np.uint32(0x80000000)


def facts(fmt: NumberFormat, width: int, depth: int) -> Int64:
    """Return what kernels know of a float format.

    That is: bytes of a code (0: half a byte), low bits that are ignored, fraction bits, bias,
    place of the sign, least magnitude that is no finite number, magnitude of infinity, length of K.

    Raises:
        ValueError: a format whose special codes are not the largest magnitudes.
    """
    if not fmt.is_float or fmt.specials not in ("none", "ieee", "fn"):
        raise ValueError(f"the format {fmt.name!r} is not one of this unit: OCP and IEEE floats")
    sign = fmt.exponent_bits + fmt.mantissa_bits
    infinity = (1 << sign) - (1 << fmt.mantissa_bits)
    least = {"none": _NEVER, "ieee": infinity, "fn": (1 << sign) - 1}[fmt.specials]
    ignored = fmt.bits - sign - 1 if fmt.signed else 0
    return np.array(
        [
            width, ignored, fmt.mantissa_bits, fmt.bias, sign, least,
            infinity if fmt.specials == "ieee" else _NEVER, depth,
        ],
        np.int64,
    )  # fmt: skip


def as_bytes(array: npt.NDArray[Any]) -> UInt8:
    """Return codes as their bytes ``[rows, k * bytes of a code]``: one type for all formats."""
    return array.view(np.uint8)


def lines(kind: type, *shape: int) -> npt.NDArray[Any]:
    """Return room that begins with a cache line, so that no vector crosses two."""
    size = math.prod(shape) * np.dtype(kind).itemsize
    room = np.empty(size + 64, np.uint8)
    first = -room.ctypes.data % 64
    return room[first : first + size].view(kind).reshape(shape)


@inner
def _code(given: UInt8, known: Int64, row: int, k: int) -> np.int32:
    """Return one code of any width."""
    width = known[0]
    if width == 0:
        return np.int32((given[row, k >> 1] >> np.uint8(4 * (k & 1))) & np.uint8(15))
    code = np.uint32(0)
    for byte in range(width):
        code |= np.uint32(given[row, width * k + byte]) << np.uint32(8 * byte)
    return np.int32(code >> np.uint32(known[1]))


@part
def take_codes(given: UInt8, known: Int64, row: int, start: int, found: Int32) -> None:
    """Read codes of a row, without the bits that are ignored; past the operand they are zero."""
    count = np.int64(0)
    if row < given.shape[0]:
        count = max(min(found.size, known[7] - start), 0)
    if known[0] == 1:  # the widths of most operands: loops that become vectors
        for k in range(count):
            found[k] = np.int32(given[row, start + k])
    elif known[0] == 2:
        for k in range(count):
            at = 2 * (start + k)
            found[k] = np.int32(given[row, at]) | (np.int32(given[row, at + 1]) << np.int32(8))
    else:
        for k in range(count):
            found[k] = _code(given, known, row, start + k)
    for k in range(count, found.size):
        found[k] = 0


@part
def split_of(known: Int64) -> Split:
    """Return what splits a code: fraction bits, bias, place of the sign.

    As numbers they stay in registers; the compiler could not tell that an array stays what it is.
    """
    return np.int32(known[2]), np.int32(known[3]), np.int32(known[4])


@inner
def magnitude_of(code: np.int32, split: Split) -> np.int32:
    """Return a code without its sign."""
    return np.int32(code & ((np.int32(1) << split[2]) - np.int32(1)))


@inner
def exponent_of(code: np.int32, split: Split) -> np.int32:
    """Return the exponent of a number that is not zero."""
    field = magnitude_of(code, split) >> split[0]
    return np.int32(max(field, np.int32(1)) - split[1])


@inner
def significand_of(code: np.int32, split: Split) -> np.int32:
    """Return the significand, without its sign, as an integer: ``|s| * 2^(fraction bits)``."""
    magnitude = magnitude_of(code, split)
    field = max(magnitude >> split[0], np.int32(1))
    return np.int32(magnitude - ((field - np.int32(1)) << split[0]))


@inner
def _relative(code: np.int32, split: Split, exponent: np.int32) -> np.float32:
    """Return ``s * 2^exponent``; what is below binary32 is zero."""
    significand = np.float32(significand_of(code, split))
    power = max(np.int32(127) + exponent - split[0], np.int32(0))
    made = bits_of(significand * float_of(np.uint32(power << np.int32(23))))
    sign = np.uint32(((code >> split[2]) & np.int32(1)) << np.int32(31))
    return float_of(made | sign)


@part
def lay_rows(
    given: UInt8, known: Int64, first: int, start: int, taken: Int32, numbers: Float32,
    exponents: Int32, marks: Int32,
) -> None:  # fmt: skip
    """Lay out the rows of a block as ``[chunk][pair of rows][k][2]``.

    Args:
        given: bytes of the operand.
        known: facts of its format.
        first: first row.
        start: first K.
        taken: scratch ``[k]``.
        numbers: ``[chunks, pairs, chunk, 2]``.
        exponents: the same, each byte four times in its int32.
        marks: ``[chunks, rows, 2]``: largest exponent, and whether a code is no finite number.
    """
    chunks, pairs, chunk, _ = numbers.shape
    split, special = split_of(known), np.int32(known[5])
    for row in range(pairs * ROWS):
        take_codes(given, known, first + row, start, taken)
        pair, side = row // ROWS, row % ROWS
        for c in range(chunks):
            largest, odd = np.int32(-(1 << 20)), np.int32(0)
            for k in range(chunk):
                code = taken[c * chunk + k]
                magnitude = magnitude_of(code, split)
                odd |= np.int32(magnitude >= special)
                if magnitude != 0:
                    largest = max(largest, exponent_of(code, split))
            marks[c, row, 0], marks[c, row, 1] = largest, odd
            for k in range(chunk):
                code = taken[c * chunk + k]
                exponent = np.int32(exponent_of(code, split) - largest)
                byte = np.int32(max(exponent, np.int32(LEAST)))
                if magnitude_of(code, split) == 0:
                    byte = np.int32(NOTHING)
                numbers[c, pair, k, side] = _relative(code, split, exponent)
                exponents[c, pair, k, side] = np.int32(
                    (np.int64(byte) & np.int64(255)) * np.int64(0x01010101)
                )


@part
def lay_columns(
    given: UInt8, known: Int64, first: int, start: int, taken: Int32, numbers: Float32,
    exponents: Int8, marks: Int32,
) -> None:  # fmt: skip
    """Lay out one chunk of 64 columns as ``[k][64]``.

    Args:
        given: bytes of the operand.
        known: facts of its format.
        first: first column.
        start: first K.
        taken: scratch ``[chunk * 64 + chunk]``.
        numbers: ``[chunk * 64]``.
        exponents: the same.
        marks: ``[2, 64]``: the same.
    """
    chunk = numbers.size // COLUMNS
    line = taken[chunk * COLUMNS :]
    for j in range(COLUMNS):
        take_codes(given, known, first + j, start, line)
        for k in range(chunk):
            taken[k * COLUMNS + j] = line[k]
    split, special = split_of(known), np.int32(known[5])
    largest, odd = marks[0], marks[1]
    for j in range(COLUMNS):
        largest[j], odd[j] = -(1 << 20), 0
    for k in range(chunk):
        for j in range(COLUMNS):
            code = taken[k * COLUMNS + j]
            magnitude = magnitude_of(code, split)
            exponent = exponent_of(code, split) if magnitude != 0 else np.int32(-(1 << 20))
            largest[j] = max(largest[j], exponent)
            odd[j] |= np.int32(magnitude >= special)
    for k in range(chunk):
        for j in range(COLUMNS):
            code = taken[k * COLUMNS + j]
            exponent = np.int32(exponent_of(code, split) - largest[j])
            numbers[k * COLUMNS + j] = _relative(code, split, exponent)
            byte = max(exponent, np.int32(LEAST))
            exponents[k * COLUMNS + j] = (
                np.int8(byte) if magnitude_of(code, split) != 0 else np.int8(NOTHING)
            )


@part
def add_scales(marks: Int32, scales: UInt8, first: int, block: int) -> None:
    """Add the exponents of a block's E8M0 scales to the marks ``[2, n]`` of rows or columns.

    A scale that is NaN makes its row or column an odd one.
    """
    for i in range(min(marks.shape[1], scales.shape[0] - first)):
        code = scales[first + i, block]
        marks[0, i] += np.int32(code) - np.int32(127)
        marks[1, i] |= np.int32(code == np.uint8(255))


@part
def split_rows(numbers: Float32, sides: Int32) -> None:
    """Part the numbers of rows into magnitudes and the places of their signs (``narrow_sums``)."""
    for i in range(numbers.size):
        bits = bits_of(numbers[i])
        sides[i] = np.int32(COLUMNS) if bits >= _NEGATIVE else np.int32(0)
        numbers[i] = float_of(bits & ~_NEGATIVE)


@part
def split_columns(numbers: Float32, signs: Int32) -> None:
    """Part the numbers of 64 columns into magnitudes and signs ``[k][2][64]``."""
    for k in range(numbers.size // COLUMNS):
        for j in range(COLUMNS):
            bits = bits_of(numbers[k * COLUMNS + j])
            sign = np.int32(-1) if bits >= _NEGATIVE else np.int32(1)
            signs[2 * k * COLUMNS + j] = sign & np.int32(0xFFFF)
            signs[(2 * k + 1) * COLUMNS + j] = -sign & np.int32(0xFFFF)
            numbers[k * COLUMNS + j] = float_of(bits & ~_NEGATIVE)
