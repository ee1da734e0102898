"""Readable twin of the clocked array: no clock, but the time of every product and every register.

A fold holds registers in cycles; no register may be held twice in a cycle. A fold starts as early
as that allows.
"""

from __future__ import annotations

from itertools import product

from accelsim.sim.clocked_operands import ClockedArray

Matrix = list[list[int]]
Cells = set[tuple[str, int, int, int]]


def gemm(a: Matrix, w: Matrix, array: ClockedArray) -> tuple[Matrix, int]:
    """Return the product and the cycles, for steps of one product and one cycle."""
    if array.dataflow == "output_stationary":
        return _output_stationary(a, w, array)
    if array.dataflow == "weight_stationary":
        return _stationary(a, w, array)
    outputs, cycles = _stationary(_turned(w), _turned(a), array)
    return _turned(outputs), cycles


def _turned(matrix: Matrix) -> Matrix:
    return [list(row) for row in zip(*matrix, strict=True)]


def _output_stationary(a: Matrix, w: Matrix, array: ClockedArray) -> tuple[Matrix, int]:
    rows, cols, depth = array.rows, array.columns, len(w)
    outputs = [[0] * len(w[0]) for _ in a]
    used: Cells = set()
    start = end = 0
    for n, m in product(range(0, len(w[0]), cols), range(0, len(a), rows)):
        if not array.double_buffer:
            start = end
        while used & (cells := _fold_cells(start, depth, array)):
            start += 1
        used |= cells
        for r, c in product(range(rows), range(cols)):
            if m + r < len(a) and n + c < len(w[0]):
                outputs[m + r][n + c] = sum(a[m + r][k] * w[k][n + c] for k in range(depth))
        # The corner is done last; columns are aligned to it, and with a second register the sums
        # of the highest row still pass all rows.
        end = start + depth + rows + cols - 2 + (rows if array.double_buffer else 0)
    return outputs, end


def _fold_cells(start: int, depth: int, array: ClockedArray) -> Cells:
    """Return which registers a fold holds in which cycles."""
    cells: Cells = set()
    for r, c in product(range(array.rows), range(array.columns)):
        done = start + depth - 1 + r + c
        cells |= {("sum", r, c, cycle) for cycle in range(done - depth + 1, done + 1)}
        if array.double_buffer:
            begins = start + depth + array.rows - 1 + c  # the lowest PE of the column has its sum
            # It waits for the column, then moves down one row per cycle.
            cells |= {("second", r, c, cycle) for cycle in range(done + 1, begins + 1)}
            for below in range(r + 1, array.rows):
                cells.add(("second", below, c, begins + below - r))
    return cells


def _stationary(moving: Matrix, stays: Matrix, array: ClockedArray) -> tuple[Matrix, int]:
    rows, cols, length = array.rows, array.columns, len(moving)
    outputs = [[0] * len(stays[0]) for _ in moving]
    used: Cells = set()
    start = end = 0
    for n, k in product(range(0, len(stays[0]), cols), range(0, len(stays), rows)):
        start = start if array.double_buffer and end else end + rows
        while used & (cells := _stream_cells(start, length, array)):
            start += 1
        used |= cells
        for t, c in product(range(length), range(cols)):
            if n + c < len(stays[0]):
                part = range(k, min(k + rows, len(stays)))
                outputs[t][n + c] += sum(moving[t][i] * stays[i][n + c] for i in part)
        end = start + length + rows + cols - 2
    return outputs, end


def _stream_cells(start: int, length: int, array: ClockedArray) -> Cells:
    """As ``_fold_cells``, for a fold that loads in the ``rows`` cycles before it starts."""
    cells: Cells = set()
    for r, c in product(range(array.rows), range(array.columns)):
        first = start + r + c
        cells |= {("second", r, c, cycle) for cycle in range(first, first + length)}
        # A row is first written when the operand of the lowest row passes it, and is needed until
        # the first moving operand has come.
        written = start - array.rows + r + c
        cells |= {("first", r, c, cycle) for cycle in range(written + 1, first + 1)}
    return cells
