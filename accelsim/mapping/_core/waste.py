"""DRAM requests that bring more than is asked for: rows of a tile that begin or end inside one.

Activations are row-major, so that a tile of some columns is a segment per row. Weights are stored
tile by tile, as the plan wants them. What a request brings beyond its segment takes the time of a
request all the same; it is not counted as moved.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Ints, part
from accelsim.mapping._core.array import ceil_div
from accelsim.mapping._core.cost import passes, stays, tile_size
from accelsim.mapping._core.layout import (
    C_LEVELS,
    OP_A,
    OP_C,
    OP_W,
    P_A_ELEMENT_BITS,
    P_ACC_BITS,
    P_ACCESS_BITS,
    P_B,
    P_CONV,
    P_O_BITS,
    P_O_HERE_BITS,
    P_W_BATCHED,
    P_W_BITS,
    P_X_BITS,
    P_X_HERE_BITS,
    K,
    M,
    N,
)

_BYTE = 8


@part
def segment_waste(problem: Ints, segment: int, pitch: int) -> int:
    """Bits that the requests of a segment bring in vain, on average over where it begins."""
    access = problem[P_ACCESS_BITS]
    if pitch % access == 0:
        return ceil_div(segment, access) * access - segment
    return access - _BYTE


@part
def _rows(problem: Ints, columns: int, tile: int, rows: int, bits: int) -> int:
    """Waste of moving ``rows`` rows of elements of ``bits`` once, ``tile`` columns at a time."""
    if tile >= columns or bits == 0:
        return 0
    return rows * ceil_div(columns, tile) * segment_waste(problem, tile * bits, columns * bits)


@part
def wasted_bits(problem: Ints, machine: Ints, choice: Ints, link: int) -> int:
    """Bits that cross a link in vain: only the outermost one is made of requests."""
    if problem[P_ACCESS_BITS] == 0 or link + 1 < machine[C_LEVELS]:
        return np.int64(0)
    b, m, n, k = problem[P_B], problem[P_B + M], problem[P_B + N], problem[P_B + K]
    depth = tile_size(problem, machine, choice, link, K)
    wide = tile_size(problem, machine, choice, link, N)
    near = tile_size(problem, machine, choice, 0, N)
    found = np.int64(0)
    if problem[P_CONV] == 0 and not stays(problem, machine, link, OP_A):
        once = _rows(problem, k, depth, b * m, problem[P_A_ELEMENT_BITS])
        found += once * passes(problem, machine, choice, link, OP_A)
    if problem[P_W_BATCHED] == 1 and not stays(problem, machine, link, OP_W):
        once = _rows(problem, k, depth, b * n, problem[P_W_BITS] // (b * n * k))
        found += once * passes(problem, machine, choice, link, OP_W)
    outputs = b * m * n
    if problem[P_X_BITS] > problem[P_X_HERE_BITS]:
        found += _rows(problem, n, near, b * m, problem[P_X_BITS] // outputs)
    if problem[P_O_BITS] > problem[P_O_HERE_BITS]:
        found += _rows(problem, n, near, b * m, problem[P_O_BITS] // outputs)
    spills = passes(problem, machine, choice, link, OP_C) - 1
    return found + 2 * spills * _rows(problem, n, wide, b * m, problem[P_ACC_BITS])
