"""What SCALE-Sim's memory model counts for a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.graph.scalesim import Layer
from accelsim.jit import Index, Ints
from accelsim.sim._core import scalesim_demand as sd
from accelsim.sim._core import scalesim_input as si
from accelsim.sim._core import scalesim_output as so
from accelsim.sim._core.scalesim_memory import scalesim_memory
from accelsim.sim.scalesim.config import DATAFLOWS, ScaleConfig
from accelsim.sim.scalesim.counts import fold_sizes, kept_k

_SETS = 100  # of a read buffer
_KB = 1024


@dataclass(frozen=True, slots=True)
class Port:
    """One operand at one memory: first and last cycle of a transfer, and how many words."""

    start: int
    stop: int
    words: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory model's part of the reports.

    Attributes:
        cycles: index of the last cycle, stalls included.
        stalls: cycles for which the memories stop the array.
        sram: first and last cycle per operand; words are counted elsewhere.
        dram: of input, filters and output.
    """

    cycles: int
    stalls: int
    sram: tuple[Port, Port, Port]
    dram: tuple[Port, Port, Port]

    @property
    def with_prefetch(self) -> int:
        """Cycles from the first fetch to the last write."""
        ifmap, filters, ofmap = self.dram
        return ofmap.stop - min(ifmap.start, filters.start)


def memory_of(layer: Layer, config: ScaleConfig) -> Memory:
    """Walk a layer's demands through the buffers, address by address."""
    base, offset = _addresses(layer, config)
    rows, columns = config.rows, config.columns
    stream = fold_sizes(layer, config)[2]
    cycles = stream + columns - 2 + (rows if config.dataflow == "os" else 2 * rows)
    buffers = np.zeros((2, si.B_SIZE), np.int64)
    buffers[0, si.B_PER_SET] = config.ifmap_kb * _KB // _SETS
    buffers[1, si.B_PER_SET] = config.filter_kb * _KB // _SETS
    sizes = (layer.in_h * layer.in_w * layer.channels, layer.n * layer.k)
    if config.bandwidth == "USER":
        orders = _fetch_orders(layer, config, base, offset)
        words = (config.ifmap_words, config.filter_words)
        kilobytes = (config.ifmap_kb, config.filter_kb)
        tables = [
            _user_sets(buffers[i], orders[i], sizes[i], kilobytes[i] * _KB, words[i])
            for i in range(2)
        ]
    else:
        tables = [(np.zeros(1, np.int64), np.full(size, -1, np.int32)) for size in sizes]
    output = scalesim_memory(
        _vector(layer, config), base, offset, tables[0][0], tables[0][1], tables[1][0],
        tables[1][1], cycles, buffers,
    )  # fmt: skip
    return _memory([[int(value) for value in buffer] for buffer in buffers], output)


def _memory(reads: list[list[int]], output: Ints) -> Memory:
    sram = [Port(b[si.B_SRAM_START], b[si.B_SRAM_STOP], 0) for b in reads]
    dram = [Port(b[si.B_DRAM_START], b[si.B_DRAM_STOP], b[si.B_READS]) for b in reads]
    out = [int(value) for value in output]
    return Memory(
        cycles=out[so.O_TOTAL],
        stalls=out[so.O_STALLS],
        sram=(sram[0], sram[1], Port(out[so.O_SRAM_START], out[so.O_SRAM_STOP], 0)),
        dram=(
            dram[0], dram[1],
            Port(out[so.O_DRAM_START], out[so.O_DRAM_STOP], out[so.O_WRITES]),
        ),
    )  # fmt: skip


def _vector(layer: Layer, config: ScaleConfig) -> Ints:
    found = np.zeros(sd.Y_SIZE, np.int64)
    found[sd.Y_DATAFLOW] = DATAFLOWS.index(config.dataflow)
    found[sd.Y_ROWS], found[sd.Y_COLS] = config.rows, config.columns
    found[sd.Y_M], found[sd.Y_N], found[sd.Y_K] = layer.m, layer.n, kept_k(layer, config)
    found[sd.Y_FILTER_STEP] = layer.k
    found[sd.Y_OFMAP] = config.ofmap_kb * _KB
    user = config.bandwidth == "USER"
    found[sd.Y_USER] = user
    found[sd.Y_LINE] = config.ofmap_words if user else config.columns
    return found


