"""One chunk of one element, in integers: what the vectors hand over, NaN and infinity among it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.dot.operands import Codes, code_at, exponent_of, significand_of
from accelsim_kernels.dot.settle import settled
from accelsim_kernels.fused import bits_of, float_of
from accelsim_kernels.jit import DOOR

Int64 = npt.NDArray[np.int64]

#: What a sum may hold besides numbers; both infinities together are no number.
_UP, _DOWN, _NAN = 1, 2, 4
#: The NaN that matrix units return (PTX ISA: canonical NaN of mma).
_CANONICAL = np.uint32(0x7FFFFFFF)


@DOOR.inner
def _kind(code: np.int32, known: Int64) -> int:
    """Return 0 for a number, 1 for zero, 2 for infinity, 3 for NaN."""
    magnitude = code & ((np.int32(1) << np.int32(known[4])) - np.int32(1))
    if magnitude == 0:
        return 1
    if magnitude < known[5]:
        return 0
    return 2 if magnitude == known[6] else 3


@DOOR.inner
def _meeting(a: np.int32, b: np.int32, known_a: Int64, known_b: Int64) -> int:
    """Return what a product adds to a sum besides a number."""
    kinds = _kind(a, known_a), _kind(b, known_b)
    if max(kinds) < 2:
        return 0
    if kinds[0] == 3 or kinds[1] == 3 or kinds[0] == 1 or kinds[1] == 1:
        return _NAN
    sign = (a >> np.int32(known_a[4])) ^ (b >> np.int32(known_b[4]))
    return _DOWN if sign & 1 else _UP


@DOOR.inner
def _cut(significand: np.int64, shift: np.int64) -> np.int64:
    """Return ``significand * 2^shift``, cut to an integer; neither is negative."""
    if shift >= 0:
        return significand << shift
    return significand >> min(-shift, np.int64(63))


@DOOR.inner
def _c_exponent(c: np.float32, floor: np.int64, zero: np.int64) -> np.int64:
    magnitude = np.int64(bits_of(c)) & np.int64(0x7FFFFFFF)
    return max((magnitude >> np.int64(23)) - np.int64(127), floor) if magnitude else zero


@DOOR.inner
def _c_term(c: np.float32, shift: np.int64) -> np.int64:
    """Return ``c * 2^shift`` cut toward zero."""
    magnitude = np.int64(bits_of(c)) & np.int64(0x7FFFFFFF)
    field = max(magnitude >> np.int64(23), np.int64(1))
    significand = magnitude - ((field - np.int64(1)) << np.int64(23))
    term = _cut(significand, shift + field - np.int64(150))
    return -term if c < 0 else term


@DOOR.inner
def _ending(c: np.float32, seen: int) -> np.float32:
    """Return what a chunk with NaN or infinity among its terms ends in."""
    if c != c or seen & _NAN:
        return float_of(_CANONICAL)
    if c == np.inf:
        seen |= _UP
    if c == -np.inf:
        seen |= _DOWN
    if seen == _UP | _DOWN:
        return float_of(_CANONICAL)
    return np.float32(np.inf) if seen == _UP else np.float32(-np.inf)


@DOOR.inner
def exact_chunk(
    a: Codes, b: Codes, known: Int64, place: tuple[int, int, int, int], extra: np.int64,
    rules: Int64, floor: np.int64, c: np.float32,
) -> np.float32:  # fmt: skip
    """Return the accumulator behind a chunk.

    Args:
        a, b: codes of the operands.
        known: facts of both formats ``[2, 7]``.
        place: row, column, first K, end of K.
        extra: sum of the exponents of the scales.
        rules: of ``aligned``.
        floor: least exponent of ``c``.
        c: the accumulator before.
    """
    row, column, start, stop = place
    kept, zero = rules[0], rules[3]
    seen = 0
    highest = _c_exponent(c, floor, zero)
    for k in range(start, stop):
        x, y = code_at(a, known[0], row, k), code_at(b, known[1], column, k)
        seen |= _meeting(x, y, known[0], known[1])
        if _kind(x, known[0]) == 0 and _kind(y, known[1]) == 0:
            exponent = exponent_of(x, known[0]) + exponent_of(y, known[1])
            highest = max(highest, np.int64(exponent) + extra)
        else:
            highest = max(highest, zero)
    if seen or c != c or abs(c) == np.inf:
        return _ending(c, seen)
    total = _c_term(c, kept - highest)
    for k in range(start, stop):
        x, y = code_at(a, known[0], row, k), code_at(b, known[1], column, k)
        product = np.int64(significand_of(x, known[0])) * np.int64(significand_of(y, known[1]))
        exponent = np.int64(exponent_of(x, known[0]) + exponent_of(y, known[1])) + extra
        drop = known[0, 2] + known[1, 2]
        term = _cut(product, kept + exponent - highest - drop)
        sign = (x >> np.int32(known[0, 4])) ^ (y >> np.int32(known[1, 4]))
        total += -term if sign & 1 else term
    return settled(total, highest - kept, rules[1], rules[2])
