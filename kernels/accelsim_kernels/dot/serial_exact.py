"""Exact sums of a few binary64 numbers, rounded to odd, and one rounding to a narrower format.

A number rounded to odd (inexact: the neighbour whose last bit is 1) can be rounded again to any
format with at least two bits less, in any direction, as if there had been one rounding
(Boldo, Melquiond: Emulation of a FMA and correctly rounded sums, IEEE Trans. Computers 57, 2008).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.fused import bits_of_double, double_of
from accelsim_kernels.jit import inner, part

Float64 = npt.NDArray[np.float64]

#: The exponent field of infinity and NaN.
_FULL = 2047


@inner
def error_of(a: np.float64, b: np.float64, total: np.float64) -> np.float64:
    """Return what is missing in ``total``, the rounded ``a + b`` (Knuth, TAOCP 4.2.2)."""
    other = total - a
    return (a - (total - other)) + (b - other)


@inner
def odd(total: np.float64, error: np.float64) -> np.float64:
    """Return ``total + error`` rounded to odd, where error is below half a step of the total."""
    bits = bits_of_double(total)
    apart = np.int64(bits ^ bits_of_double(error)) < np.int64(0)
    moved = bits - np.int64(1) if apart else bits + np.int64(1)
    exact = error == np.float64(0) or (bits & np.int64(1)) == np.int64(1)
    special = ((bits >> np.int64(52)) & np.int64(_FULL)) == np.int64(_FULL)
    return double_of(bits if exact or special else moved)


@inner
def to_format(
    x: np.float64, kept: np.int64, least: np.int64, most: np.int64, to_zero: bool
) -> np.float64:
    """Round a number to a format.

    Args:
        x: zero, or a number of at least 2^-1000.
        kept: fraction bits.
        least: exponent of subnormal numbers.
        most: largest exponent; what is above it is infinite.
        to_zero: toward zero instead of to the nearest, ties to even.
    """
    field = (bits_of_double(x) >> np.int64(52)) & np.int64(_FULL)
    place = max(np.int64(field - np.int64(1023)), least) - kept
    scaled = x * double_of((np.int64(1023) - place) << np.int64(52))
    whole = np.trunc(scaled) if to_zero else np.rint(scaled)
    found = whole * double_of((place + np.int64(1023)) << np.int64(52))
    limit = double_of((most + np.int64(1024)) << np.int64(52))
    return np.copysign(np.inf, found) if abs(found) >= limit else found


@part
def exact_total(terms: Float64, parts: Float64) -> np.float64:
    """Return the exact sum of finite numbers, rounded to odd.

    The sum is kept in numbers that do not overlap, smallest first (Shewchuk, Adaptive Precision
    Floating-Point Arithmetic, 1997).

    Args:
        terms: numbers whose sum is far from overflow.
        parts: room for as many numbers.
    """
    count = 0
    for term in terms:
        x, kept = term, 0
        for i in range(count):
            total = x + parts[i]
            error = error_of(x, parts[i], total)
            if error != 0.0:
                parts[kept] = error
                kept += 1
            x = total
        parts[kept] = x
        count = kept + 1
    total = parts[count - 1]
    for i in range(count - 2, -1, -1):
        high = total + parts[i]
        error = error_of(total, parts[i], high)
        if error != 0.0:
            return odd(high, error)
        total = high
    return total
