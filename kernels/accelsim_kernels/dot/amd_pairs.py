"""AMD CDNA2: products and sums of pairs, each rounded to binary32, without subnormal numbers.

Operands that are subnormal in their format count as +0, and so does a subnormal accumulator at the
start of an instruction. Every product and every sum is rounded to binary32, ties to even; one that
is subnormal afterwards becomes a zero of its sign. Groups of four products are
``c = c + ((p0 + p1) + (p2 + p3))``, groups of two ``c = c + (p0 + p1)``.
Source: arXiv 2511.10909; mmasim 2.1.1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim_kernels.fused import bits_of, float_of
from accelsim_kernels.jit import DOOR, kernel, leaf, rows_in_threads

Float32 = npt.NDArray[np.float32]

#: Columns of a panel; rows whose accumulators stay in a core's cache; rows that are worth a thread.
COLUMNS, _BLOCK, _LEAST = 64, 96, 16
#: The least normal number of binary32, as bits.
_NORMAL = 0x00800000


@DOOR.inner
def _flushed(x: np.float32) -> np.float32:
    """Return a zero of the same sign for a subnormal number."""
    word = bits_of(x)
    small = word & np.uint32(0x7FFFFFFF) < np.uint32(_NORMAL)
    return float_of(word & np.uint32(0x80000000)) if small else x


@DOOR.inner
def _normal(x: np.float32, least: np.float32) -> np.float32:
    """Return +0 for what is below the least normal number of a format."""
    return np.float32(0) if abs(x) < least else x


@leaf
def _panels(b: Float32, least: np.float32, panels: Float32) -> None:
    for j in range(b.shape[0]):
        for k in range(b.shape[1]):
            panels[j // COLUMNS, k, j % COLUMNS] = _normal(b[j, k], least)


@leaf
def _group(a: Float32, b: Float32, four: bool, acc: Float32) -> None:
    """Add one group of products to the accumulators of 64 columns."""
    a0, a1 = a[0], a[1]
    if not four:
        for j in range(COLUMNS):
            pair = _flushed(_flushed(a0 * b[0, j]) + _flushed(a1 * b[1, j]))
            acc[j] = _flushed(acc[j] + pair)
        return
    a2, a3 = a[2], a[3]
    for j in range(COLUMNS):
        first = _flushed(_flushed(a0 * b[0, j]) + _flushed(a1 * b[1, j]))
        second = _flushed(_flushed(a2 * b[2, j]) + _flushed(a3 * b[3, j]))
        acc[j] = _flushed(acc[j] + _flushed(first + second))


@kernel
def _pairs(
    a: Float32, panels: Float32, group: int, step: int, out: Float32, first: int, last: int
) -> None:
    columns = out.shape[1]
    acc = np.zeros((_BLOCK, COLUMNS), np.float32)
    for block in range(first, last, _BLOCK):
        rows = min(_BLOCK, last - block)
        for panel in range(panels.shape[0]):
            left = panel * COLUMNS
            width = min(COLUMNS, columns - left)
            for i in range(rows):
                for j in range(width):
                    acc[i, j] = out[block + i, left + j]
            for k in range(0, a.shape[1], group):
                right = panels[panel, k : k + group]
                for i in range(rows):
                    if k % step == 0:  # an instruction begins
                        for j in range(COLUMNS):
                            acc[i, j] = _normal(acc[i, j], float_of(np.uint32(_NORMAL)))
                    _group(a[block + i, k : k + group], right, group == 4, acc[i])
            for i in range(rows):
                for j in range(width):
                    out[block + i, left + j] = acc[i, j]


def flushed_pairs(
    a: Float32, b: Float32, c: Float32, least: tuple[int, int], group: int, step: int
) -> Float32:
    """Return ``[m, n]`` sums that begin with c; K is filled with zeros to whole groups.

    Args:
        a: numbers ``[m, K]``.
        b: numbers ``[n, K]``.
        c: accumulators ``[m, n]``.
        least: exponents of subnormal numbers in the formats of a and b.
        group: products of a group: 2 or 4.
        step: K of one instruction, a multiple of the group.
    """
    k = -(-a.shape[1] // group) * group
    low = np.float32(2.0 ** least[0])
    rows = np.zeros((len(a), k), np.float32)
    rows[:, : a.shape[1]] = np.where(np.abs(a) < low, np.float32(0), a)
    panels = np.zeros((-(-len(b) // COLUMNS), k, COLUMNS), np.float32)
    _panels(b, np.float32(2.0 ** least[1]), panels)
    out = c.copy()
    rows_in_threads(
        lambda first, last: _pairs(rows, panels, group, step, out, first, last), len(out), _LEAST
    )
    return out
