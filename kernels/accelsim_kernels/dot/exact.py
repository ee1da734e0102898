"""One chunk of one element, in integers: what the vectors hand over, NaN and infinity among it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.dot.operands import (
    exponent_of,
    magnitude_of,
    significand_of,
    split_of,
    take_codes,
)
from accelsim_kernels.dot.rounds import HALF, KEPT, ZERO, F
from accelsim_kernels.dot.settle import settled
from accelsim_kernels.fused import bits_of, float_of
from accelsim_kernels.jit import part

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]

#: Kinds of codes; they are ordered so that the larger of two says what a product is.
_NUMBER, _NOTHING, _INFINITE, _NAN = range(4)
#: What a sum may hold besides numbers; infinities of both signs together are no number.
_UP, _DOWN, _NEITHER = 1, 2, 4
#: The NaN that matrix units return (mmasim 2.1.1).
_CANONICAL = np.uint32(0x7FFFFFFF)


@part
def explain(given: UInt8, known: Int64, row: int, start: int, line: Int32) -> None:
    """Read codes of a row as signed significands, exponents and kinds.

    Args:
        given: bytes of the operand.
        known: facts of its format.
        row: which row.
        start: first K.
        line: ``[3, chunk]``; becomes the three. The sign of infinity is that of its significand.
    """
    take_codes(given, known, row, start, line[0])
    split = split_of(known)
    for k in range(line.shape[1]):
        code = line[0, k]
        magnitude = magnitude_of(code, split)
        kind = np.int32(_NUMBER) if magnitude != 0 else np.int32(_NOTHING)
        if magnitude >= known[5]:
            kind = np.int32(_INFINITE) if magnitude == known[6] else np.int32(_NAN)
        significand, exponent = significand_of(code, split), exponent_of(code, split)
        line[0, k] = -significand if code > magnitude else significand
        line[1, k], line[2, k] = exponent, kind


@part
def term(significand: np.int64, shift: np.int64) -> np.int64:
    """Return ``significand * 2^shift``, cut toward zero."""
    magnitude = abs(significand)
    cut = magnitude << max(shift, np.int64(0)) >> min(max(-shift, np.int64(0)), np.int64(63))
    return -cut if significand < 0 else cut


@part
def _special(left: Int32, right: Int32, c: np.float32) -> int:
    """Return what the terms of a chunk hold besides numbers."""
    seen = 0
    if c != c:
        seen = _NEITHER
    elif abs(c) == np.inf:
        seen = _UP if c > 0 else _DOWN
    for k in range(left.shape[1]):
        kind = max(left[2, k], right[2, k])
        if kind == _NAN or (kind == _INFINITE and min(left[2, k], right[2, k]) == _NOTHING):
            seen |= _NEITHER
        elif kind == _INFINITE:
            seen |= _UP if (left[0, k] < 0) == (right[0, k] < 0) else _DOWN
    return seen


@part
def exact_chunk(
    left: Int32, right: Int32, extra: np.int64, drop: np.int64, rules: Int64, floor: np.int64,
    c: np.float32,
) -> np.float32:  # fmt: skip
    """Return the accumulator behind a chunk.

    Args:
        left: lines of ``explain`` of the row.
        right: of the column.
        extra: sum of the exponents of the scales.
        drop: fraction bits of a product of significands.
        rules: see ``rounds``.
        floor: least exponent of ``c``.
        c: the accumulator before.
    """
    seen = _special(left, right, c)
    if seen >= _UP | _DOWN:
        return float_of(_CANONICAL)
    if seen:
        return np.float32(np.inf) if seen == _UP else np.float32(-np.inf)
    magnitude = np.int64(bits_of(c)) & np.int64(0x7FFFFFFF)
    field = max(magnitude >> np.int64(23), np.int64(1))
    significand = magnitude - ((field - np.int64(1)) << np.int64(23))
    exponent = field - np.int64(127)
    highest = max(exponent, floor) if magnitude else rules[ZERO]
    for k in range(left.shape[1]):
        there = left[2, k] + right[2, k] == 0
        found = np.int64(left[1, k] + right[1, k]) + extra
        highest = max(highest, found if there else rules[ZERO])
    kept = rules[F] - highest
    total = term(-significand if c < 0 else significand, kept + exponent - 23)
    for k in range(left.shape[1]):
        product = np.int64(left[0, k]) * np.int64(right[0, k])
        found = np.int64(left[1, k] + right[1, k]) + extra
        total += term(product, kept + found - drop)
    return settled(total, -kept, rules[KEPT], rules[HALF])
