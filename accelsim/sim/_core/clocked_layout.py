"""Positions in the flat arrays of the clocked arrays, and the leaves that both of them share.

Operands cross as steps: in one step a PE adds the products of ``lanes`` pairs. Activations come in
blocks, ``width`` values per lane (4 where weights are 2:4, else 1); a weight is a pack of its value
and the place of its activation in the block, ``value * 4 + place``. Dense weights have place 0.
"""

from __future__ import annotations

from accelsim.jit import Ints, part

# Array: int64 vector. Z_DOUBLE: output double buffering for output stationary, else weight double
# buffering. Z_BLOCKS_STAY: 1 when the activations are the stationary operand.
Z_ROWS, Z_COLS, Z_LANES, Z_WIDTH, Z_DOUBLE, Z_BLOCKS_STAY, Z_SIZE = range(6 + 1)

# Folds: int64 [folds, F_SIZE]. The first range lies along the array's rows (outputs along M, or
# steps along K), the second along its columns.
F_BATCH, F_ROW0, F_ROWS, F_COL0, F_COLS, F_SIZE = range(5 + 1)

# What a fold did: int64 [folds, I_SIZE], in cycles from 0. I_LOAD: its first stationary operand
# enters; I_START: its first moving operand enters; I_FIRST, I_LAST: its first and last row of
# results leaves.
I_LOAD, I_START, I_FIRST, I_LAST, I_SIZE = range(4 + 1)

# Result: int64 vector. Cycles until the last result has left, and how long after the first moving
# operand the next tile's could have entered.
R_CYCLES, R_OCCUPIED, R_SIZE = range(2 + 1)

# Where an array is: int64 vector. The fold that streams or is next, and the cycle of its stream;
# the fold that loads or is next, and its row; the fold whose results leave, and their row; the
# cycle in which the last operand of a fold was fed. IDLE: not in a fold.
S_FOLD, S_AT, S_LOADS, S_LOAD_AT, S_LEFT, S_ROW, S_FED, S_SIZE = range(7 + 1)
IDLE = -1

# What travels with an operand: multiply in this cycle, first and last cycle of the fold's stream.
COMMIT, FIRST, LAST = 1, 2, 4


@part
def dot(blocks: Ints, packs: Ints, row: int, col: int, lanes: int, width: int) -> int:
    """Sum of the products of one PE in one step."""
    total = 0
    for lane in range(lanes):
        pack = packs[row, col, lane]
        total += blocks[row, col, lane * width + (pack & 3)] * (pack >> 2)
    return total


@part
def copy_step(
    source: Ints, batch: int, row: int, step: int, into: Ints, at: int, place: int
) -> None:
    """Put one operand of a step onto the edge of the array."""
    for lane in range(into.shape[2]):
        into[at, place, lane] = source[batch, row, step, lane]


@part
def clear_step(into: Ints, at: int, place: int) -> None:
    """Put zeros onto the edge: rows and columns that a partial fold does not use."""
    for lane in range(into.shape[2]):
        into[at, place, lane] = 0


@part
def move_right(cycle: int, edge: Ints, edge_flag: Ints, held: Ints, flag: Ints) -> None:
    """Clock the registers that hand operands and their flags to the right.

    Row r gets what was put onto the edge r cycles ago: ``edge`` is a delay line per row.
    """
    rows, cols = flag.shape
    lanes = held.shape[2]
    for row in range(rows):
        for back in range(cols - 1):
            col = cols - 1 - back
            flag[row, col] = flag[row, col - 1]
            for lane in range(lanes):
                held[row, col, lane] = held[row, col - 1, lane]
        at = (cycle - row) % rows
        flag[row, 0] = edge_flag[at]
        for lane in range(lanes):
            held[row, 0, lane] = edge[at, row, lane]


@part
def move_down(cycle: int, edge: Ints, held: Ints) -> None:
    """Clock the registers that hand operands down; column c is delayed by c cycles."""
    rows, cols, lanes = held.shape
    for back in range(rows - 1):
        row = rows - 1 - back
        for col in range(cols):
            for lane in range(lanes):
                held[row, col, lane] = held[row - 1, col, lane]
    for col in range(cols):
        at = (cycle - col) % cols
        for lane in range(lanes):
            held[0, col, lane] = edge[at, col, lane]


@part
def row_leaves(cycle: int, valid: Ints) -> bool:
    """Whether an aligned row of results leaves; column c waited for cols - 1 - c cycles."""
    cols = valid.shape[0]
    found = 0
    for col in range(cols):
        at = (cycle - (cols - 1 - col)) % cols
        found += valid[at, col]
    if found != 0 and found != cols:
        raise RuntimeError("clocked array: the columns of a row of results are out of step")
    return found == cols
