"""Where the tiles of a plan lie in DRAM: row-major activations cut into segments, and weights.

A tile of a row-major matrix is a run of bytes per row. ``places`` says for every step that moves
one over the outermost link where its bytes are: segments of ``SEGMENT`` bytes, ``PITCH`` apart,
``ROWS`` of them before the next ``OUTER`` pitch.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Ints, kernel, part
from accelsim.mapping._core.array import ceil_div
from accelsim.mapping._core.layout import (
    C_LEVELS,
    DIMS,
    OP_A,
    OP_C,
    OP_STORE,
    OP_W,
    P_A_BITS,
    P_ACC_BITS,
    P_B,
    P_CONV,
    P_IN_H,
    P_IN_ROW_BITS,
    P_KERNEL_H,
    P_O_BITS,
    P_OUT_H,
    P_OUT_W,
    P_STRIDE_H,
    P_TAPS,
    P_W_BATCHED,
    P_W_BITS,
    P_X_BITS,
    B,
    K,
    M,
    N,
)
from accelsim.mapping._core.steps import advance, place

# Columns of a place, in bytes.
BASE, SEGMENT, PITCH, ROWS, OUTER, PLACE_SIZE = 0, 1, 2, 3, 4, 5
#: Tensors start at multiples of this, so that none shares a DRAM row with another.
ALIGN = 1 << 16


@part
def _bytes(bits: int, part: int, whole: int) -> int:
    """Bytes of ``part`` elements of a tensor of ``whole`` elements, at least one."""
    return max(1, np.int64(np.ceil(float(bits) * float(part) / (8.0 * float(whole)))))


@part
def aligned(size: int) -> int:
    """Round a size in bytes up to where the next tensor may start."""
    return ceil_div(size, ALIGN) * ALIGN


@part
def _matrix(
    bits: int, planes: int, rows: int, columns: int, offset: Ints, extent: Ints, at: Ints
) -> None:
    """Fill a place: a tile of ``[planes, rows, columns]``; offset and extent along the same."""
    whole = planes * rows * columns
    at[BASE] += _bytes(bits, (offset[0] * rows + offset[1]) * columns + offset[2] + 1, whole) - 1
    at[PITCH] = _bytes(bits, columns, whole)
    at[OUTER] = _bytes(bits, rows * columns, whole)
    at[SEGMENT] = _bytes(bits, extent[2], whole)
    at[ROWS] = extent[1]
    if extent[2] == columns:
        # Whole rows lie one behind the other, and so do whole planes.
        at[SEGMENT] = _bytes(bits, extent[1] * columns, whole)
        at[ROWS], at[PITCH] = 1, at[SEGMENT]
        if extent[1] == rows:
            at[SEGMENT] = at[OUTER] = _bytes(bits, extent[0] * rows * columns, whole)


@part
def _in_tiles(bits: int, rows: int, columns: int, cut: Ints, at: Ints) -> None:
    """Fill the place of a weight's tile: weights are stored tile by tile, along K first."""
    whole = rows * columns
    before = cut[1] * columns + cut[4] * cut[2]
    at[BASE] += _bytes(bits, before + 1, whole) - 1
    at[SEGMENT] = _bytes(bits, cut[4] * cut[5], whole)
    at[PITCH] = at[OUTER] = at[SEGMENT]
    at[ROWS] = 1


@part
def _input_rows(problem: Ints, offset: Ints, extent: Ints, at: Ints) -> None:
    """Fill the place of a convolution's input tile: whole rows of whole channels, ``[c, h, w]``."""
    row = problem[P_IN_ROW_BITS] // 8
    image = problem[P_OUT_W] * problem[P_OUT_H]
    first = (offset[M] % image) // problem[P_OUT_W] * problem[P_STRIDE_H]
    rows = ceil_div(min(extent[M], image), problem[P_OUT_W])
    reach = max(problem[P_KERNEL_H], problem[P_STRIDE_H])
    held = min(problem[P_IN_H], (rows - 1) * problem[P_STRIDE_H] + reach)
    channel = problem[P_IN_H] * row
    channels = problem[P_B + K] // problem[P_TAPS]
    images = offset[M] // image + offset[B] * max(1, problem[P_B + M] // image)
    at[BASE] += images * channels * channel + offset[K] // problem[P_TAPS] * channel + first * row
    at[SEGMENT] = max(1, held * row)
    at[PITCH] = max(1, channel)
    at[ROWS] = ceil_div(extent[K], problem[P_TAPS])
    at[OUTER] = channels * channel


