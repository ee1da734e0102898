"""Functions of the vector unit: exponential, activations, softmax.

A function is evaluated in binary64 and rounded once to binary32, as a unit does whose tables are
good to the last bit; what an op leaves is then rounded to the op's format. All of it is our own
arithmetic, so that bits do not depend on the platform's library, but for log1p in softplus: there
the library's last bit of binary64 is one of 29 that rounding to binary32 takes away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import array, matrix
from accelsim_kernels.functions import (
    FAR,
    NEAR,
    erf_near,
    erfc_far,
    erfc_middle,
    exp64,
    sigmoid64,
    tanh64,
)
from accelsim_kernels.fused import choose64, divide32, of_order, order_of
from accelsim_kernels.jit import leaf, part, rows_in_threads
from accelsim_kernels.rounding import plain, round_all

Float32 = npt.NDArray[np.float32]

#: Numbers that are worth a thread.
_LEAST = 16384
_ROOT_HALF = 0.7071067811865476


@leaf
def _relu(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        out[i] = np.float32(0) if x[i] <= np.float32(0) else x[i]


@leaf
def _relu6(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        kept = np.float32(0) if x[i] < np.float32(0) else x[i]
        out[i] = np.float32(6) if kept > np.float32(6) else kept


@leaf
def _gelu(x: Float32, out: Float32) -> None:
    """Write x times the standard normal distribution, ``erfc(-x / sqrt 2) / 2``.

    From the complement, which keeps its digits where it is small: below -8 ``1 + erf`` has none.
    """
    for i in range(x.size):
        value = np.float64(x[i])
        z = abs(value) * _ROOT_HALF
        # The square is exact, since x has 24 bits.
        tail = choose64(z <= FAR, erfc_middle(z), erfc_far(z)) * exp64(-0.5 * (value * value))
        half = 0.5 * choose64(z <= NEAR, 1.0 - erf_near(z), tail)
        out[i] = np.float32(value * choose64(value < 0.0, half, 1.0 - half))


@leaf
def _gelu_tanh(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        value = np.float64(x[i])
        bent = tanh64(0.7978845608028654 * (value + 0.044715 * value * value * value))
        out[i] = np.float32(0.5 * value * (1.0 + bent))


@leaf
def _quick_gelu(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        value = np.float64(x[i])
        out[i] = np.float32(value * sigmoid64(1.702 * value))


@leaf
def _silu(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        value = np.float64(x[i])
        out[i] = np.float32(value * sigmoid64(value))


@leaf
def _sigmoid(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        out[i] = np.float32(sigmoid64(np.float64(x[i])))


@leaf
def _tanh(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        out[i] = np.float32(tanh64(np.float64(x[i])))


@part
def _ramp(x: float) -> float:
    """Return x + 3 between 0 and 6, divided by 6."""
    part = x + 3.0
    part = 0.0 if part < 0.0 else part
    return (6.0 if part > 6.0 else part) / 6.0


@leaf
def _hardswish(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        value = np.float64(x[i])
        out[i] = np.float32(value * _ramp(value))


@leaf
def _hardsigmoid(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        out[i] = np.float32(_ramp(np.float64(x[i])))


@leaf
def _softplus(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        value = np.float64(x[i])
        out[i] = np.float32(max(value, 0.0) + math.log1p(exp64(-abs(value))))


@leaf
def _exp(x: Float32, out: Float32) -> None:
    for i in range(x.size):
        out[i] = np.float32(exp64(np.float64(x[i])))


#: The loop of each function.
ACTIVATIONS: Mapping[str, Callable[[Float32, Float32], None]] = {
    "relu": _relu, "relu6": _relu6, "gelu": _gelu, "gelu_tanh": _gelu_tanh,
    "quick_gelu": _quick_gelu, "silu": _silu, "sigmoid": _sigmoid, "tanh": _tanh,
    "hardswish": _hardswish, "hardsigmoid": _hardsigmoid, "softplus": _softplus, "exp": _exp,
}  # fmt: skip


def activation(x: npt.ArrayLike, fn: str, format: str) -> Float32:
    """Return a function of every float32 number, rounded to binary32 and then to ``format``.

    ``gelu`` is x times the standard normal distribution, ``gelu_tanh`` its form with tanh
    (D. Hendrycks, K. Gimpel, arXiv:1606.08415, section 2), ``quick_gelu`` ``x sigmoid(1.702 x)``,
    ``hardswish`` and ``hardsigmoid`` have ``min(max(x + 3, 0), 6) / 6`` for a sigmoid.

    Raises:
        ValueError: another type than float32, or a function or format that is none.
    """
    if fn not in ACTIVATIONS:
        raise ValueError(f"fn is {fn!r}; {', '.join(ACTIVATIONS)} are allowed")
    number, loop, given = plain(format), ACTIVATIONS[fn], array("x", x, np.float32)
    out = np.empty_like(given)
    flat, results = given.reshape(-1), out.reshape(-1)

    def run(first: int, last: int) -> None:
        loop(flat[first:last], results[first:last])
        if number:
            round_all(results[first:last], number, results[first:last])

    rows_in_threads(run, flat.size, _LEAST)
    return out


def exp(x: npt.ArrayLike) -> Float32:
    """Return e to the power of every float32 number, rounded to binary32."""
    return activation(x, "exp", "fp32")


@leaf
def _softmax(x: Float32, out: Float32) -> None:
    for row in range(x.shape[0]):
        key = np.int32(-(2**31))
        for j in range(x.shape[1]):
            key = max(key, order_of(x[row, j]))
        largest = of_order(key)
        total = np.float32(0)
        for j in range(x.shape[1]):
            out[row, j] = np.float32(exp64(np.float64(np.float32(x[row, j] - largest))))
        for j in range(x.shape[1]):
            total += out[row, j]
        for j in range(x.shape[1]):
            out[row, j] = divide32(out[row, j], total)


def softmax(x: npt.ArrayLike, format: str) -> Float32:
    """Return the softmax of each row of float32 ``[rows, n]``.

    ``e_j = exp(x_j - max)``, their sum in ascending order, ``e_j / sum``: every step rounded to
    binary32, the result to ``format``.

    Raises:
        ValueError: not a matrix of float32, or a format that is none.
    """
    rows, number = matrix("x", x, np.float32), plain(format)
    out = np.empty_like(rows)

    def run(first: int, last: int) -> None:
        _softmax(rows[first:last], out[first:last])
        if number:
            part = out[first:last].reshape(-1)
            round_all(part, number, part)

    rows_in_threads(run, len(rows), -(-_LEAST // max(1, rows.shape[1])))
    return out