def _addresses(layer: Layer, config: ScaleConfig) -> tuple[Ints, Ints]:
    """Return where rows and columns of the input matrix lie: height, then width, then channels."""
    pixel = np.arange(layer.m)
    row, column = pixel // layer.out_w * layer.stride, pixel % layer.out_w * layer.stride
    base = np.zeros((3, layer.m + 1), np.int64)
    base[:, :-1] = (row * layer.in_w + column) * layer.channels, row, column
    base[1:, -1] = layer.in_h, layer.in_w
    index = np.arange(layer.k)
    if config.sparse:
        index = index[index % layer.of < layer.kept]
    row, rest = np.divmod(index, layer.filter_w * layer.channels)
    column, channel = np.divmod(rest, layer.channels)
    address = (row * layer.in_w + column) * layer.channels + channel
    return base, np.array([address, row, column, index], np.int64)


def _fetch_orders(layer: Layer, config: ScaleConfig, base: Ints, offset: Ints) -> tuple[Ints, Ints]:
    """Return the addresses of both operands in the order of fetches, -1 where a fold is not full.

    Operands that stream are fetched along the diagonals of their folds, the others row by row.
    """
    inputs = base[0, :-1, None] + offset[0]
    beyond = base[1, :-1, None] + offset[1] >= layer.in_h
    beyond |= base[2, :-1, None] + offset[2] >= layer.in_w
    inputs[beyond] = -1
    filters = np.arange(layer.n)[:, None] * layer.k + offset[3]
    rows, columns = config.rows, config.columns
    if config.dataflow == "os":
        return _diagonal(_in_folds(inputs, rows)), _diagonal(_in_folds(filters, columns))
    if config.dataflow == "ws":
        return _diagonal(_in_folds(inputs.T, rows)), _in_folds(filters, columns).ravel()
    return _in_folds(inputs, columns).ravel(), _diagonal(_in_folds(filters.T, rows))


def _in_folds(lanes: Ints, side: int) -> Ints:
    """Stack folds of ``side`` lanes: a row per cycle, a column per lane."""
    missing = -len(lanes) % side
    full = np.pad(lanes, ((0, missing), (0, 0)), constant_values=-1)
    return full.reshape(-1, side, full.shape[1]).transpose(0, 2, 1).reshape(-1, side)


def _diagonal(matrix: Ints) -> Ints:
    """Return the elements along the diagonals that rise to the right, from the top left."""
    row, column = np.indices(matrix.shape)
    return matrix.ravel()[np.lexsort((-row.ravel(), (row + column).ravel()))]


def _user_sets(
    buffer: Ints, order: Ints, size: int, words: int, per_cycle: int
) -> tuple[Ints, Index]:
    """Cut the order of fetches into sets and say how a buffer moves over them.

    Returns:
        Per address where its sets begin, and the sets.
    """
    valid = order[order >= 0]
    per_set, active = -(-words // _SETS), -(-words // 2)
    sets = len(valid) // per_set + 1
    holds = min(sets, -(-active // per_set))
    buffer[si.B_SETS], buffer[si.B_HOLDS] = sets, holds
    buffer[si.B_STEP] = min(sets - holds, -(-(words - active) // per_set))
    buffer[si.B_WORDS], buffer[si.B_FETCH] = per_cycle, -(-(words - active) // per_cycle)
    buffer[si.B_FETCH_START] = min(-(-active // per_cycle), -(-len(order) // per_cycle))
    places = np.argsort(valid, kind="stable")
    first = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(valid, minlength=size), out=first[1:])
    return first, (places // per_set).astype(np.int32)
