"""Products in floating point, summed one after the other along K.

``fp32_chain``: every product enters its sum by a fused multiply-add in IEEE 754 binary32, K
ascending, the sum beginning at +0. Products of BF16, FP16 and FP8 numbers are exact inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from accelsim_kernels.arrays import matrix
from accelsim_kernels.chains import chain4
from accelsim_kernels.jit import kernel, leaf, part, rows_in_threads
from accelsim_kernels.tile import COLUMNS, ROWS, chain_tile

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Floats = TypeVar("Floats", Float32, Float64)

#: Rows that are kept in a core's cache while the panels of the weights pass by.
_BLOCK = 96
#: Rows that are worth a thread.
_LEAST = 64
#: Columns of a tile of binary64, and the part of K that is packed at a time.
_COLUMNS64, _RUN = 32, 16


@leaf
def _pack_columns(b: Floats, packed: Floats) -> None:
    """Lay out ``[n, k]`` as panels of columns ``[panel][k][column]``; missing ones are zero."""
    n, depth = b.shape
    width = packed.shape[2]
    for panel in range(packed.shape[0]):
        # A run of K is a cache line of every column, which is read once so.
        for start in range(0, depth, _RUN):
            for j in range(width):
                column = panel * width + j
                for k in range(start, min(start + _RUN, depth)):
                    packed[panel, k, j] = b[column, k] if column < n else 0


def _panels(b: Floats, width: int) -> Floats:
    panels = np.empty((-(-b.shape[0] // width), b.shape[1], width), b.dtype)
    _pack_columns(b, panels)
    return panels


@part
def _pack_rows(a: Float32, first: int, packed: Float32) -> None:
    """Lay out 6 rows as ``[k][6]``; missing rows are zero."""
    rows, depth = a.shape
    for k in range(depth):
        for i in range(ROWS):
            row = first + i
            packed[k * ROWS + i] = a[row, k] if row < rows else np.float32(0)


@kernel
def _chain(a: Float32, panels: Float32, out: Float32, first: int, last: int) -> None:
    depth, columns = a.shape[1], out.shape[1]
    flat = panels.reshape(-1)
    tiles = _BLOCK // ROWS
    rows = np.empty((tiles, depth * ROWS), np.float32)
    sums = np.empty((ROWS, COLUMNS), np.float32)
    zeros = np.zeros(COLUMNS, np.float32)
    for block in range(first, last, _BLOCK):
        count = min(tiles, (last - block + ROWS - 1) // ROWS)
        for tile in range(count):
            _pack_rows(a, block + tile * ROWS, rows[tile])
        for panel in range(panels.shape[0]):
            width = min(COLUMNS, columns - panel * COLUMNS)
            for tile in range(count):
                at = panel * depth * COLUMNS
                chain_tile(sums, zeros, zeros, rows[tile], 0, flat, at, depth)
                top = block + tile * ROWS
                for i in range(min(ROWS, last - top)):
                    for j in range(width):
                        out[top + i, panel * COLUMNS + j] = sums[i, j]


@dataclass(frozen=True)
class PackedChain:
    """A right operand ``[n, k]`` laid out for ``matmul_chain``."""

    panels: Float32
    n: int

    @classmethod
    def of(cls, b: npt.ArrayLike) -> PackedChain:
        """Lay out ``[n, k]`` numbers.

        Raises:
            ValueError: not a matrix of float32.
        """
        rows = matrix("b", b, np.float32)
        return cls(_panels(rows, COLUMNS), rows.shape[0])

    @property
    def k(self) -> int:
        """Length of K."""
        return self.panels.shape[1]


def matmul_chain(a: npt.ArrayLike, b: npt.ArrayLike | PackedChain) -> Float32:
    """Return ``[m, n]`` sums of ``a[m, k] b[n, k]``, float32, in the order of ``fp32_chain``.

    Raises:
        ValueError: not matrices of float32, or different K.
    """
    rows = matrix("a", a, np.float32)
    right = b if isinstance(b, PackedChain) else PackedChain.of(b)
    if rows.shape[1] != right.k:
        raise ValueError(f"a has K={rows.shape[1]}, b has K={right.k}: they do not multiply")
    out = np.zeros((rows.shape[0], right.n), np.float32)
    if out.size and right.k:
        rows_in_threads(
            lambda first, last: _chain(rows, right.panels, out, first, last), len(rows), _LEAST
        )
    return out


@kernel
def _chain64(a: Float64, panels: Float64, out: Float64, first: int, last: int) -> None:
    depth, columns = a.shape[1], out.shape[1]
    rest = np.zeros((ROWS, depth), np.float64)
    full = last - (last - first) % ROWS
    # Not rest[...] = a[...]: Numba compiles such a line for ten seconds.
    for i in range(last - full):
        for k in range(depth):
            rest[i, k] = a[full + i, k]
    sums = np.empty((ROWS, _COLUMNS64), np.float64)
    for block in range(first, last, _BLOCK):
        for panel in range(panels.shape[0]):
            left = panel * _COLUMNS64
            for top in range(block, min(last, block + _BLOCK), ROWS):
                count = min(ROWS, last - top)
                for i in range(ROWS):
                    for j in range(_COLUMNS64):
                        sums[i, j] = 0.0
                source, row = (a, top) if count == ROWS else (rest, 0)
                chain4(sums, 0, source, row, 0, panels[panel], 0, 0, depth)
                for i in range(count):
                    for j in range(min(_COLUMNS64, columns - left)):
                        out[top + i, left + j] = sums[i, j]


def matmul_fp64(a: npt.ArrayLike, b: npt.ArrayLike) -> Float64:
    """Return ``[m, n]`` sums of ``a[m, k] b[n, k]`` in binary64: what errors are measured against.

    Raises:
        ValueError: not matrices of float64, or different K.
    """
    rows, right = matrix("a", a, np.float64), matrix("b", b, np.float64)
    if rows.shape[1] != right.shape[1]:
        raise ValueError(f"a has K={rows.shape[1]}, b has K={right.shape[1]}: they do not multiply")
    out = np.zeros((rows.shape[0], right.shape[0]), np.float64)
    if out.size and rows.shape[1]:
        panels = _panels(right, _COLUMNS64)
        rows_in_threads(
            lambda first, last: _chain64(rows, panels, out, first, last), len(rows), _LEAST
        )
    return out
