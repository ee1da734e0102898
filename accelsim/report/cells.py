"""What stands in the page's tables: rows turned into texts with units."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelsim.report.names import formats_text, joules, part_words, percent
from accelsim.report.numerics import CAUSES, details_of, error_cells, facts, share_text
from accelsim.report.numerics import levels as levels_of
from accelsim.report.rows import Row, Run, bound_words, layer_rows
from accelsim.report.tables import CYCLE_PARTS
from accelsim.units import binary_size, si

_GROUP_HEADINGS = (
    "layers", "×", "op", "shape", "formats", "bound by", "share of time", "cycles", "utilization",
    "DRAM", "energy",
)  # fmt: skip

_CYCLE_HEADINGS = {
    "compute_cycles": "computing",
    "stall_dram_cycles": "DRAM",
    "stall_sram_cycles": "on-chip memory",
    "stall_vector_cycles": "vector unit",
    "stall_fill_drain_cycles": "fill, drain",
    "stall_overhead_cycles": "overhead",
}

_CHIP = {"dram": "DRAM standard", "node_nm": "process node (nm)"}


@dataclass(frozen=True, slots=True)
class Table:
    """Headings and texts; the first column is a name, the others are numbers."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def totals(run: Run) -> Table:
    """Return the run's totals: typical, low and high where there are corners."""
    given = run["totals"]
    rows: list[tuple[str, ...]] = []
    rows.append(("time", si(given["seconds"], "s"), "", ""))
    rows.append(("cycles", f"{given['cycles']:,}", "", ""))
    if given.get("tokens_per_second") is not None:
        rows.append(("tokens per second", si(given["tokens_per_second"]), "", ""))
    rows.append(("energy", *_corners(given["energy_pj"], "J", 1e-12)))
    if given.get("energy_per_token_j"):
        rows.append(("energy per token", *_corners(given["energy_per_token_j"], "J")))
    rows.append(("power", si(given["power_w"], "W"), "", ""))
    rows.append(("area", *(f"{given['area_mm2'][c]:.3g} mm²" for c in ("typical", "low", "high"))))
    rows.append(("DRAM traffic", si(given["dram_bytes"], "B"), "", ""))
    rows.append(("MACs", si(given["macs"]), "", ""))
    rows.append(("MACs executed", si(given["executed_macs"]), "", ""))
    rows.append(("utilization (MACs executed of peak)", percent(given["utilization"]), "", ""))
    return Table(("", "typical", "low", "high"), rows)


def _corners(value: Mapping[str, float], unit: str, scale: float = 1.0) -> tuple[str, ...]:
    return tuple(si(value[c] * scale, unit) for c in ("typical", "low", "high"))


def numerics(run: Run) -> Table | None:
    """Return what the chip gets wrong, or None when the run computed no values."""
    rows, details = facts(run), details_of(run)
    for key, words in (("signature", "what decides bits"), ("weights", "weights, by hash")):
        if details.get(key):
            rows.append((words, details[key].replace(";", "; ")))
    return Table(("", "value"), rows) if rows else None


def task_levels(run: Run) -> Table | None:
    """Return the score by level of difficulty beside that in FP32; None without a task."""
    rows = [
        (
            f"{level['level']}: {level['what']}",
            f"{level['n']:,}",
            share_text(level["exact_match"]),
            share_text(level["fp32_exact_match"]),
        )
        for level in levels_of(run)
    ]
    return Table(("level", "problems", "exact match", "in FP32"), rows) if rows else None


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def group_headings(rows: Sequence[Row]) -> list[str]:
    """Return the headings of the table of layers; those of errors only where there are some."""
    causes = [words for cause, words in CAUSES.items() if rows and cause in rows[0]]
    return [*_GROUP_HEADINGS, *(f"SQNR, {words} (dB)" for words in causes)]


def group_cells(row: Row, formats: str) -> list[str]:
    """Return the texts of one group of layers, in the order of ``group_headings``."""
    return [
        row["name"],
        str(row["count"]),
        row["op"],
        row["shape"],
        formats.replace(" × ", "\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}"),
        bound_words(row["bound_by"]),
        percent(row["share"]),
        f"{row['cycles']:,}",
        percent(row["utilization"]) if row["executed_macs"] else "–",
        si(row["dram_bytes"], "B"),
        joules(row["energy_typical_pj"]),
        *error_cells(row),
    ]


def _roofline(rows: Sequence[Row]) -> Table:
    headings = (
        "layers", "×", "operands", "bound by", "op per byte", "rate", "of its roof", "share",
    )  # fmt: skip
    texts = [
        (
            row["name"],
            str(row["count"]),
            formats_text({**row, "output": ""}),
            bound_words(row["bound_by"]),
            "no traffic" if row["ops_per_byte"] is None else si(row["ops_per_byte"]),
            si(row["ops_per_s"], "op/s"),
            percent(row["ops_per_s"] / row["peak_ops_per_s"]) if row["peak_ops_per_s"] else "–",
            percent(row["share"]),
        )
        for row in rows
    ]
    return Table(headings, texts)


