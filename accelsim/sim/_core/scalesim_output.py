"""The output buffer of SCALE-Sim 3.0.0, oddities included (after write_buffer, MIT license).

Writes collect in lines; a drain counts whole lines, except the places that its last line does not
fill. While it drains and is full, the array waits.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import Ints, kernel, part
from accelsim.mapping._core.array import ceil_div
from accelsim.mapping._core.layout import OS, WS
from accelsim.sim._core.scalesim_demand import Y_COLS, Y_DATAFLOW, Y_K, Y_M, Y_N, Y_ROWS

NONE = -(2**62)  # a cycle that has not come yet

# The output buffer: int64 vector.
(
    O_FREE, O_SIZE_ALL, O_DRAIN, O_LINE, O_FILLED, O_LINES, O_DRAINED, O_DRAIN_END, O_WRITES,
    O_TAKEN,  # elements that the array has written
    O_SRAM_START, O_SRAM_STOP, O_DRAM_START, O_DRAM_STOP, O_STALLS,
    O_TOTAL,  # index of the last cycle
    O_SIZE,
) = range(16 + 1)  # fmt: skip


@part
def _end_line(output: Ints, fills: Ints) -> None:
    fills[output[O_LINES] % fills.size] = output[O_FILLED]
    output[O_LINES] += 1
    output[O_FILLED] = 0


@part
def _drain(output: Ints, fills: Ints, cycle: int) -> None:
    """Write lines of half a buffer to DRAM, one per cycle; only the last one is counted exactly."""
    line = output[O_LINE]
    lines = min(ceil_div(output[O_DRAIN], line), output[O_LINES] - output[O_DRAINED])
    output[O_DRAINED] += lines
    moved = lines * line - (line - fills[(output[O_DRAINED] - 1) % fills.size])
    output[O_WRITES] += moved
    output[O_FREE] += moved
    if output[O_DRAM_START] == NONE:
        output[O_DRAM_START] = cycle
    output[O_DRAIN_END] = cycle + lines - 1
    output[O_DRAM_STOP] = max(output[O_DRAM_STOP], output[O_DRAIN_END])


@part
def _write(output: Ints, fills: Ints, cycle: int) -> int:
    """Write one element; return the cycle in which it was taken."""
    output[O_TAKEN] += 1
    output[O_FILLED] += 1
    output[O_FREE] -= 1
    if output[O_FILLED] == output[O_LINE]:
        _end_line(output, fills)
    if cycle < output[O_DRAIN_END]:
        return output[O_DRAIN_END] if output[O_FREE] <= 0 else cycle
    if output[O_FREE] < output[O_SIZE_ALL] - output[O_DRAIN]:
        if output[O_FILLED] > 0:
            _end_line(output, fills)
        _drain(output, fills, cycle)
    return cycle


@part
def write_row(
    at: int, row0: int, col0: int, layer: Ints, output: Ints, fills: Ints, cycle: int
) -> int:
    """Write what leaves in one cycle of a fold; return the cycle in which it was taken."""
    flow, rows, cols = layer[Y_DATAFLOW], layer[Y_ROWS], layer[Y_COLS]
    if flow == OS:
        columns, first, length, skip = layer[Y_N] - col0, layer[Y_K] - 1, rows, row0 + rows
        skip = max(0, skip - layer[Y_M])  # rows that do not exist come first: lowest row first
    else:
        columns = (layer[Y_N] if flow == WS else layer[Y_M]) - col0
        first, length, skip = 2 * rows - 1, layer[Y_M] if flow == WS else layer[Y_N], 0
    time = at - first
    now = cycle
    for _ in range(max(0, time - length + 1), min(cols, time - skip + 1, columns)):
        now = _write(output, fills, now)
    return now


@part
def finish_writes(output: Ints, fills: Ints, cycle: int) -> None:
    if output[O_FILLED] > 0:
        _end_line(output, fills)
    while output[O_DRAINED] < output[O_LINES]:
        _drain(output, fills, cycle)
        cycle = output[O_DRAIN_END] + 1


@kernel
def grown(output: Ints, fills: Ints) -> Ints:
    """Return a longer ring with the lines that still wait."""
    found = np.zeros(2 * fills.size, np.int64)
    for line in range(output[O_DRAINED], output[O_LINES]):
        found[line % found.size] = fills[line % fills.size]
    return found
