"""Closed forms of a systolic array: cycles of one tile, and what it reads and writes.

Dataflows after Samajdar et al., "A Systematic Methodology for Characterizing Scalability of DNN
Accelerators using SCALE-Sim", ISPASS 2020. A fold is one pass of the array: R x C outputs (output
stationary) or R x C stationary operands. Without double buffering every fold pays its skew:
output stationary T + R + C - 2, weight and input stationary T + 2R + C - 2 cycles for a stream of
T. With double buffering the next stationary tile loads (or the last sums shift out) while the
stream runs, folds follow each other every max(T, R) cycles, and skew is paid once per op.

A clocked array that moves real operands (accelsim.sim.clocked) gives the same cycles; tests hold
the two together.
"""

from __future__ import annotations

from accelsim.jit import Ints, leaf, part
from accelsim.mapping._core.layout import (
    C_COLS,
    C_OUTPUT_DB,
    C_ROWS,
    C_WEIGHT_DB,
    OS,
    P_CYCLES_PER_STEP,
    P_GROUP,
    P_GROUP_CYCLES,
    P_K_DEN,
    P_K_NUM,
    P_K_PER_CYCLE,
    WS,
)


@leaf
def ceil_div(a: int, b: int) -> int:
    """Smallest integer at or above a / b."""
    return (a + b - 1) // b


@part
def k_steps(problem: Ints, k: int) -> int:
    """Steps along K after pruning, with the products that a PE adds per step.

    A pruned format stores ``P_K_NUM`` places of every ``P_K_DEN``, also of a block cut short by K.
    """
    kept = ceil_div(k, problem[P_K_DEN]) * problem[P_K_NUM]
    return ceil_div(kept, problem[P_K_PER_CYCLE])


@part
def k_groups(problem: Ints, k: int) -> tuple[int, int, int]:
    """Cut K into scale groups: how many whole ones, the steps of one, and the steps of the rest."""
    group = problem[P_GROUP]
    if group == 0 or group >= k:
        return 1, k_steps(problem, k), 0
    rest = k_steps(problem, k % group) if k % group > 0 else 0
    return k // group, k_steps(problem, group), rest


@part
def k_folds_of(problem: Ints, machine: Ints, k: int) -> int:
    """Stationary folds along K.

    Sums of different scale groups cannot be added before they are scaled, so a fold ends with its
    group.
    """
    rows = machine[C_ROWS]
    groups, steps, rest = k_groups(problem, k)
    return groups * ceil_div(steps, rows) + ceil_div(rest, rows)


@part
def folds_and_stream(
    problem: Ints, machine: Ints, dataflow: int, m: int, n: int, k: int
) -> tuple[int, int]:
    """Number of folds and length of the stream of one fold, in cycles, on one array."""
    rows, cols = machine[C_ROWS], machine[C_COLS]
    slow = problem[P_CYCLES_PER_STEP]
    if dataflow == OS:
        groups, steps, rest = k_groups(problem, k)
        stream = (groups * steps + rest) * slow
        if problem[P_GROUP] > 0:
            stream += ceil_div(k, problem[P_GROUP]) * problem[P_GROUP_CYCLES]
        return ceil_div(m, rows) * ceil_div(n, cols), stream
    if dataflow == WS:
        return k_folds_of(problem, machine, k) * ceil_div(n, cols), m * slow
    return k_folds_of(problem, machine, k) * ceil_div(m, cols), n * slow


@leaf
def tile_cycles(problem: Ints, machine: Ints, dataflow: int, m: int, n: int, k: int) -> int:
    """Cycles for which one array is occupied by a tile of m x n x k."""
    rows, cols = machine[C_ROWS], machine[C_COLS]
    folds, stream = folds_and_stream(problem, machine, dataflow, m, n, k)
    if dataflow == OS:
        if machine[C_OUTPUT_DB] == 1:
            return folds * max(stream, rows)
        return folds * (stream + rows + cols - 2)
    if machine[C_WEIGHT_DB] == 1:
        return folds * max(stream, rows)
    return folds * (stream + 2 * rows + cols - 2)


@leaf
def fill_drain_cycles(machine: Ints, dataflow: int) -> int:
    """Skew that a pipelined array pays once per op: first load, fill, and drain."""
    rows, cols = machine[C_ROWS], machine[C_COLS]
    if dataflow == OS:
        return 2 * rows + cols - 2 if machine[C_OUTPUT_DB] == 1 else 0
    return 2 * rows + cols - 2 if machine[C_WEIGHT_DB] == 1 else 0


@leaf
def early_cycles(problem: Ints, machine: Ints, dataflow: int, m: int, n: int, k: int) -> int:
    """Cycles that a product needs less than its occupancy and ``fill_drain_cycles`` together.

    A fold whose stream is shorter than R occupies a pipelined array for R cycles, because the next
    stationary tile loads, or the sums before it shift out. The last fold has no next one, and the
    first one of an output-stationary array none before it.
    """
    buffered = machine[C_OUTPUT_DB] if dataflow == OS else machine[C_WEIGHT_DB]
    if buffered == 0:
        return 0
    _, stream = folds_and_stream(problem, machine, dataflow, m, n, k)
    return max(0, machine[C_ROWS] - stream)


@part
def operand_passes(machine: Ints, dataflow: int, m: int, n: int) -> tuple[int, int]:
    """How often a tile's first and second operand are read from the nearest level.

    ``m`` and ``n`` are the share of one array; arrays that work on the same rows or columns get
    the operand by broadcast.
    """
    rows, cols = machine[C_ROWS], machine[C_COLS]
    if dataflow == OS:
        return ceil_div(n, cols), ceil_div(m, rows)
    if dataflow == WS:
        return ceil_div(n, cols), 1
    return 1, ceil_div(m, cols)


@part
def k_folds(problem: Ints, machine: Ints, dataflow: int, k: int) -> int:
    """Folds along K, after each of which partial sums leave the array."""
    if dataflow == OS:
        return 1
    return k_folds_of(problem, machine, k)
