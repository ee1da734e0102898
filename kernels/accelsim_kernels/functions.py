"""Smooth functions in binary64: exponential, sigmoid, hyperbolic tangent, error function.

Plain additions, multiplications and divisions in a fixed order, so that bits do not depend on the
platform's library. Both sides of a case are computed and one is taken: loops become vectors.

The error function has three rational approximations (W. J. Cody, Rational Chebyshev Approximations
for the Error Function, Mathematics of Computation 23, 1969; coefficients as in SPECFUN's CALERF).
"""

from __future__ import annotations

import numpy as np

from accelsim_kernels.fused import choose64, divide64, double_of
from accelsim_kernels.jit import part

#: Beyond these the result is zero or infinite in binary32 and still a number in binary64.
_LOWEST, _HIGHEST = -700.0, 700.0
_LOG2E = 1.4426950408889634
#: Added and taken off again, it rounds to a whole number, ties to even: its last bit is worth one.
_ROUNDER = 1.5 * 2.0**52
#: ln 2 in two parts: the first has 21 bits less, so that its product with n is exact (W. J. Cody,
#: W. Waite, Software Manual for the Elementary Functions, 1980, chapter 6).
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
#: Below this tanh is its series up to x^5, beyond it one minus an exponential.
_SMALL = 1e-3
#: Up to where the first and the second approximation of the error function hold.
NEAR, FAR = 0.46875, 4.0
_ONE_BY_ROOT_PI = 0.5641895835477563


@part
def exp64(x: float) -> float:
    """Return e^x in binary64: 2^n times the series of the rest, by Horner, in a fixed order."""
    bounded = choose64(x > _LOWEST, x, _LOWEST)
    bounded = choose64(bounded < _HIGHEST, bounded, _HIGHEST)
    n = (bounded * _LOG2E + _ROUNDER) - _ROUNDER
    r = (bounded - n * _LN2_HIGH) - n * _LN2_LOW
    total = 1.0 / 6227020800.0
    total = total * r + 1.0 / 479001600.0
    total = total * r + 1.0 / 39916800.0
    total = total * r + 1.0 / 3628800.0
    total = total * r + 1.0 / 362880.0
    total = total * r + 1.0 / 40320.0
    total = total * r + 1.0 / 5040.0
    total = total * r + 1.0 / 720.0
    total = total * r + 1.0 / 120.0
    total = total * r + 1.0 / 24.0
    total = total * r + 1.0 / 6.0
    total = total * r + 0.5
    total = total * r + 1.0
    total = total * r + 1.0
    total = total * double_of((np.int64(n) + np.int64(1023)) << np.int64(52))
    return choose64(x == x, total, x)


@part
def sigmoid64(x: float) -> float:
    """Return 1 / (1 + e^-x)."""
    return divide64(1.0, 1.0 + exp64(-x))


@part
def tanh64(x: float) -> float:
    """Return tanh x, also where it is nearly x."""
    square = x * x
    series = x + x * square * (square * (2.0 / 15.0) - 1.0 / 3.0)
    tail = 1.0 - divide64(2.0, exp64(2.0 * abs(x)) + 1.0)
    return choose64(abs(x) < _SMALL, series, choose64(x > 0.0, tail, -tail))


@part
def erf_near(z: float) -> float:
    """Return erf z up to 0.46875."""
    y = z * z
    top = 1.85777706184603153e-1 * y
    top = (top + 3.16112374387056560e00) * y
    top = (top + 1.13864154151050156e02) * y
    top = (top + 3.77485237685302021e02) * y
    low = (y + 2.36012909523441209e01) * y
    low = (low + 2.44024637934444173e02) * y
    low = (low + 1.28261652607737228e03) * y
    return z * divide64(top + 3.20937758913846947e03, low + 2.84423683343917062e03)


@part
def erfc_middle(z: float) -> float:
    """Return e^(z^2) erfc z from 0.46875 to 4."""
    top = 2.15311535474403846e-8 * z
    top = (top + 5.64188496988670089e-1) * z
    top = (top + 8.88314979438837594e00) * z
    top = (top + 6.61191906371416295e01) * z
    top = (top + 2.98635138197400131e02) * z
    top = (top + 8.81952221241769090e02) * z
    top = (top + 1.71204761263407058e03) * z
    top = (top + 2.05107837782607147e03) * z
    low = (z + 1.57449261107098347e01) * z
    low = (low + 1.17693950891312499e02) * z
    low = (low + 5.37181101862009858e02) * z
    low = (low + 1.62138957456669019e03) * z
    low = (low + 3.29079923573345963e03) * z
    low = (low + 4.36261909014324716e03) * z
    low = (low + 3.43936767414372164e03) * z
    return divide64(top + 1.23033935479799725e03, low + 1.23033935480374942e03)


@part
def erfc_far(z: float) -> float:
    """Return e^(z^2) erfc z from 4 on."""
    y = divide64(1.0, z * z)
    top = 1.63153871373020978e-2 * y
    top = (top + 3.05326634961232344e-1) * y
    top = (top + 3.60344899949804439e-1) * y
    top = (top + 1.25781726111229246e-1) * y
    top = (top + 1.60837851487422766e-2) * y
    low = (y + 2.56852019228982242e00) * y
    low = (low + 1.87295284992346725e00) * y
    low = (low + 5.27905102951428412e-1) * y
    low = (low + 6.05183413124413191e-2) * y
    rest = y * divide64(top + 6.58749161529837803e-4, low + 2.33520497626869185e-3)
    return divide64(_ONE_BY_ROOT_PI - rest, z)
