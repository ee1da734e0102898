"""Functions of the vector unit: exponential, activations, softmax.

A function is evaluated in binary64 and rounded once to binary32, as a unit does whose tables are
good to the last bit; what an op leaves is then rounded to the op's format. The exponential is our
own, so that bits do not depend on the platform's library; the error function and log1p are the
library's. Its last bit shows nowhere but below -5 in gelu, where 1 + erf cancels and less than a
millionth is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array, matrix
from accelsim_kernels.fused import double_of
from accelsim_kernels.jit import leaf
from accelsim_kernels.rounding import plain, rounded

Float32 = npt.NDArray[np.float32]

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


@leaf
def exp64(x: float) -> float:
    """Return e^x in binary64: 2^n times the series of the rest, by Horner, in a fixed order."""
    # Without branches, so that loops over it are compiled to vector instructions.
    bounded = x if x > _LOWEST else _LOWEST
    bounded = bounded if bounded < _HIGHEST else _HIGHEST
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
    power = double_of((np.int64(n) + np.int64(1023)) << np.int64(52))
    return total * power if x == x else x


@leaf
def sigmoid64(x: float) -> float:
    """Return 1 / (1 + e^-x)."""
    return 1.0 / (1.0 + exp64(-x))


@leaf
def tanh64(x: float) -> float:
    """Return tanh x, also where it is nearly x."""
    if abs(x) < _SMALL:
        square = x * x
        return x + x * square * (square * (2.0 / 15.0) - 1.0 / 3.0)
    tail = 1.0 - 2.0 / (exp64(2.0 * abs(x)) + 1.0)
    return tail if x > 0.0 else -tail


#: Numbers of the activations inside the kernel.
ACTIVATIONS: Mapping[str, int] = {
    "relu": 0, "relu6": 1, "gelu": 2, "gelu_tanh": 3, "quick_gelu": 4, "silu": 5, "sigmoid": 6,
    "tanh": 7, "hardswish": 8, "hardsigmoid": 9, "softplus": 10, "exp": 11,
}  # fmt: skip


@leaf
def _smooth(x: float, fn: int) -> float:
    if fn == 2:
        return 0.5 * x * (1.0 + math.erf(x * 0.7071067811865476))
    if fn == 3:
        return 0.5 * x * (1.0 + tanh64(0.7978845608028654 * (x + 0.044715 * x * x * x)))
    if fn == 4:
        return x * sigmoid64(1.702 * x)
    if fn == 5:
        return x * sigmoid64(x)
    if fn == 6:
        return sigmoid64(x)
    if fn == 7:
        return tanh64(x)
    if fn == 10:
        return max(x, 0.0) + math.log1p(exp64(-abs(x)))
    return exp64(x)


@leaf
def _straight(x: float, fn: int) -> float:
    if fn == 0:
        return x if x > 0.0 or x != x else 0.0
    if fn == 1:
        return min(max(x, 0.0), 6.0) if x == x else x
    part = min(max(x + 3.0, 0.0), 6.0) / 6.0
    return x * part if fn == 8 else part


@leaf
def _activate(x: Float32, fn: int, fmt: int, out: Float32) -> None:
    straight = fn == 0 or fn == 1 or fn == 8 or fn == 9
    for i in range(x.size):
        value = np.float64(x[i])
        made = _straight(value, fn) if straight else _smooth(value, fn)
        out[i] = rounded(np.float32(made), fmt)


def activation(x: npt.ArrayLike, fn: str, format: str) -> Float32:
    """Return a function of every float32 number, rounded to binary32 and then to ``format``.

    Raises:
        ValueError: another type than float32, or a function or format that is none.
    """
    if fn not in ACTIVATIONS:
        raise ValueError(f"fn is {fn!r}; {', '.join(ACTIVATIONS)} are allowed")
    given = array("x", x, np.float32)
    out = np.empty_like(given)
    _activate(given.reshape(-1), ACTIVATIONS[fn], plain(format), out.reshape(-1))
    return out


def exp(x: npt.ArrayLike) -> Float32:
    """Return e to the power of every float32 number, rounded to binary32."""
    return activation(x, "exp", "fp32")


@leaf
def _softmax(x: Float32, fmt: int, out: Float32) -> None:
    for row in range(x.shape[0]):
        largest = np.float32(-np.inf)
        for j in range(x.shape[1]):
            largest = max(largest, x[row, j])
        total = np.float32(0)
        for j in range(x.shape[1]):
            out[row, j] = np.float32(exp64(np.float64(np.float32(x[row, j] - largest))))
        for j in range(x.shape[1]):
            total += out[row, j]
        for j in range(x.shape[1]):
            out[row, j] = rounded(np.float32(out[row, j] / total), fmt)


def softmax(x: npt.ArrayLike, format: str) -> Float32:
    """Return the softmax of each row of float32 ``[rows, n]``.

    ``e_j = exp(x_j - max)``, their sum in ascending order, ``e_j / sum``: every step rounded to
    binary32, the result to ``format``.

    Raises:
        ValueError: not a matrix of float32, or a format that is none.
    """
    rows = matrix("x", x, np.float32)
    out = np.empty_like(rows)
    _softmax(rows, plain(format), out)
    return out