def _cycles(rows: Sequence[Row]) -> Table:
    headings = ("layers", "×", "share", "cycles", *(_CYCLE_HEADINGS[c] for c in CYCLE_PARTS))
    texts = [
        (
            row["name"],
            str(row["count"]),
            percent(row["share"]),
            f"{row['cycles']:,}",
            *(_part(row[column], row["cycles"]) for column in CYCLE_PARTS),
        )
        for row in rows
    ]
    return Table(headings, texts)


def _part(value: float, whole: float) -> str:
    return percent(value / whole) if value and whole else "–"


def _energy(rows: Sequence[Row]) -> Table:
    parts = [name for name in rows[0] if name.endswith("_pj") and not name.startswith("energy_")]
    words = (part_words(name.removesuffix("_pj")) for name in parts)
    texts = [
        (
            row["name"],
            str(row["count"]),
            percent(row["share"]),
            *(joules(row[f"energy_{corner}_pj"]) for corner in ("typical", "low", "high")),
            *(_part(row[name], row["energy_typical_pj"]) for name in parts),
        )
        for row in rows
    ]
    return Table(("layers", "×", "share", "typical", "low", "high", *words), texts)


def _errors(rows: Sequence[Row]) -> Table:
    headings = (
        "layer", "op", *(f"SQNR, {words} (dB)" for words in CAUSES.values()), "largest error",
        "time", "energy",
    )  # fmt: skip
    texts = [
        (
            row["name"],
            row["op"],
            *error_cells(row),
            "–" if row["max_abs_error"] is None else f"{row['max_abs_error']:.3g}",
            percent(row["cycles_share"]),
            percent(row["energy_share"]),
        )
        for row in rows
    ]
    return Table(headings, texts)


def _area(rows: Sequence[Row]) -> Table:
    texts = [
        (
            part_words(row["part"]),
            percent(row["share"]),
            *(f"{row[f'area_{corner}_mm2']:.3g} mm²" for corner in ("typical", "low", "high")),
        )
        for row in rows
    ]
    return Table(("part", "share", "typical", "low", "high"), texts)


#: Picture → the table of its numbers.
PICTURE_TABLES: Mapping[str, Callable[[Sequence[Row]], Table]] = {
    "roofline": _roofline,
    "cycles": _cycles,
    "energy": _energy,
    "errors": _errors,
    "area": _area,
}


def chip(run: Run) -> Table:
    """Return the chip's facts: clock, DRAM bandwidth, and whatever else is one value."""
    given = run["chip"]
    rows = [("name", run["arch"]), ("clock", si(given["clock_hz"], "Hz"))]
    for key, words in (("dram_bytes_per_s", "peak"), ("dram_sustained_bytes_per_s", "sustained")):
        if given.get(key):
            rows.append((f"DRAM bandwidth, {words}", si(given[key], "B/s")))
    known = ("clock_hz", "dram_bytes_per_s", "dram_sustained_bytes_per_s", "description")
    for key, value in given.items():
        if key not in known and isinstance(value, str | int | float):
            rows.append((_CHIP.get(key, key.replace("_", " ")), _value(value)))
    return Table(("", "value"), rows)


def peaks(run: Run) -> Table:
    """Return the chip's peak per pair of formats, in op/s; a MAC is two ops."""
    listed = run["chip"].get("peaks", ())
    texts = [
        (f"{p['activation']} × {p['weight']}", si(2 * p["macs_per_s"], "op/s")) for p in listed
    ]
    return Table(("operands", "peak"), texts)


def levels(run: Run) -> Table:
    """Return the chip's on-chip memories."""
    listed = run["chip"].get("levels", ())
    texts = [
        (v["name"], binary_size(v["size_bytes"]), si(v["bandwidth_bytes_per_s"], "B/s"))
        for v in listed
    ]
    return Table(("memory", "size", "bandwidth"), texts)


def formats_in_use(run: Run) -> Table:
    """Return the number formats of the run's layers with their share of the time."""
    rows, cycles = layer_rows(run), dict[str, int]()
    for row in rows:
        text = formats_text(row)
        cycles[text] = cycles.get(text, 0) + row["cycles"]
    total = sum(cycles.values()) or 1
    ordered = sorted(cycles.items(), key=lambda item: (-item[1], item[0]))
    texts = [(text or "–", percent(count / total)) for text, count in ordered]
    return Table(("activation × weight → output", "share of time"), texts)


def validation(run: Run) -> Table | None:
    """Return the measured error of the chip's model per op kind; None when there is none."""
    given = run["validation"]
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        return None
    headings = list(dict.fromkeys(key for entry in given for key in entry))
    texts = [[_value(entry.get(key, "")) for key in headings] for entry in given]
    return Table([heading.replace("_", " ") for heading in headings], texts)
