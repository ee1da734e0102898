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

from accelsim_kernels.dot.serial_tiles import (
    BLOCK,
    COLUMNS,
    in_threads,
    panels_of,
    read_tile,
    write_tile,
)
from accelsim_kernels.fused import bits_of, float_of
from accelsim_kernels.jit import inner, kernel, part

Float32 = npt.NDArray[np.float32]

#: The least normal number of binary32, as bits.
_NORMAL = 0x00800000


@inner
def _flushed(x: np.float32) -> np.float32:
    """Return a zero of the same sign for a subnormal number."""
    word = bits_of(x)
    small = word & np.uint32(0x7FFFFFFF) < np.uint32(_NORMAL)
    return float_of(word & np.uint32(0x80000000)) if small else x


@inner
def _normal(x: np.float32, least: np.float32) -> np.float32:
    """Return +0 for what is below the least normal number of a format."""
    return np.float32(0) if abs(x) < least else x


@part
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


@part
def _begin(acc: Float32) -> None:
    """Flush the accumulators of 64 columns, as an instruction does with what it is given."""
    for j in range(COLUMNS):
        acc[j] = _normal(acc[j], float_of(np.uint32(_NORMAL)))


@kernel
def _pairs(
    a: Float32, panels: Float32, group: int, step: int, out: Float32, first: int, last: int
) -> None:
    acc = np.zeros((BLOCK, COLUMNS), np.float32)
    for block in range(first, last, BLOCK):
        rows = min(BLOCK, last - block)
        for panel in range(panels.shape[0]):
            read_tile(out, block, panel * COLUMNS, acc)
            for k in range(0, a.shape[1], group):
                for i in range(rows):
                    if k % step == 0:
                        _begin(acc[i])
                    right = panels[panel, k : k + group]
                    _group(a[block + i, k : k + group], right, group == 4, acc[i])
            write_tile(acc, rows, out, block, panel * COLUMNS)


def _filled(x: Float32, least: int, k: int) -> Float32:
    """Return numbers without those below the least normal one, and zeros up to a length."""
    filled = np.zeros((len(x), k), np.float32)
    filled[:, : x.shape[1]] = np.where(np.abs(x) < np.float32(2.0**least), np.float32(0), x)
    return filled


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
        step: K of one instruction, a multiple of the group; 0: K is one instruction.
    """
    k = -(-a.shape[1] // group) * group
    rows, panels = _filled(a, least[0], k), panels_of(_filled(b, least[1], k))
    out, step = c.copy(), step or k
    in_threads(lambda first, last: _pairs(rows, panels, group, step, out, first, last), out, k)
    return out
