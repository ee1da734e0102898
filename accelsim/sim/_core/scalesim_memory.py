"""The memory model of SCALE-Sim 3.0.0: demands, read buffers and output buffer, cycle by cycle."""

from __future__ import annotations

import numpy as np

from accelsim.jit import Index, Ints, kernel, part
from accelsim.mapping._core.array import ceil_div
from accelsim.mapping._core.layout import IS, OS
from accelsim.sim._core.scalesim_demand import (
    Y_COLS,
    Y_DATAFLOW,
    Y_K,
    Y_LINE,
    Y_M,
    Y_N,
    Y_OFMAP,
    Y_ROWS,
    Y_USER,
    demands_os,
    demands_stationary,
)
from accelsim.sim._core.scalesim_input import (
    B_REQUEST,
    B_SRAM_START,
    finish_calc,
    request_calc,
    seen,
    serve_user,
    start_user,
)
from accelsim.sim._core.scalesim_output import (
    NONE,
    O_DRAIN,
    O_DRAINED,
    O_DRAM_START,
    O_DRAM_STOP,
    O_FREE,
    O_LINE,
    O_LINES,
    O_SIZE,
    O_SIZE_ALL,
    O_SRAM_START,
    O_SRAM_STOP,
    O_STALLS,
    O_TAKEN,
    O_TOTAL,
    finish_writes,
    grown,
    write_row,
)


@part
def _serve(
    user: bool, buffer: Ints, first: Ints, sets: Index, wanted: Ints, count: int, cycle: int
) -> int:
    """Serve one operand's requests of a cycle; return for how long the array waits."""
    late = 0
    if user:
        late = serve_user(buffer, first, sets, wanted, count, cycle)
    else:
        for index in range(count):
            request_calc(buffer, sets, wanted[index], cycle)
    seen(buffer, count, cycle + late)
    return late


@part
def _start(layer: Ints, buffers: Ints, output: Ints) -> None:
    for which in range(2):
        buffers[which, B_REQUEST] = buffers[which, B_SRAM_START] = NONE
        if layer[Y_USER] == 1:
            start_user(buffers[which])
    size = layer[Y_OFMAP]
    output[O_FREE], output[O_SIZE_ALL], output[O_DRAIN] = size, size, size - ceil_div(size, 2)
    output[O_LINE] = layer[Y_LINE]
    output[O_SRAM_START], output[O_DRAM_START], output[O_DRAM_STOP] = NONE, NONE, NONE


@part
def _note_write(output: Ints, taken: int, now: int) -> None:
    if output[O_TAKEN] > taken:
        output[O_SRAM_STOP] = now
        if output[O_SRAM_START] == NONE:
            output[O_SRAM_START] = now
    output[O_TOTAL] = now


@kernel
def scalesim_memory(
    layer: Ints, base: Ints, offset: Ints, first_i: Ints, sets_i: Index, first_f: Ints,
    sets_f: Index, fold_cycles: int, buffers: Ints,
) -> Ints:  # fmt: skip
    """Walk a layer's demands cycle by cycle.

    Args:
        layer: Y vector.
        base: per row of the input matrix its address, row and column, ``[3, M + 1]``; the last
            column holds the input's height and width.
        offset: per step of K the same, and its address in a filter, ``[4, K]``.
        first_i: in mode USER, per address of the input where its sets begin in ``sets_i``.
        sets_i: the sets that addresses are in; in mode CALC -1 per address, written.
        first_f: as ``first_i`` for the filters.
        sets_f: as ``sets_i`` for the filters.
        fold_cycles: cycles of a fold.
        buffers: read buffers ``[2, B_SIZE]`` (input, filters), written.

    Returns:
        The output buffer ``[O_SIZE]``.
    """
    output, user = np.zeros(O_SIZE, np.int64), layer[Y_USER] == 1
    _start(layer, buffers, output)
    fills = np.zeros(4 * max(layer[Y_COLS], layer[Y_LINE]), np.int64)
    wanted = np.zeros((2, layer[Y_ROWS] + layer[Y_COLS]), np.int64)
    down = layer[Y_M] if layer[Y_DATAFLOW] == OS else layer[Y_K]
    across = layer[Y_M] if layer[Y_DATAFLOW] == IS else layer[Y_N]
    cycle = 0
    for col0 in range(0, across, layer[Y_COLS]):
        for row0 in range(0, down, layer[Y_ROWS]):
            for at in range(fold_cycles):
                start, taken = cycle + output[O_STALLS], output[O_TAKEN]
                if layer[Y_DATAFLOW] == OS:
                    inputs, filters = demands_os(at, row0, col0, layer, base, offset, wanted)
                else:
                    inputs, filters = demands_stationary(
                        at, row0, col0, layer, base, offset, wanted
                    )
                late = _serve(user, buffers[0], first_i, sets_i, wanted[0], inputs, start)
                late = max(
                    late, _serve(user, buffers[1], first_f, sets_f, wanted[1], filters, start)
                )
                if output[O_LINES] - output[O_DRAINED] + layer[Y_COLS] + 1 > fills.size:
                    fills = grown(output, fills)
                now = write_row(at, row0, col0, layer, output, fills, start)
                _note_write(output, taken, now)
                output[O_STALLS] += max(late, now - start)
                cycle += 1
    if not user:
        finish_calc(buffers[0])
        finish_calc(buffers[1])
    finish_writes(output, fills, output[O_TOTAL])
    return output
