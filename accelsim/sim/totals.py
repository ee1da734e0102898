"""Totals of a run, and the facts of its chip that a report needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelsim.graph.ir import Graph
from accelsim.sim.energy import EnergyModel
from accelsim.sim.result import BOUNDS, LayerResult
from accelsim.units import Range


def totals(graph: Graph, rows: tuple[LayerResult, ...], energy: EnergyModel) -> Mapping[str, Any]:
    """Add up the rows."""
    seconds = sum(row.duration_ps for row in rows) / 1e12
    spent = Range.total(row.energy_pj for row in rows)
    ideal = sum(row.executed_macs / row.peak_macs_per_s for row in rows if row.executed_macs)
    by_bound = {bound: sum(row.cycles for row in rows if row.bound_by == bound) for bound in BOUNDS}
    found: dict[str, Any] = {
        "cycles": sum(row.cycles for row in rows),
        "seconds": seconds,
        "macs": sum(row.macs for row in rows),
        "executed_macs": sum(row.executed_macs for row in rows),
        "energy_pj": spent.to_dict(),
        "area_mm2": energy.area_mm2.to_dict(),
        "power_w": spent.typical * 1e-12 / seconds,
        "dram_bytes": sum(row.dram_bytes for row in rows),
        "utilization": ideal / seconds,
        "bound_by": max(by_bound, key=lambda bound: by_bound[bound]),
        "energy_by_part": _by_part(rows),
        "area_by_part": {name: area.to_dict() for name, area in energy.area_by_part.items()},
        "cycles_by_bound": by_bound,
    }
    tokens = graph.tokens * graph.sizes.get("batch", 1)
    if tokens:
        found["tokens_per_second"] = tokens / seconds
        found["energy_per_token_j"] = (spent * (1e-12 / tokens)).to_dict()
    return found


def _by_part(rows: tuple[LayerResult, ...]) -> dict[str, dict[str, float]]:
    names = dict.fromkeys(name for row in rows for name in row.energy_by_part)
    return {
        name: Range.total(row.energy_by_part.get(name, Range()) for row in rows).to_dict()
        for name in names
    }


def chip_facts(
    energy: EnergyModel, rows: tuple[LayerResult, ...], sustained_bytes_per_s: float
) -> Mapping[str, Any]:
    """Return what the roofline and the report say about the chip.

    Args:
        energy: of the chip.
        rows: of the run.
        sustained_bytes_per_s: what its DRAM gives a stream that never stops.
    """
    arch = energy.arch
    used = {(row.formats["activation"], row.formats["weight"]) for row in rows if row.executed_macs}
    return {
        "clock_hz": arch.clock_hz,
        "description": arch.description,
        "node_nm": arch.technology.node_nm,
        "peaks": [
            {"activation": a, "weight": w, "macs_per_s": arch.peak_macs_per_s(a, w)}
            for a, w in arch.format_pairs()
            if (a, w) in used
        ],
        "dram": arch.dram.standard,
        "dram_bytes_per_s": arch.dram.bandwidth_bytes_per_s,
        "dram_sustained_bytes_per_s": sustained_bytes_per_s,
        "levels": [
            {
                "name": memory.name,
                "size_bytes": memory.size_bytes,
                "bandwidth_bytes_per_s": memory.bandwidth_bytes_per_s,
            }
            for memory in arch.memories
        ],
        "spec": arch.model_dump(mode="json", exclude_none=True),
    }