@part
def _sizes(problem: Ints, bases: Ints) -> None:
    """Place the four tensors one behind the other: A, W, epilogue inputs with sums, outputs."""
    sums = problem[P_B] * problem[P_B + M] * problem[P_B + N] * problem[P_ACC_BITS]
    bases[OP_A] = 0
    bases[OP_W] = aligned(problem[P_A_BITS] // 8 + 1)
    bases[OP_C] = bases[OP_W] + aligned(problem[P_W_BITS] // 8 + 1)
    bases[OP_STORE] = bases[OP_C] + aligned(max(sums, problem[P_X_BITS]) // 8 + 1)


@part
def _cut(offset: Ints, extent: Ints, rows: int, columns: int, cut: Ints) -> None:
    """Write offset and extent of a batch of matrices into six numbers."""
    cut[0], cut[1], cut[2] = offset[B], offset[rows], offset[columns]
    cut[3], cut[4], cut[5] = extent[B], extent[rows], extent[columns]


@part
def _fill(problem: Ints, offset: Ints, extent: Ints, cut: Ints, places: Ints) -> None:
    """Fill the places of a step's four tiles; ``cut`` is scratch of six numbers.

    Operands and partial sums cross the outermost link in tiles of the outermost level, the
    epilogue's inputs and finished outputs in those of the nearest.
    """
    b, m, n, k = problem[P_B], problem[P_B + M], problem[P_B + N], problem[P_B + K]
    last = offset.shape[0] - 2
    if problem[P_CONV] == 1:
        _input_rows(problem, offset[last], extent[last], places[OP_A])
    else:
        _cut(offset[last], extent[last], M, K, cut)
        _matrix(problem[P_A_BITS], b, m, k, cut[:3], cut[3:], places[OP_A])
    _cut(offset[last], extent[last], N, K, cut)
    if problem[P_W_BATCHED] == 1:
        _matrix(problem[P_W_BITS], b, n, k, cut[:3], cut[3:], places[OP_W])
    else:
        _in_tiles(problem[P_W_BITS], n, k, cut, places[OP_W])
    sums = b * m * n * problem[P_ACC_BITS]
    at = last if offset[0, K] > 0 else 0
    _cut(offset[at], extent[at], M, N, cut)
    bits = sums if offset[0, K] > 0 else max(problem[P_X_BITS], 8)
    _matrix(bits, b, m, n, cut[:3], cut[3:], places[OP_C])
    partial = offset[0, K] + extent[0, K] < k
    at = last if partial else 0
    _cut(offset[at], extent[at], M, N, cut)
    bits = sums if partial else max(problem[P_O_BITS], 8)
    _matrix(bits, b, m, n, cut[:3], cut[3:], places[OP_STORE])


@kernel
def gemm_places(problem: Ints, machine: Ints, choice: Ints, places: Ints) -> int:
    """Fill the places of the first steps of a batch of matrix products.

    Args:
        problem: vector of ``layout``, as the others.
        machine: vector.
        choice: vector.
        places: int64 ``[steps, 4, PLACE_SIZE]`` for A, W, partial sums and outputs.

    Returns:
        Bytes from the first tensor's start to the last one's end.
    """
    used = machine[C_LEVELS]
    index = np.zeros((used, DIMS), np.int64)
    offset = np.zeros((used + 1, DIMS), np.int64)
    extent = np.zeros((used + 1, DIMS), np.int64)
    extent[used] = problem[P_B : P_B + DIMS]
    place(problem, machine, choice, index, offset, extent, used - 1)
    bases, cut = np.zeros(4, np.int64), np.zeros(6, np.int64)
    _sizes(problem, bases)
    for step in range(places.shape[0]):
        for which in range(4):
            places[step, which, BASE] = bases[which]
        _fill(problem, offset, extent, cut, places[step])
        if advance(problem, machine, choice, index, offset, extent) < 0:
            break
    sums = problem[P_B] * problem[P_B + M] * problem[P_B + N] * problem[P_ACC_BITS]
    return bases[OP_STORE] + aligned(max(problem[P_O_BITS], sums) // 8 + 1)


@kernel
def gemm_extents(problem: Ints, machine: Ints, choice: Ints, extents: Ints) -> None:
    """Fill the sizes of the nearest level's tiles: int64 ``[steps, 4]``, batch, m, n and k."""
    used = machine[C_LEVELS]
    index = np.zeros((used, DIMS), np.int64)
    offset = np.zeros((used + 1, DIMS), np.int64)
    extent = np.zeros((used + 1, DIMS), np.int64)
    extent[used] = problem[P_B : P_B + DIMS]
    place(problem, machine, choice, index, offset, extent, used - 1)
    for step in range(extents.shape[0]):
        extents[step] = extent[0]
        if advance(problem, machine, choice, index, offset, extent) < 0:
            break


@kernel
def streamed_places(bits: Ints, places: Ints) -> int:
    """Fill the places of tiles that lie one behind the other; return the bytes of all of them.

    ``bits`` is int64 ``[4, steps]`` of the outermost link, ``places`` as in :func:`gemm_places`.
    """
    base = np.int64(0)
    for which in range(4):
        for step in range(places.shape[0]):
            size = max(1, ceil_div(bits[which, step], 8))
            places[step, which, BASE] = base
            places[step, which, SEGMENT] = size
            places[step, which, PITCH] = size
            places[step, which, ROWS] = 1
            places[step, which, OUTER] = size
            base += size if bits[which, step] > 0 else 0
        base = aligned(base)
    return base


@part
def piece(place: Ints, at: int, whole: int, request: int) -> tuple[int, int]:
    """Return the block that byte ``at`` of a tile lies in, and how many of its bytes are used."""
    segment = at // place[SEGMENT]
    inside = at - segment * place[SEGMENT]
    address = place[BASE] + (segment // place[ROWS]) * place[OUTER]
    address += (segment % place[ROWS]) * place[PITCH] + inside
    block = address // request
    left = min(request - (address - block * request), place[SEGMENT] - inside)
    return block * request, min(left, whole - at)
