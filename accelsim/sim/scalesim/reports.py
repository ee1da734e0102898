"""The reports as SCALE-Sim writes them: its names, columns and separators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from accelsim.graph.scalesim import Layer, Topology
from accelsim.sim.scalesim.config import ScaleConfig
from accelsim.sim.scalesim.counts import Counts, Mode, count, kept_k
from accelsim.sim.scalesim.memory import Memory, memory_of

COMPUTE, BANDWIDTH = "COMPUTE_REPORT.csv", "BANDWIDTH_REPORT.csv"
DETAIL, SPARSE = "DETAILED_ACCESS_REPORT.csv", "SPARSE_REPORT.csv"
REPORTS = (COMPUTE, BANDWIDTH, DETAIL, SPARSE)

_OPERANDS = (("IFMAP", "Reads"), ("Filter", "Reads"), ("OFMAP", "Writes"))
_COMPUTE = (
    "Total Cycles (incl. prefetch)", "Total Cycles", "Stall Cycles", "Overall Util %",
    "Mapping Efficiency %", "Compute Util %",
)  # fmt: skip
_DETAIL = tuple(
    f"{memory} {operand} {what}"
    for memory in ("SRAM", "DRAM")
    for operand, access in _OPERANDS
    for what in ("Start Cycle", "Stop Cycle", access)
)
_SPARSE = (
    "Sparsity Representation", "Original Filter Storage", "New Storage (Filter+Metadata)",
    "Filter Metadata Storage", "Avg FILTER Metadata SRAM BW",
)  # fmt: skip
Cell = int | float | str | None


@dataclass(frozen=True)
class ScaleReports:
    """What a run gives.

    Attributes:
        run_name: folder of the reports.
        layers, counts: the topology's layers and their counts, in order.
        texts: reports by the name of their file.
        notes: what was not read or not said, for the user.
    """

    run_name: str
    layers: tuple[Layer, ...]
    counts: tuple[Counts, ...]
    texts: Mapping[str, str]
    notes: tuple[str, ...]


def run(
    topology: Topology,
    config: ScaleConfig,
    mode: Mode = "compatible",
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> ScaleReports:
    """Count every layer and return the reports.

    In native mode the memory model's cells are empty: nothing there would be true.

    Args:
        topology: the layers.
        config: the array and its memories.
        mode: SCALE-Sim's counts, or true ones.
        progress: told which layer is done, how many are, and how many there are.
    """
    heads = {COMPUTE: _COMPUTE, BANDWIDTH: _bandwidth_head(config), DETAIL: _DETAIL}
    if config.sparse:
        heads[SPARSE] = _SPARSE
    rows: dict[str, list[Sequence[Cell]]] = {name: [] for name in heads}
    found = []
    for index, layer in enumerate(topology.layers):
        counts = count(layer, config, mode)
        memory = memory_of(layer, config) if mode == "compatible" else None
        for name, row in _rows(layer, config, counts, memory).items():
            rows[name].append(row)
        found.append(counts)
        progress(layer.name, index + 1, len(topology.layers))
    texts = {name: _text(name, heads[name], rows[name]) for name in heads}
    notes = (*config.notes, *_notes(mode))
    return ScaleReports(config.run_name, topology.layers, tuple(found), texts, notes)


def _notes(mode: Mode) -> list[str]:
    return ["native: columns of SCALE-Sim's memory model stay empty"] if mode == "native" else []


def _rows(
    layer: Layer, config: ScaleConfig, counts: Counts, memory: Memory | None
) -> dict[str, Sequence[Cell]]:
    """Return a layer's row of every report."""
    cycles = memory.cycles if memory else counts.cycles
    rows: dict[str, Sequence[Cell]] = {
        COMPUTE: (
            memory.with_prefetch if memory else None,
            cycles,
            memory.stalls if memory else None,
            _utilization(counts, config, cycles),
            counts.mapping_efficiency,
            counts.compute_util,
        ),
        BANDWIDTH: _bandwidth(layer, config, counts, memory, cycles),
        DETAIL: _detail(counts, memory),
    }
    if config.sparse:
        storage = sparse_storage(layer, config)
        rows[SPARSE] = (config.representation, *storage, _per(storage[2], cycles))
    return rows


def _utilization(counts: Counts, config: ScaleConfig, cycles: int) -> float | None:
    return counts.macs * 100 / (cycles * config.rows * config.columns) if cycles else None


def _text(name: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    # SCALE-Sim ends the header of its sparsity report with a blank more than the others.
    tail = ", \n" if name == SPARSE else ",\n"
    lines = [", ".join(("LayerID", *head)) + tail]
    for index, row in enumerate(rows):
        lines.append(", ".join((str(index), *(_cell(cell) for cell in row))) + ",\n")
    return "".join(lines)


def _cell(value: Cell) -> str:
    return "" if value is None else str(value)


def _bandwidth_head(config: ScaleConfig) -> Sequence[str]:
    sram = ["IFMAP SRAM", "FILTER SRAM", "OFMAP SRAM"]
    if config.sparse:
        sram.insert(2, "FILTER Metadata SRAM")
    return [f"Avg {name} BW" for name in (*sram, "IFMAP DRAM", "FILTER DRAM", "OFMAP DRAM")]


def _bandwidth(
    layer: Layer, config: ScaleConfig, counts: Counts, memory: Memory | None, cycles: int
) -> Sequence[Cell]:
    sram: list[Cell] = [
        _per(words, cycles)
        for words in (counts.ifmap_reads, counts.filter_reads, counts.ofmap_writes)
    ]
    if config.sparse:
        sram.insert(2, _per(sparse_storage(layer, config)[2], cycles))
    if memory is None:
        return [*sram, None, None, None]
    return [*sram, *(port.words / (port.stop - port.start + 1) for port in memory.dram)]


def _per(words: int | float, cycles: int) -> float | None:
    return words / cycles if cycles else None


def _detail(counts: Counts, memory: Memory | None) -> Sequence[Cell]:
    sram = (counts.ifmap_reads, counts.filter_reads, counts.ofmap_writes)
    cells: list[Cell] = []
    for index, words in enumerate(sram):
        port = memory.sram[index] if memory else None
        cells += (float(port.start), float(port.stop)) if port else (None, None)
        cells.append(words)
    for index in range(len(sram)):
        port = memory.dram[index] if memory else None
        cells += (float(port.start), float(port.stop), port.words) if port else (None, None, None)
    return cells


def sparse_storage(layer: Layer, config: ScaleConfig) -> tuple[int, int | float, int | float]:
    """Return words of the dense filters, of the kept ones with metadata, and of the metadata.

    Words are 32 bits; after SCALE-Sim's compression.py.
    """
    kept = kept_k(layer, config) * layer.n
    if config.representation == "ellpack_block":
        metadata = kept * math.ceil(math.log2(layer.of)) / 32
        return layer.k * layer.n, kept + metadata, metadata
    pointers = (layer.k if config.representation == "csr" else layer.n) + 1
    return layer.k * layer.n, 2 * kept + pointers, kept + pointers
