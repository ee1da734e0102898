"""A clocked array with one stationary operand: weights, or activations (the roles are exchanged).

Stationary operands enter on top, the lowest row first, and are pushed down one row per cycle into
the first register of every PE. Moving operands enter on the left, skewed. The first one of a fold
makes each PE that it reaches take its stationary operand over into the second register; that frees
the first one. Sums move down and leave at the bottom, where delay registers align the columns.

With double buffering the next load follows that wave of takeovers: row r is overwritten in the
cycle in which it was taken over, at the earliest. Without it a fold loads, streams and drains by
itself. The array has a fixed size: rows and columns that a fold does not use are loaded with zeros,
and sums pass through all rows.
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
    R_CYCLES,
    R_OCCUPIED,
    R_SIZE,
    S_AT,
    S_FOLD,
    S_LEFT,
    S_LOAD_AT,
    S_LOADS,
    S_ROW,
    S_SIZE,
    Z_BLOCKS_STAY,
    Z_COLS,
    Z_DOUBLE,
    Z_LANES,
    Z_ROWS,
    Z_WIDTH,
    clear_step,
    copy_step,
    dot,
    move_right,
    row_leaves,
)


@part
def _feed(slot: int, moving: Ints, fold: Ints, index: int, edge: Ints) -> None:
    """Put one row of the moving operand onto the edge: a step of K per row of the array."""
    for row in range(edge.shape[1]):
        if index >= 0 and row < fold[F_ROWS]:
            copy_step(moving, fold[F_BATCH], index, fold[F_ROW0] + row, edge, slot, row)
        else:
            clear_step(edge, slot, row)


@part
def _load(slot: int, stays: Ints, folds: Ints, fold: int, row: int, edge: Ints) -> None:
    """Put one row of stationary operands onto the edge; after the last fold come zeros."""
    for col in range(edge.shape[1]):
        used = fold < folds.shape[0] and row < folds[fold, F_ROWS] and col < folds[fold, F_COLS]
        if used:
            batch, first = folds[fold, F_BATCH], folds[fold, F_COL0]
            copy_step(stays, batch, first + col, folds[fold, F_ROW0] + row, edge, slot, col)
        else:
            clear_step(edge, slot, col)


@part
def _take_over(flag: Ints, first: Ints, fresh: Ints, second: Ints) -> None:
    """PEs that the first moving operand of a fold has reached take their stationary operand."""
    rows, cols = flag.shape
    for row in range(rows):
        for col in range(cols):
            if flag[row, col] & FIRST:
                if fresh[row, col] == 0:
                    raise RuntimeError("clocked array: an operand was needed before it was loaded")
                fresh[row, col] = 0
                for lane in range(first.shape[2]):
                    second[row, col, lane] = first[row, col, lane]


@part
def _multiply(flag: Ints, blocks: Ints, packs: Ints, sums: Ints, lanes: int, width: int) -> None:
    """Add products to the sums that come from the row above, lowest row first."""
    rows, cols = flag.shape
    for back in range(rows):
        row = rows - 1 - back
        for col in range(cols):
            if flag[row, col] & COMMIT:
                above = sums[row - 1, col] if row > 0 else 0
                sums[row, col] = above + dot(blocks, packs, row, col, lanes, width)


@part
def _to_wires(cycle: int, flag: Ints, sums: Ints, wire: Ints, valid: Ints) -> None:
    rows, cols = flag.shape
    for col in range(cols):
        wire[cycle % cols, col] = sums[rows - 1, col]
        valid[cycle % cols, col] = flag[rows - 1, col] & COMMIT


@part
def _push(cycle: int, edge: Ints, edge_load: Ints, first: Ints, fresh: Ints) -> None:
    """Push loaded operands down by one row, where one comes in on top."""
    rows, cols = fresh.shape
    for col in range(cols):
        at = (cycle - col) % cols
        if edge_load[at] == 0:
            continue
        depth = 0
        while depth < rows and fresh[depth, col] == 1:
            depth += 1
        if depth == rows:
            raise RuntimeError("clocked array: an operand was overwritten before it was used")
        for back in range(depth):
            row = depth - back
            for lane in range(first.shape[2]):
                first[row, col, lane] = first[row - 1, col, lane]
        for lane in range(first.shape[2]):
            first[0, col, lane] = edge[at, col, lane]
        fresh[depth, col] = 1


@part
def _leave(cycle: int, index: int, fold: Ints, wire: Ints, out: Ints) -> None:
    """Add a row of results to what earlier folds along K gave; padding is dropped."""
    cols = wire.shape[0]
    for col in range(fold[F_COLS]):
        at = (cycle - (cols - 1 - col)) % cols
        out[fold[F_BATCH], index, fold[F_COL0] + col] += wire[at, col]


@part
def _begin(cycle: int, state: Ints, double: bool, info: Ints, result: Ints) -> None:
    """Start the next stream and the next load when the array can take them."""
    count = info.shape[0]
    if state[S_AT] == IDLE and state[S_FOLD] < state[S_LOADS]:
        if state[S_FOLD] < count:
            state[S_AT], info[state[S_FOLD], I_START] = 0, cycle
        elif result[R_OCCUPIED] == IDLE:
            result[R_OCCUPIED] = cycle - info[0, I_START]
    if state[S_LOAD_AT] != IDLE:
        return
    loads, streams = state[S_LOADS], state[S_AT] != IDLE
    if double:
        # The load follows the takeovers of the fold before; after the last fold it tells when the
        # next product could start.
        ready = loads <= state[S_FOLD] + streams and loads <= count
    else:
        ready = loads == state[S_LEFT] and loads == state[S_FOLD] and not streams
    if ready:
        state[S_LOAD_AT] = 0
        if loads < count:
            info[loads, I_LOAD] = cycle


@part
def _drive(
    cycle: int, state: Ints, moving: Ints, feed: Ints, commits: Ints, folds: Ints, edge: Ints,
    edge_flag: Ints,
) -> None:  # fmt: skip
    """Put the moving operand and its flags of this cycle onto the edge."""
    at, slot = state[S_AT], cycle % edge_flag.size
    edge_flag[slot] = 0
    if at == IDLE:
        return
    _feed(slot, moving, folds[state[S_FOLD]], feed[at], edge)
    edge_flag[slot] = COMMIT * commits[at] + FIRST * (at == 0)
    state[S_AT] += 1
    if state[S_AT] == feed.size:
        state[S_AT] = IDLE
        state[S_FOLD] += 1


@part
def _drive_load(
    cycle: int, state: Ints, stays: Ints, folds: Ints, rows: int, edge: Ints, edge_load: Ints
) -> None:
    """Put a row of stationary operands onto the edge, the lowest row of the array first."""
    slot = cycle % edge_load.size
    edge_load[slot] = 0
    if state[S_LOAD_AT] == IDLE:
        return
    _load(slot, stays, folds, state[S_LOADS], rows - 1 - state[S_LOAD_AT], edge)
    edge_load[slot] = 1
    state[S_LOAD_AT] += 1
    if state[S_LOAD_AT] == rows:
        state[S_LOAD_AT] = IDLE
        state[S_LOADS] += 1


@part
def _collect(
    cycle: int, state: Ints, folds: Ints, wire: Ints, valid: Ints, out: Ints, info: Ints
) -> None:
    """Take the row of results that leaves in this cycle, if one does."""
    if not row_leaves(cycle, valid):
        return
    left = state[S_LEFT]
    _leave(cycle, state[S_ROW], folds[left], wire, out)
    if state[S_ROW] == 0:
        info[left, I_FIRST] = cycle
    state[S_ROW] += 1
    if state[S_ROW] == out.shape[1]:
        info[left, I_LAST] = cycle
        state[S_ROW] = 0
        state[S_LEFT] += 1


@kernel
def clocked_stationary(
    array: Ints, moving: Ints, stays: Ints, feed: Ints, commits: Ints, folds: Ints, out: Ints,
    info: Ints,
) -> Ints:  # fmt: skip
    """Run the folds of a tile on one array.

    Args:
        array: Z vector.
        moving: the moving operand ``[batch, length, steps, values]``.
        stays: the stationary operand ``[batch, columns, steps, values]``.
        feed: per cycle of a fold's stream the row of ``moving`` that is on the edge.
        commits: per cycle of the stream 1 where a PE multiplies.
        folds: ``[folds, F_SIZE]``; rows of the array are steps along K.
        out: results ``[batch, length, columns]``, added to.
        info: ``[folds, I_SIZE]``, written.

    Returns:
        R vector.
    """
    rows, cols, double = array[Z_ROWS], array[Z_COLS], array[Z_DOUBLE] == 1
    edge = np.zeros((rows, rows, moving.shape[3]), np.int64)
    top = np.zeros((cols, cols, stays.shape[3]), np.int64)
    edge_flag, edge_load = np.zeros(rows, np.int64), np.zeros(cols, np.int64)
    held = np.zeros((rows, cols, moving.shape[3]), np.int64)
    first = np.zeros((rows, cols, stays.shape[3]), np.int64)
    second = np.zeros((rows, cols, stays.shape[3]), np.int64)
    flag, fresh = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), np.int64)
    sums = np.zeros((rows, cols), np.int64)
    wire, valid = np.zeros((cols, cols), np.int64), np.zeros((cols, cols), np.int64)
    result, state = np.full(R_SIZE, IDLE, np.int64), np.zeros(S_SIZE, np.int64)
    state[S_AT], state[S_LOAD_AT] = IDLE, IDLE
    cycle = 0
    while state[S_LEFT] < folds.shape[0]:
        _begin(cycle, state, double, info, result)
        _drive(cycle, state, moving, feed, commits, folds, edge, edge_flag)
        _drive_load(cycle, state, stays, folds, rows, top, edge_load)
        move_right(cycle, edge, edge_flag, held, flag)
        _take_over(flag, first, fresh, second)
        if array[Z_BLOCKS_STAY] == 1:
            _multiply(flag, second, held, sums, array[Z_LANES], array[Z_WIDTH])
        else:
            _multiply(flag, held, second, sums, array[Z_LANES], array[Z_WIDTH])
        _to_wires(cycle, flag, sums, wire, valid)
        _push(cycle, top, edge_load, first, fresh)
        _collect(cycle, state, folds, wire, valid, out, info)
        cycle += 1
    result[R_CYCLES] = cycle
    if result[R_OCCUPIED] == IDLE:
        result[R_OCCUPIED] = cycle - info[0, I_START] if double else cycle
    return result
