"""What the array of SCALE-Sim asks its memories for, cycle by cycle.

Facts after SCALE-Sim 3.0.0 (operand_matrix, systolic_compute_os, _ws and _is), MIT license.
"""

from __future__ import annotations

from accelsim.jit import Ints, part
from accelsim.mapping._core.layout import IS

# Layer: int64 vector. Sizes of the array and of the product; sets of the buffers in elements.
(
    Y_DATAFLOW, Y_ROWS, Y_COLS, Y_M, Y_N, Y_K,
    Y_FILTER_STEP,  # addresses between two filters
    Y_IFMAP_SET, Y_FILTER_SET,  # elements of a set
    Y_OFMAP,  # elements of the output buffer
    Y_LINE,  # elements of a line of it
    Y_USER,  # 1: fetches take time and stall the array
    Y_SIZE,
) = range(12 + 1)  # fmt: skip


@part
def _ifmap_address(row: int, k: int, base: Ints, offset: Ints) -> int:
    """Address of an input element, below 0 where the window reaches beyond the input.

    ``base`` is ``[3, M]`` and ``offset`` ``[3, K]``: address, row and column in the input; the last
    element of ``base``'s rows holds the input's size.
    """
    last = base.shape[1] - 1
    if base[1, row] + offset[1, k] >= base[1, last] or base[2, row] + offset[2, k] >= base[2, last]:
        return -1
    return base[0, row] + offset[0, k]


@part
def demands_os(
    at: int, row0: int, col0: int, layer: Ints, base: Ints, offset: Ints, wanted: Ints
) -> tuple[int, int]:
    """List the addresses that one cycle of a fold asks for, lane after lane.

    ``wanted`` is ``[2, lanes]``, inputs and filters; how many of each there are is returned.
    """
    inputs = filters = 0
    first = max(0, at - layer[Y_K] + 1)
    for lane in range(first, min(layer[Y_ROWS], at + 1, layer[Y_M] - row0)):
        address = _ifmap_address(row0 + lane, at - lane, base, offset)
        if address >= 0:
            wanted[0, inputs] = address
            inputs += 1
    for lane in range(first, min(layer[Y_COLS], at + 1, layer[Y_N] - col0)):
        wanted[1, filters] = (col0 + lane) * layer[Y_FILTER_STEP] + offset[3, at - lane]
        filters += 1
    return inputs, filters


@part
def demands_stationary(
    at: int, row0: int, col0: int, layer: Ints, base: Ints, offset: Ints, wanted: Ints
) -> tuple[int, int]:
    """As ``demands_os``; the stationary operand loads first, its lowest row at the beginning."""
    inputs = filters = 0
    rows, inputs_stay = layer[Y_ROWS], layer[Y_DATAFLOW] == IS
    length = layer[Y_N] if inputs_stay else layer[Y_M]
    across = layer[Y_M] if inputs_stay else layer[Y_N]
    loaded, time = row0 + rows - 1 - at, at - rows
    lanes = min(layer[Y_COLS], across - col0) if at < rows and loaded < layer[Y_K] else 0
    for lane in range(lanes):
        if not inputs_stay:
            wanted[1, filters] = (col0 + lane) * layer[Y_FILTER_STEP] + offset[3, loaded]
            filters += 1
            continue
        address = _ifmap_address(col0 + lane, loaded, base, offset)
        if address >= 0:
            wanted[0, inputs] = address
            inputs += 1
    for lane in range(max(0, time - length + 1), min(rows, time + 1, layer[Y_K] - row0)):
        if inputs_stay:
            wanted[1, filters] = (time - lane) * layer[Y_FILTER_STEP] + offset[3, row0 + lane]
            filters += 1
            continue
        address = _ifmap_address(time - lane, row0 + lane, base, offset)
        if address >= 0:
            wanted[0, inputs] = address
            inputs += 1
    return inputs, filters
