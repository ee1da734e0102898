"""Exp, logistic, SiLU, reciprocal and inverse root in 32-bit fixed point, and softmax from them.

Numbers stand as int32 with a stated number of fraction bits: Q5.26 has 26. The algorithms are
gemmlowp's (fixedpoint/fixedpoint.h) and TensorFlow Lite's (kernels/internal/common.h and
reference/softmax.h), which integer units implement as they stand.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array, matrix
from accelsim_kernels.jit import inner, kernel, leaf
from accelsim_kernels.requant import TYPES, quantize_multiplier

Codes = npt.NDArray[Any]
Int32 = npt.NDArray[np.int32]

_MOST, _LEAST = 2147483647, -2147483648
#: exp(-1/8) and 1/3 in Q0.31.
_EXP_EIGHTH, _THIRD = 1895147668, 715827883
#: exp(-2^i), i from -2 to 4, in Q0.31.
_EXP_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
#: 48/17 and -32/17 in Q2.29: the straight line that Newton's reciprocal begins with.
_LINE, _SLOPE = 1515870810, -1010580540
_HALF_ROOT_2 = 1518500250
#: Integer bits of differences and of sums of softmax.
_DIFF, _SUM = 5, 12


@inner
def high_product(a: int, b: int) -> np.int64:
    """The high half of twice the product of two int32, half up, saturated."""
    return min((np.int64(a) * np.int64(b) + (1 << 30)) >> 31, np.int64(_MOST))


@inner
def divide_by_power(x: int, shift: int) -> np.int64:
    """Shift right, half away from zero."""
    half = (np.int64(1) << shift) >> 1
    return (x + half - np.int64(x < 0 and shift > 0)) >> shift


@inner
def _saturated(x: int) -> np.int64:
    return min(max(np.int64(x), np.int64(_LEAST)), np.int64(_MOST))


@inner
def _exp(x: int, integer_bits: int) -> np.int64:
    """Exp of a number that is not positive, in Q0.31."""
    if x == 0:
        return np.int64(_MOST)
    quarter = np.int64(1) << (29 - integer_bits)
    rest = (x & (quarter - 1)) - quarter
    near = (rest << integer_bits) + (np.int64(1) << 28)  # from -1/8 to 1/8 in Q0.31
    square = high_product(near, near)
    cube, fourth = high_product(square, near), high_product(square, square)
    tail = high_product(divide_by_power(fourth, 2) + cube, _THIRD) + square
    found = _EXP_EIGHTH + high_product(_EXP_EIGHTH, near + divide_by_power(tail, 1))
    turns = rest - x
    for i in range(integer_bits + 2):
        if turns & (quarter << i):
            found = high_product(found, _EXP_POWERS[i])
    return np.int64(found)


@inner
def _reciprocal(x: int) -> np.int64:
    """``1 / (1 + x)`` of x in [0, 1) in Q0.31, by three steps of Newton."""
    total = np.int64(x) + np.int64(_MOST)
    half = (total + 1) // 2
    found = _LINE + high_product(half, _SLOPE)
    for _ in range(3):
        left = (np.int64(1) << 29) - high_product(half, found)
        found = found + _saturated(high_product(found, left) << 2)
    return _saturated(found << 1)


@inner
def _logistic(x: int) -> np.int64:
    """``1 / (1 + exp(-x))`` of x in Q4.27, in Q0.31."""
    if x == 0:
        return np.int64(1) << 30
    above = _reciprocal(_exp(-abs(np.int64(x)), 4))
    return above if x > 0 else np.int64(_MOST) - above


@leaf
def _map(x: Int32, which: int, out: Int32) -> None:
    for i in range(x.size):
        if which == 0:
            out[i] = _exp(np.int64(x[i]), _DIFF)
        elif which == 1:
            out[i] = _logistic(np.int64(x[i]))
        elif which == 2:
            out[i] = high_product(np.int64(x[i]), _logistic(np.int64(x[i])))
        else:
            out[i] = _reciprocal(np.int64(x[i]))


def _mapped(x: npt.ArrayLike, which: int) -> Int32:
    given = np.atleast_1d(array("x", x, np.int32))
    out = np.empty(given.shape, np.int32)
    _map(given.reshape(-1), which, out.reshape(-1))
    return out.reshape(np.shape(x))


def fixed_exp(x: npt.ArrayLike) -> Int32:
    """Return exp of int32 in Q5.26, none positive, in Q0.31.

    Raises:
        ValueError: another type, or a positive number.
    """
    if np.asarray(x).size and np.max(x) > 0:
        raise ValueError(f"x holds {np.max(x)}; no number above 0 is allowed")
    return _mapped(x, 0)


def fixed_logistic(x: npt.ArrayLike) -> Int32:
    """Return ``1 / (1 + exp(-x))`` of int32 in Q4.27, in Q0.31.

    Raises:
        ValueError: another type.
    """
    return _mapped(x, 1)


def fixed_silu(x: npt.ArrayLike) -> Int32:
    """Return ``x / (1 + exp(-x))`` of int32 in Q4.27, in Q4.27.

    Raises:
        ValueError: another type.
    """
    return _mapped(x, 2)


def fixed_reciprocal(x: npt.ArrayLike) -> Int32:
    """Return ``1 / (1 + x)`` of int32 in Q0.31, none negative, in Q0.31.

    Raises:
        ValueError: another type, or a negative number.
    """
    if np.asarray(x).size and np.min(x) < 0:
        raise ValueError(f"x holds {np.min(x)}; no number below 0 is allowed")
    return _mapped(x, 3)


@leaf
def _inverse_root(x: Int32, found: Int32, shift: Int32) -> None:
    for i in range(x.size):
        left, down = np.int64(x[i]), 11
        if left <= 1:
            found[i], shift[i] = _MOST, 0
            continue
        while left >= 1 << 29:
            left //= 4
            down += 1
        while left < 1 << 27:  # two to eight in Q3.28 with one bit more
            left <<= 2
            down -= 1
        half = divide_by_power(left >> 1, 1)
        y, three = np.int64(1) << 28, (np.int64(1) << 28) + (np.int64(1) << 27)
        for _ in range(5):
            cube = _saturated(high_product(high_product(y, y), y) << 6)
            y = _saturated((high_product(three, y) - high_product(half, cube)) << 3)
        y = high_product(y, _HALF_ROOT_2)
        if down < 0:
            y, down = y << -down, 0
        found[i], shift[i] = y, -down


def fixed_inverse_root(x: npt.ArrayLike) -> tuple[Int32, Int32]:
    """Return multipliers m and shifts of ``1 / sqrt(x) = m 2^(shift - 31)`` of int32.

    Five steps of Newton in Q3.28; 0 and 1 give the largest multiplier (TensorFlow Lite,
    GetInvSqrtQuantizedMultiplierExp).

    Raises:
        ValueError: another type, or a negative number.
    """
    given = np.atleast_1d(array("x", x, np.int32))
    if given.size and given.min() < 0:
        raise ValueError(f"x holds {given.min()}; no number below 0 is allowed")
    found, shift = np.empty(given.shape, np.int32), np.empty(given.shape, np.int32)
    _inverse_root(given.reshape(-1), found.reshape(-1), shift.reshape(-1))
    return found.reshape(np.shape(x)), shift.reshape(np.shape(x))


@kernel
def _softmax(x: Codes, multiplier: int, left: int, least: int, low: int, out: Codes) -> None:
    bits = 8 * out.itemsize
    exps = np.empty(x.shape[1], np.int64)
    for row in range(x.shape[0]):
        top = np.int64(x[row, 0])
        for j in range(x.shape[1]):
            top = max(top, np.int64(x[row, j]))
        total = np.int64(0)
        for j in range(x.shape[1]):
            diff, exps[j] = np.int64(x[row, j]) - top, -1
            if diff >= least:
                exps[j] = _exp(high_product(np.int64(np.int32(diff << left)), multiplier), _DIFF)
                total += divide_by_power(exps[j], _SUM)
        headroom = 0
        while total << headroom < 1 << 31:
            headroom += 1
        inverse = _reciprocal((total << headroom) - (np.int64(1) << 31))
        shift = _SUM - headroom + 31 - bits
        for j in range(x.shape[1]):
            found = np.int64(low)
            if exps[j] >= 0:
                found += divide_by_power(high_product(inverse, exps[j]), shift)
            out[row, j] = min(found, np.int64(low) + (np.int64(1) << bits) - 1)


#: Longest row: the sum of exps has 12 integer bits.
LONGEST_ROW = 4095


def softmax_int(x: npt.ArrayLike, scale: float, beta: float = 1.0, format: str = "int8") -> Codes:
    """Return softmax of rows of int8 or uint8 codes, as TensorFlow Lite's reference does.

    Differences from the largest code become Q5.26, their exps are summed in Q12.19, and one
    reciprocal serves the row. The result's scale is ``2^-bits``, its zero point the lowest code.

    Args:
        x: int8 or uint8 ``[rows, n]``, n up to 4095.
        scale: of the codes.
        beta: multiplies the argument.
        format: of the result: ``int8``, ``uint8`` or ``int16``, the latter from int8 alone.

    Raises:
        ValueError: types, a scale or a length that do not fit.
    """
    given = np.asarray(x)
    if given.dtype not in (np.int8, np.uint8) or format not in ("int8", "uint8", "int16"):
        raise ValueError(f"x is {given.dtype} and format {format!r}; int8 and uint8, and as a "
                         "format int16, are allowed")  # fmt: skip
    rows = matrix("x", given, given.dtype)
    real = float(np.float32(beta)) * float(np.float32(scale)) * 2.0 ** (31 - _DIFF)
    if not 1 < real < math.inf or rows.shape[1] > LONGEST_ROW:
        raise ValueError(f"scale is {scale}, beta {beta}, and a row has {rows.shape[1]} codes; "
                         f"a positive product and at most {LONGEST_ROW} are needed")  # fmt: skip
    multiplier, left = (int(v) for v in quantize_multiplier(min(real, 2.0**31 - 1)))
    least = -math.floor((2**_DIFF - 1) * 2 ** (31 - _DIFF) / 2**left)
    out = np.empty(rows.shape, TYPES[format])
    if out.size:
        _softmax(rows, multiplier, left, least, int(np.iinfo(out.dtype).min), out)
    return out
