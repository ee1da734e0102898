"""The numbers behind each picture; every picture draws exactly one of these tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from accelsim.report.rows import STALL_COLUMNS, Row, Run, add, fold_layers, grouped_rows

#: How a bar of cycles is divided, from the axis outward.
CYCLE_PARTS = ("compute_cycles", *STALL_COLUMNS)

#: A gap between an energy and the sum of its parts that is no gap.
_ROUNDING = 1e-6

TOP_CYCLES = 12
TOP_ENERGY = 8

ROOFLINE_COLUMNS = (
    "name", "count", "activation", "weight", "bound_by", "share", "ops", "dram_bytes",
    "ops_per_byte", "ops_per_s", "peak_ops_per_s", "dram_bytes_per_s",
    "dram_sustained_bytes_per_s",
)  # fmt: skip
CYCLES_COLUMNS = ("name", "count", "share", "cycles", *CYCLE_PARTS)
_ENERGY_HEAD = ("name", "count", "share", "energy_low_pj", "energy_typical_pj", "energy_high_pj")
AREA_COLUMNS = ("part", "share", "area_low_mm2", "area_typical_mm2", "area_high_mm2")


def roofline_rows(run: Run) -> list[Row]:
    """Return one row per group of equal layers that multiply; a MAC counts as two ops.

    ``ops_per_s`` is over the time that the layers add to the run; ``ops_per_byte`` is None where
    nothing crosses to DRAM.
    """
    chip, clock = run["chip"], run["chip"]["clock_hz"]
    found = []
    for row, indices in zip(grouped_rows(run), fold_layers(run), strict=True):
        if not row["executed_macs"] or not row["cycles"]:
            continue
        ops, moved = 2 * row["executed_macs"], row["dram_bytes"]
        values = {
            **row,
            "ops": ops,
            "ops_per_byte": ops / moved if moved else None,
            "ops_per_s": ops * clock / row["cycles"],
            "peak_ops_per_s": 2 * _peak(run, run["layers"][indices[0]]),
            "dram_bytes_per_s": chip.get("dram_bytes_per_s"),
            "dram_sustained_bytes_per_s": chip.get("dram_sustained_bytes_per_s"),
        }
        found.append({name: values[name] for name in ROOFLINE_COLUMNS})
    return found


def _peak(run: Run, layer: Mapping[str, Any]) -> float:
    """MACs per second that the layer could reach: its own figure, else that of its formats."""
    own: float = layer.get("peak_macs_per_s", 0.0)
    if own:
        return own
    pair = (layer["formats"].get("activation"), layer["formats"].get("weight"))
    peaks = run["chip"].get("peaks", ())
    known = (p["macs_per_s"] for p in peaks if (p["activation"], p["weight"]) == pair)
    return max(known, default=0.0)


def cycles_rows(run: Run, top: int = TOP_CYCLES) -> list[Row]:
    """Return where the cycles went, for the ``top`` groups and the sum of the rest."""
    groups = [{name: row[name] for name in CYCLES_COLUMNS} for row in grouped_rows(run)]
    return _with_rest(groups, top, CYCLES_COLUMNS)


def energy_rows(run: Run, top: int = TOP_ENERGY) -> list[Row]:
    """Return where the energy went, in pJ: the ``top`` groups, the rest, and the run's total.

    Columns ``<part>_pj`` are typical values, the part that takes most of the run first; what no
    part accounts for is ``other_pj``.
    """
    parts = energy_parts(run)
    run_pj = run["totals"]["energy_pj"]["typical"]
    groups = []
    for row, indices in zip(grouped_rows(run), fold_layers(run), strict=True):
        layers = [run["layers"][i] for i in indices]
        typical = row["energy_typical_pj"]
        head = {name: row[name] for name in _ENERGY_HEAD}
        head["share"] = typical / run_pj if run_pj else 0.0
        by_part = _by_part([layer.get("energy_by_part", {}) for layer in layers], typical)
        groups.append({**head, **_part_columns(by_part, parts)})
    groups.sort(key=lambda row: -row["energy_typical_pj"])
    columns = (*_ENERGY_HEAD, *(f"{part}_pj" for part in parts))
    return [*_with_rest(groups, top, columns), _energy_total(run, parts)]


def _energy_total(run: Run, parts: Sequence[str]) -> Row:
    total = run["totals"]["energy_pj"]
    corners = {f"energy_{corner}_pj": total[corner] for corner in ("low", "typical", "high")}
    head: Row = {"name": "total", "count": len(run["layers"]), "share": 1.0, **corners}
    return {**head, **_part_columns(_total_by_part(run), parts)}


def _part_columns(by_part: Mapping[str, float], parts: Sequence[str]) -> dict[str, float]:
    return {f"{part}_pj": by_part.get(part, 0.0) for part in parts}


def energy_parts(run: Run) -> list[str]:
    """Return the parts of the chip that take energy, the largest of the run first."""
    totals = _total_by_part(run)
    for layer in run["layers"]:
        own = _by_part([layer.get("energy_by_part", {})], layer["energy_pj"]["typical"])
        for part in own:
            totals.setdefault(part, 0.0)
    return sorted(totals, key=lambda part: (-totals[part], part))


def _total_by_part(run: Run) -> dict[str, float]:
    """Return typical pJ by part: the run's own table, or else the sum of its layers'."""
    given = run["totals"].get("energy_by_part")
    tables = [given] if given else [layer.get("energy_by_part", {}) for layer in run["layers"]]
    return _by_part(tables, run["totals"]["energy_pj"]["typical"])


def _by_part(tables: Sequence[Mapping[str, Any]], typical_pj: float) -> dict[str, float]:
    """Add up tables of energy by part; what is missing from the whole is ``other``."""
    found: dict[str, list[float]] = {}
    for table in tables:
        for part, value in table.items():
            found.setdefault(part, []).append(value["typical"])
    summed = {part: math.fsum(values) for part, values in found.items()}
    missing = typical_pj - math.fsum(summed.values())
    if missing > _ROUNDING * typical_pj:
        summed["other"] = summed.get("other", 0.0) + missing
    return summed


def area_rows(run: Run) -> list[Row]:
    """Return the area by part in mm², the largest first, and the total; empty when not known."""
    by_part = run["totals"].get("area_by_part") or {}
    total = run["totals"]["area_mm2"]
    ordered = sorted(by_part.items(), key=lambda item: (-item[1]["typical"], item[0]))
    if not ordered:
        return []
    return [_area_row(part, value, total) for part, value in [*ordered, ("total", total)]]


def _area_row(part: str, value: Mapping[str, float], total: Mapping[str, float]) -> Row:
    share = value["typical"] / total["typical"] if total["typical"] else 0.0
    corners = (value["low"], value["typical"], value["high"])
    return dict(zip(AREA_COLUMNS, (part, share, *corners), strict=True))


def _with_rest(groups: list[Row], top: int, columns: Sequence[str]) -> list[Row]:
    """Keep the first ``top`` rows and add up the others; a single other row stays itself."""
    kept = groups if len(groups) <= top + 1 else groups[:top]
    others = groups[len(kept) :]
    rows = [{name: row.get(name, 0) for name in columns} for row in kept]
    if others:
        rest: Row = {"name": f"rest ({len(others)} groups)"}
        rest.update({name: add(row[name] for row in others) for name in columns[1:]})
        rows.append(rest)
    return rows
