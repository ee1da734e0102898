"""A clocked output-stationary array: registers move every cycle, nothing is computed ahead.

Activations enter on the left and move right, weights enter on top and move down, both skewed; a PE
keeps its sum. Without output double buffering a PE puts its sum on the wire of its column in the
cycle of its last product (one PE per column does so at a time), and the next fold starts when the
last row of results has left. With it, sums are handed to a second register and shift out downward
while the next fold runs: a column starts to shift when its lowest PE is done, and a row is free for
the next sums as soon as the sums of all rows above have passed it. Columns are aligned by delay
registers, so a row of results leaves whole. The array has a fixed size: folds that use a part of it
are padded with zeros, and these go through it like any other value.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Ints, kernel, part
from accelsim.sim._core.clocked_layout import (
    COMMIT,
    F_BATCH,
    F_COL0,
    F_COLS,
    F_ROW0,
    F_ROWS,
    FIRST,
    I_FIRST,
    I_LAST,
    I_LOAD,
    I_START,
    IDLE,
    LAST,
    R_CYCLES,
    R_OCCUPIED,
    R_SIZE,
    S_AT,
    S_FED,
    S_FOLD,
    S_LEFT,
    S_ROW,
    S_SIZE,
    Z_COLS,
    Z_DOUBLE,
    Z_LANES,
    Z_ROWS,
    Z_WIDTH,
    clear_step,
    copy_step,
    dot,
    move_down,
    move_right,
    row_leaves,
)


@part
def _feed(
    slot_a: int, slot_w: int, a: Ints, w: Ints, fold: Ints, step: int, edge_a: Ints, edge_w: Ints
) -> None:
    """Put one step of a fold onto the edges; a step below zero is a cycle without operands."""
    for row in range(edge_a.shape[1]):
        if step >= 0 and row < fold[F_ROWS]:
            copy_step(a, fold[F_BATCH], fold[F_ROW0] + row, step, edge_a, slot_a, row)
        else:
            clear_step(edge_a, slot_a, row)
    for col in range(edge_w.shape[1]):
        if step >= 0 and col < fold[F_COLS]:
            copy_step(w, fold[F_BATCH], fold[F_COL0] + col, step, edge_w, slot_w, col)
        else:
            clear_step(edge_w, slot_w, col)


@part
def _multiply(a: Ints, w: Ints, flag: Ints, total: Ints, lanes: int, width: int) -> None:
    rows, cols = flag.shape
    for row in range(rows):
        for col in range(cols):
            found = flag[row, col]
            if found & FIRST:
                total[row, col] = 0
            if found & COMMIT:
                total[row, col] += dot(a, w, row, col, lanes, width)


@part
def _to_wires(cycle: int, flag: Ints, total: Ints, wire: Ints, valid: Ints) -> None:
    """Finished sums go to the wire of their column."""
    rows, cols = flag.shape
    for col in range(cols):
        at = cycle % cols
        valid[at, col] = 0
        for row in range(rows):
            if flag[row, col] & LAST:
                if valid[at, col] == 1:
                    raise RuntimeError("clocked array: two results on the wire of one column")
                wire[at, col], valid[at, col] = total[row, col], 1


@part
def _shift_out(
    cycle: int, flag: Ints, total: Ints, second: Ints, shifts: Ints, wire: Ints, valid: Ints
) -> None:
    """Sums in the second registers move down, then finished sums are handed over."""
    rows, cols = flag.shape
    for col in range(cols):
        at = cycle % cols
        valid[at, col] = 0
        if shifts[col] != IDLE:
            wire[at, col], valid[at, col] = second[rows - 1, col], 1
            for back in range(rows - 1 - shifts[col]):
                second[rows - 1 - back, col] = second[rows - 2 - back, col]
            shifts[col] += 1
        for row in range(rows):
            if flag[row, col] & LAST:
                if shifts[col] != IDLE and row >= shifts[col]:
                    raise RuntimeError("clocked array: a result was overwritten before it left")
                second[row, col] = total[row, col]
        if shifts[col] == rows:
            shifts[col] = IDLE
        if flag[rows - 1, col] & LAST:
            shifts[col] = 0


@part
def _leave(cycle: int, row: int, fold: Ints, wire: Ints, out: Ints) -> None:
    """Write a row of results; what padding gave is dropped."""
    cols = wire.shape[0]
    if row >= fold[F_ROWS]:
        return
    for col in range(fold[F_COLS]):
        at = (cycle - (cols - 1 - col)) % cols
        out[fold[F_BATCH], fold[F_ROW0] + row, fold[F_COL0] + col] = wire[at, col]


@part
def _begin(cycle: int, state: Ints, length: int, array: Ints, info: Ints, result: Ints) -> None:
    """Start the next fold when the array can take it."""
    if state[S_AT] != IDLE:
        return
    if array[Z_DOUBLE] == 1:
        # The first PE must not be done before the sums of the fold before have passed it.
        ready = cycle + length > state[S_FED] + array[Z_ROWS]
    else:
        ready = state[S_LEFT] == state[S_FOLD]
    if not ready:
        return
    if state[S_FOLD] < info.shape[0]:
        state[S_AT] = 0
        info[state[S_FOLD], I_LOAD], info[state[S_FOLD], I_START] = cycle, cycle
    elif result[R_OCCUPIED] == IDLE:
        result[R_OCCUPIED] = cycle


@part
def _drive(
    cycle: int, state: Ints, a: Ints, w: Ints, feed: Ints, commits: Ints, folds: Ints, edge_a: Ints,
    edge_w: Ints, edge_flag: Ints,
) -> None:  # fmt: skip
    """Put operands and flags of this cycle onto the edges."""
    at, slot = state[S_AT], cycle % edge_flag.size
    edge_flag[slot] = 0
    if at == IDLE:
        return
    _feed(slot, cycle % edge_w.shape[0], a, w, folds[state[S_FOLD]], feed[at], edge_a, edge_w)
    edge_flag[slot] = COMMIT * commits[at] + FIRST * (at == 0) + LAST * (at == feed.size - 1)
    state[S_AT] += 1
    if state[S_AT] == feed.size:
        state[S_AT], state[S_FED] = IDLE, cycle
        state[S_FOLD] += 1


@part
def _collect(
    cycle: int,
    state: Ints,
    array: Ints,
    folds: Ints,
    wire: Ints,
    valid: Ints,
    out: Ints,
    info: Ints,
) -> None:
    """Take the row of results that leaves in this cycle, if one does."""
    if not row_leaves(cycle, valid):
        return
    row, left = state[S_ROW], state[S_LEFT]
    # Shifting downward, the lowest row comes first.
    _leave(cycle, array[Z_ROWS] - 1 - row if array[Z_DOUBLE] == 1 else row, folds[left], wire, out)
    if row == 0:
        info[left, I_FIRST] = cycle
    state[S_ROW] += 1
    if state[S_ROW] == array[Z_ROWS]:
        info[left, I_LAST] = cycle
        state[S_ROW] = 0
        state[S_LEFT] += 1


@kernel
def clocked_os(
    array: Ints, a: Ints, w: Ints, feed: Ints, commits: Ints, folds: Ints, out: Ints, info: Ints
) -> Ints:
    """Run the folds of a tile on one array.

    Args:
        array: Z vector.
        a: activations ``[batch, m, steps, lanes * width]``.
        w: packs of weights ``[batch, n, steps, lanes]``.
        feed: per cycle of a fold's stream the step that is on the edge, below zero: none.
        commits: per cycle of the stream 1 where a PE multiplies.
        folds: ``[folds, F_SIZE]``.
        out: results ``[batch, m, n]``, written.
        info: ``[folds, I_SIZE]``, written.

    Returns:
        R vector.
    """
    rows, cols = array[Z_ROWS], array[Z_COLS]
    edge_a = np.zeros((rows, rows, a.shape[3]), np.int64)
    edge_w = np.zeros((cols, cols, w.shape[3]), np.int64)
    edge_flag = np.zeros(rows, np.int64)
    held_a = np.zeros((rows, cols, a.shape[3]), np.int64)
    held_w = np.zeros((rows, cols, w.shape[3]), np.int64)
    flag, total = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), np.int64)
    second, shifts = np.zeros((rows, cols), np.int64), np.full(cols, IDLE, np.int64)
    wire, valid = np.zeros((cols, cols), np.int64), np.zeros((cols, cols), np.int64)
    result, state = np.full(R_SIZE, IDLE, np.int64), np.zeros(S_SIZE, np.int64)
    state[S_AT], state[S_FED] = IDLE, IDLE - rows
    cycle = 0
    while state[S_LEFT] < folds.shape[0]:
        _begin(cycle, state, feed.size, array, info, result)
        _drive(cycle, state, a, w, feed, commits, folds, edge_a, edge_w, edge_flag)
        move_right(cycle, edge_a, edge_flag, held_a, flag)
        move_down(cycle, edge_w, held_w)
        _multiply(held_a, held_w, flag, total, array[Z_LANES], array[Z_WIDTH])
        if array[Z_DOUBLE] == 1:
            _shift_out(cycle, flag, total, second, shifts, wire, valid)
        else:
            _to_wires(cycle, flag, total, wire, valid)
        _collect(cycle, state, array, folds, wire, valid, out, info)
        cycle += 1
    result[R_CYCLES] = cycle
    if result[R_OCCUPIED] == IDLE:
        result[R_OCCUPIED] = cycle
    return result
