"""The one place that turns a run into rows: per layer, per group of equal layers, and its summary.

A *run* is the JSON form of a result (``SimResult.to_dict()`` or a saved ``run.json``).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelsim.report.names import group_name, percent, range_of, shape_text
from accelsim.sim.result import STALLS
from accelsim.units import Range

Run = Mapping[str, Any]
Row = dict[str, Any]

STALL_COLUMNS = tuple(f"stall_{cause}_cycles" for cause in STALLS)
ENERGY_COLUMNS = ("energy_low_pj", "energy_typical_pj", "energy_high_pj")

#: Columns that are added up when equal layers are folded.
_SUMMED = (
    "macs", "executed_macs", "cycles", "compute_cycles", *STALL_COLUMNS, "dram_bytes",
    "sram_bytes", *ENERGY_COLUMNS,
)  # fmt: skip

#: Columns of ``layers.csv``.
LAYER_COLUMNS = (
    "name", "op", "shape", "activation", "weight", "output", "repeats", "macs", "executed_macs",
    "cycles", "compute_cycles", *STALL_COLUMNS, "bound_by", "dram_bytes", "sram_bytes",
    *ENERGY_COLUMNS, "utilization",
)  # fmt: skip

#: Columns that follow when the run was made with numerics.
NUMERIC_COLUMNS = (
    "sqnr_quantization_db", "sqnr_arithmetic_db", "sqnr_propagated_db", "max_abs_error",
)  # fmt: skip
#: And when they come from a sample: the standard error of the first of them.
SAMPLE_COLUMN = "sqnr_stderr_db"

#: What limits → what would help.
HINTS = {
    "compute": "More or faster MAC units, or a format with a higher peak, would help; "
    "memory would not.",
    "dram": "Fewer bytes per weight, a larger batch, more on-chip memory or more DRAM bandwidth "
    "would help; MAC units would not.",
    "sram": "More on-chip bandwidth, or an array that reuses its operands longer, would help.",
    "vector": "A wider vector unit, or fusing elementwise work into the matmuls, would help.",
    "network": "Faster links between chips, or a split that moves fewer bytes, would help.",
    "overhead": "Fewer and larger ops (fusion, a larger batch) or a cheaper dispatch would help.",
}

#: What limits → how a sentence says it.
BOUND_WORDS = {
    "compute": "compute",
    "dram": "DRAM bandwidth",
    "sram": "on-chip memory",
    "vector": "the vector unit",
    "network": "the network",
    "overhead": "overhead",
}

#: Cause of a stall → how a sentence says it.
STALL_WORDS = {
    "dram": "waiting for DRAM",
    "sram": "waiting for on-chip memory",
    "vector": "waiting for the vector unit",
    "fill_drain": "filling and draining the array",
    "overhead": "starting ops",
}


def bound_words(bound: str) -> str:
    """Return how a sentence names what limits: ``dram`` → ``DRAM bandwidth``."""
    return BOUND_WORDS.get(bound, bound)


def layer_rows(run: Run) -> list[Row]:
    """Return one flat row per executed op, in order; sizes in bytes, energy in pJ, time in cycles.

    Numeric columns are present in all rows when any layer has them; ``None`` is no value.
    """
    layers = run["layers"]
    with_numerics = any(name in layer for layer in layers for name in NUMERIC_COLUMNS)
    rows = [_layer_row(layer) for layer in layers]
    if with_numerics:
        for row, layer in zip(rows, layers, strict=True):
            row.update({name: layer.get(name) for name in NUMERIC_COLUMNS})
    if any(SAMPLE_COLUMN in layer for layer in layers):
        for row, layer in zip(rows, layers, strict=True):
            row[SAMPLE_COLUMN] = layer.get(SAMPLE_COLUMN)
    return rows


def _layer_row(layer: Mapping[str, Any]) -> Row:
    formats, energy = layer["formats"], layer["energy_pj"]
    row = {name: layer[name] for name in LAYER_COLUMNS if name in layer}
    row["shape"] = shape_text(layer["shape"])
    row.update({kind: formats.get(kind, "") for kind in ("activation", "weight", "output")})
    stalls = (layer["stalls"].get(cause, 0) for cause in STALLS)
    row.update(zip(STALL_COLUMNS, stalls, strict=True))
    row.update(zip(ENERGY_COLUMNS, (energy["low"], energy["typical"], energy["high"]), strict=True))
    return {name: row[name] for name in LAYER_COLUMNS}


def fold_layers(run: Run) -> list[list[int]]:
    """Return the indices of equal layers, group by group, the longest time first.

    Equal means same op, shape, formats, bytes and bound, and cycles that differ by at most one:
    cycles are rounded cumulatively, so equal times may differ by that much.
    """
    alike: dict[tuple[Any, ...], list[int]] = {}
    rows = layer_rows(run)
    for index, row in enumerate(rows):
        key = ("op", "shape", "activation", "weight", "output", "bound_by", "macs", "dram_bytes")
        alike.setdefault(tuple(row[name] for name in key), []).append(index)
    groups = [g for indices in alike.values() for g in _split(indices, rows)]
    return sorted(groups, key=lambda g: (-sum(rows[i]["cycles"] for i in g), g[0]))


def _split(indices: Sequence[int], rows: Sequence[Row]) -> list[list[int]]:
    """Split where sorted cycles leap by more than one."""
    ordered = sorted(indices, key=lambda i: (rows[i]["cycles"], i))
    groups: list[list[int]] = []
    for index in ordered:
        if groups and rows[index]["cycles"] - rows[groups[-1][-1]]["cycles"] <= 1:
            groups[-1].append(index)
        else:
            groups.append([index])
    return [sorted(group) for group in groups]


def grouped_rows(run: Run) -> list[Row]:
    """Return equal layers as one row, the longest time first.

    ``count`` layers are added up in every figure; ``share`` is their part of the run's cycles;
    ``utilization`` is their mean, weighted by cycles; errors are those of the worst of them.
    """
    rows = layer_rows(run)
    total = sum(row["cycles"] for row in rows)
    return [_fold([rows[i] for i in group], total) for group in fold_layers(run)]


def _fold(rows: Sequence[Row], total_cycles: int) -> Row:
    summed = {name: add(row[name] for row in rows) for name in _SUMMED}
    cycles = summed["cycles"]
    busy = math.fsum(row["utilization"] * row["cycles"] for row in rows)
    folded: Row = {"name": group_name([row["name"] for row in rows]), "count": len(rows)}
    folded.update({n: rows[0][n] for n in ("op", "shape", "activation", "weight", "output")})
    folded["share"] = cycles / total_cycles if total_cycles else 0.0
    folded["bound_by"] = rows[0]["bound_by"]
    folded["utilization"] = busy / cycles if cycles else 0.0
    return {**folded, **summed, **worst(rows)}


def worst(rows: Sequence[Row]) -> Row:
    """Return the worst errors of equal layers; nothing when the run computed no values."""
    found: Row = {}
    for name in (column for column in NUMERIC_COLUMNS if column in rows[0]):
        known = [row for row in rows if row[name] is not None]
        pick = max if name == "max_abs_error" else min
        row = pick(known, key=lambda row: float(row[name]), default=rows[0])
        found[name] = row[name]
        if name == NUMERIC_COLUMNS[0] and SAMPLE_COLUMN in row:
            found[SAMPLE_COLUMN] = row[SAMPLE_COLUMN]
    return found


def add(values: Any) -> Any:
    """Return the exact sum: of integers an integer, of floats rounded once."""
    listed = list(values)
    return sum(listed) if all(isinstance(v, int) for v in listed) else math.fsum(listed)


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Return rows as CSV in full precision; without ``columns`` the first row's keys are taken."""
    names = list(columns if columns is not None else (rows[0] if rows else ()))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def layers_csv(run: Run) -> str:
    """Return the text of ``layers.csv``."""
    rows = layer_rows(run)
    return csv_text(rows, tuple(rows[0]) if rows else LAYER_COLUMNS)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a reader must know first. Shares are fractions; of time unless said otherwise.

    Attributes:
        headline: what limits the run and how far it is from the peaks, as one sentence.
        hint: what would help, as one sentence.
        compute_share: executed MACs over the peak.
        dram_share: DRAM traffic over the peak bandwidth; None when the chip's is not known.
        top_stall: cause of the longest stall, ``""`` when there was none.
        bound_shares: part of the time spent in ops bound by each cause, largest first.
    """

    headline: str
    hint: str
    bound_by: str
    compute_share: float
    dram_share: float | None
    top_stall: str
    top_stall_share: float
    bound_shares: Mapping[str, float]
    cycles: int
    seconds: float
    tokens_per_second: float | None
    energy_pj: Range
    energy_per_token_j: Range | None
    area_mm2: Range
    power_w: float


def summary(run: Run) -> Summary:
    """Return the run's summary."""
    totals = run["totals"]
    bound, rows = totals["bound_by"], layer_rows(run)
    stall, stall_share = _top_stall(rows)
    per_token = totals.get("energy_per_token_j")
    dram_share = _dram_share(run, "dram_bytes_per_s")
    sustained = _dram_share(run, "dram_sustained_bytes_per_s")
    return Summary(
        headline=_headline(totals, dram_share, sustained, (stall, stall_share)),
        hint=HINTS.get(bound, ""),
        bound_by=bound,
        compute_share=totals["utilization"],
        dram_share=dram_share,
        top_stall=stall,
        top_stall_share=stall_share,
        bound_shares=_bound_shares(rows),
        cycles=totals["cycles"],
        seconds=totals["seconds"],
        tokens_per_second=totals.get("tokens_per_second"),
        energy_pj=range_of(totals["energy_pj"]),
        energy_per_token_j=range_of(per_token) if per_token else None,
        area_mm2=range_of(totals["area_mm2"]),
        power_w=totals["power_w"],
    )


