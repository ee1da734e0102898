"""Cycles, accesses and utilization of a layer in closed form.

Formulas after SCALE-Sim 3.0.0 (systolic_compute_os, _ws, _is and single_layer_sim; Samajdar et al.,
ISPASS 2020), cycles from ``accelsim.mapping._core.array``, which the clocked array proves.
Compatible mode keeps its oddities:

- total cycles are the index of the last cycle, one less than their number;
- output stationary: every fold counts R + C writes that no output causes;
- weight and input stationary: compute utilization has C - 1 cycles per fold twice;
- overall utilization counts the multiply-accumulates of weights that are left out.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from accelsim.graph.scalesim import Layer
from accelsim.jit import Ints
from accelsim.mapping._core import layout as at
from accelsim.mapping._core.array import ceil_div, tile_cycles
from accelsim.sim.scalesim.config import DATAFLOWS, ScaleConfig

Mode = Literal["compatible", "native"]
MODES: tuple[Mode, ...] = ("compatible", "native")


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a layer; utilizations in percent.

    Attributes:
        cycles: of the array, without stalls.
        ifmap_reads: a float where SCALE-Sim multiplies by a ratio.
        macs: multiply-accumulates; native mode leaves out those of weights that are not kept.
    """

    cycles: int
    ifmap_reads: int | float
    filter_reads: int
    ofmap_writes: int
    overall_util: float
    mapping_efficiency: float
    compute_util: float
    macs: int


def kept_k(layer: Layer, config: ScaleConfig) -> int:
    """Elements of a filter that are kept: N of every M, and as many of a last part."""
    if not config.sparse:
        return layer.k
    whole, rest = divmod(layer.k, layer.of)
    return whole * layer.kept + min(rest, layer.kept)


@functools.cache
def _vectors(rows: int, columns: int) -> tuple[Ints, Ints]:
    """Return the problem and machine vectors of an array that overlaps nothing."""
    problem, machine = np.zeros(at.P_SIZE, np.int64), np.zeros(at.C_SIZE, np.int64)
    problem[[at.P_K_NUM, at.P_K_DEN, at.P_K_PER_CYCLE, at.P_CYCLES_PER_STEP]] = 1
    machine[at.C_ROWS], machine[at.C_COLS], machine[at.C_COUNT] = rows, columns, 1
    return problem, machine


def fold_sizes(layer: Layer, config: ScaleConfig) -> tuple[int, int, int]:
    """Return what lies along the array's rows and columns, and the stream of a fold."""
    m, n, k = layer.m, layer.n, kept_k(layer, config)
    return {"os": (m, n, k), "ws": (k, n, m), "is": (k, m, n)}[config.dataflow]


def count(layer: Layer, config: ScaleConfig, mode: Mode = "compatible") -> Counts:
    """Return the counts of a layer."""
    rows, columns, k = config.rows, config.columns, kept_k(layer, config)
    down, across, stream = fold_sizes(layer, config)
    down_folds, across_folds = ceil_div(down, rows), ceil_div(across, columns)
    folds, pes = down_folds * across_folds, rows * columns
    sizes = (layer.m, layer.n, k)
    cycles = int(tile_cycles(*_vectors(rows, columns), DATAFLOWS.index(config.dataflow), *sizes))
    compatible = mode == "compatible"
    reads, filters, ofmap = _accesses(layer, config, k, (down_folds, across_folds))
    ifmap: int | float = reads
    if config.sparse and config.dataflow == "ws" and compatible:
        ifmap = reads * (layer.of / layer.kept)
    elif config.sparse and not compatible:
        ifmap = reads // k * layer.k  # a PE picks its input among all of them
    if config.dataflow == "os" and compatible:
        ofmap += folds * (rows + columns)
    twice = columns - 1 if config.dataflow != "os" and compatible else 0
    macs = layer.macs if compatible else layer.m * layer.n * k
    total = cycles - 1 if compatible else cycles
    used = down * across / (folds * pes)
    return Counts(
        cycles=total,
        ifmap_reads=ifmap,
        filter_reads=filters,
        ofmap_writes=ofmap,
        overall_util=_percent(macs, total * pes),
        mapping_efficiency=100 * used,
        compute_util=100 * used * stream / (cycles // folds + twice),
        macs=macs,
    )


def _percent(part: int, whole: int) -> float:
    """As SCALE-Sim rounds it; an array of one PE may have a last cycle of index 0."""
    return part * 100 / whole if whole else float("inf")


def _accesses(
    layer: Layer, config: ScaleConfig, k: int, folds: tuple[int, int]
) -> tuple[int, int, int]:
    """Return reads of both operands and writes of results, every fold reading its own."""
    down, across = folds
    m, n = layer.m, layer.n
    if config.dataflow == "os":
        return m * k * across, k * n * down, m * n
    if config.dataflow == "ws":
        return m * k * across, k * n, m * n * down
    return m * k, k * n * across, m * n * down
