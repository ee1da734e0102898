"""Norms, and the order in which a vector unit sums a row.

A unit with L lanes keeps L partial sums: element i is added to sum i mod L, in ascending order.
Then sum i takes in sum i + h, where h is half the number of sums, rounded up, until one is left.
Every step is rounded to binary32.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import matrix, vector
from accelsim_kernels.fused import divide32
from accelsim_kernels.jit import kernel, part, rows_in_threads
from accelsim_kernels.rounding import plain, rounded

Float32 = npt.NDArray[np.float32]

#: Numbers that are worth a thread.
_LEAST = 65536


@part
def _fold(partial: Float32) -> np.float32:
    """Add the lanes' sums by halves."""
    count = partial.size
    while count > 1:
        half = (count + 1) // 2
        for i in range(count - half):
            partial[i] += partial[i + half]
        count = half
    return partial[0]


@part
def _sum(row: Float32, centre: np.float32, power: int, partial: Float32) -> np.float32:
    """Sum ``x - centre`` or its square over a row."""
    lanes, n = partial.size, row.size
    for i in range(lanes):
        partial[i] = np.float32(0)
    for start in range(0, n, lanes):
        for i in range(min(lanes, n - start)):
            value = np.float32(row[start + i] - centre)
            partial[i] += np.float32(value * value) if power == 2 else value
    return _fold(partial)


@kernel
def _row_sums(x: Float32, lanes: int, out: Float32) -> None:
    partial = np.empty(lanes, np.float32)
    for row in range(x.shape[0]):
        out[row] = _sum(x[row], np.float32(0), 1, partial)


@kernel
def _normalize(
    x: Float32, weight: Float32, bias: Float32, eps: np.float32, centred: bool, lanes: int,
    fmt: int, out: Float32,
) -> None:  # fmt: skip
    partial = np.empty(lanes, np.float32)
    n = np.float32(x.shape[1])
    for row in range(x.shape[0]):
        centre = np.float32(0)
        if centred:
            centre = np.float32(_sum(x[row], np.float32(0), 1, partial) / n)
        mean = np.float32(_sum(x[row], centre, 2, partial) / n)
        inverse = divide32(np.float32(1), np.sqrt(np.float32(mean + eps)))
        for j in range(x.shape[1]):
            value = np.float32(np.float32(x[row, j] - centre) * inverse)
            value = np.float32(np.float32(value * weight[j]) + bias[j])
            out[row, j] = rounded(value, fmt)


def _lanes(lanes: int) -> int:
    if lanes < 1:
        raise ValueError(f"lanes is {lanes}; at least 1 is needed")
    return lanes


def row_sum(x: npt.ArrayLike, lanes: int) -> Float32:
    """Return the sum of each row of float32 ``[rows, n]`` in the order of a unit with ``lanes``.

    Raises:
        ValueError: not a matrix of float32, or no lanes.
    """
    rows = matrix("x", x, np.float32)
    out = np.zeros(len(rows), np.float32)
    _row_sums(rows, _lanes(lanes), out)
    return out


def _norm(
    x: npt.ArrayLike, weight: npt.ArrayLike | None, bias: npt.ArrayLike | None, eps: float,
    centred: bool, lanes: int, format: str,
) -> Float32:  # fmt: skip
    rows = matrix("x", x, np.float32)
    n = rows.shape[1]
    ones, nothing = np.ones(n, np.float32), np.full(n, -0.0, np.float32)
    scale = vector("weight", ones if weight is None else weight, np.float32, n)
    shift = vector("bias", nothing if bias is None else bias, np.float32, n)
    out = np.empty_like(rows)
    number = plain(format)
    width = _lanes(lanes)

    def run(first: int, last: int) -> None:
        part = slice(first, last)
        _normalize(rows[part], scale, shift, np.float32(eps), centred, width, number, out[part])

    if rows.size:
        rows_in_threads(run, len(rows), -(-_LEAST // n))
    return out


def rms_norm(
    x: npt.ArrayLike, weight: npt.ArrayLike | None, eps: float, lanes: int, format: str
) -> Float32:
    """Return ``x / sqrt(mean(x^2) + eps) * weight`` of each row of float32 ``[rows, n]``.

    Squares, sums by lanes, mean, root, reciprocal and products are rounded to binary32 one by one,
    the result to ``format`` (B. Zhang, R. Sennrich, NeurIPS 2019, equation 4).

    Raises:
        ValueError: shapes or types that do not fit, no lanes, or a format that is none.
    """
    return _norm(x, weight, None, eps, False, lanes, format)


def layer_norm(
    x: npt.ArrayLike, weight: npt.ArrayLike | None, bias: npt.ArrayLike | None, eps: float,
    lanes: int, format: str,
) -> Float32:  # fmt: skip
    """Return ``(x - mean) / sqrt(var + eps) * weight + bias`` of each row of float32 ``[rows, n]``.

    The mean first, then the mean square of what is centred; every step is rounded to binary32, the
    result to ``format`` (J. L. Ba et al., arXiv:1607.06450, equation 4).

    Raises:
        ValueError: shapes or types that do not fit, no lanes, or a format that is none.
    """
    return _norm(x, weight, bias, eps, True, lanes, format)