def _headline(
    totals: Mapping[str, Any],
    dram: float | None,
    sustained: float | None,
    stall: tuple[str, float],
) -> str:
    bound = bound_words(totals["bound_by"])
    text = f"Limited by {bound}: {percent(totals['utilization'])} of peak compute"
    if dram is not None:
        text += f", {percent(dram)} of peak DRAM bandwidth"
        if sustained is not None:
            text += f" ({percent(sustained)} of sustained)"
    cause, share = stall
    if cause:
        text += f"; {percent(share)} of the time is spent {STALL_WORDS[cause]}"
    return text + "."


def _dram_share(run: Run, bandwidth: str) -> float | None:
    peak, seconds = run["chip"].get(bandwidth), run["totals"]["seconds"]
    return run["totals"]["dram_bytes"] / seconds / peak if peak and seconds else None


def _top_stall(rows: Sequence[Row]) -> tuple[str, float]:
    total = sum(row["cycles"] for row in rows)
    sums = {c: sum(row[f"stall_{c}_cycles"] for row in rows) for c in STALLS}
    cause = max(sums, key=lambda c: sums[c])
    return (cause, sums[cause] / total) if total and sums[cause] else ("", 0.0)


def _bound_shares(rows: Sequence[Row]) -> dict[str, float]:
    cycles: dict[str, int] = {}
    for row in rows:
        cycles[row["bound_by"]] = cycles.get(row["bound_by"], 0) + row["cycles"]
    total = sum(cycles.values())
    ordered = sorted(cycles.items(), key=lambda item: (-item[1], item[0]))
    return {bound: count / total if total else 0.0 for bound, count in ordered}
