"""What changed between two runs, and several runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from accelsim.report.names import pattern
from accelsim.report.rows import Row, Run, add, layer_rows

_INPUTS = ("arch", "model", "recipe", "phase", "fidelity", "sizes")

_SUMS = ("cycles", "energy_typical_pj")

COMPARE_COLUMNS = (
    "arch", "model", "recipe", "phase", "seconds", "tokens_per_second", "energy_per_token_low_j",
    "energy_per_token_typical_j", "energy_per_token_high_j", "energy_typical_pj", "utilization",
    "bound_by", "dram_bytes", "area_typical_mm2", "power_w", "sqnr_db", "sqnr_quantization_db",
    "sqnr_arithmetic_db", "kl_divergence", "top1_agreement", "exact_match", "exact_match_low",
    "exact_match_high", "exact_match_n", "id",
)  # fmt: skip


_ERRORS = (
    "sqnr_db", "sqnr_quantization_db", "sqnr_arithmetic_db", "kl_divergence", "top1_agreement",
    "exact_match", "exact_match_n",
)  # fmt: skip


def diff_inputs(run_a: Run, run_b: Run) -> list[Row]:
    """Return what differs in chip, model, recipe and sizes: ``key``, ``before``, ``after``.

    A value that one of the two runs does not have is None.
    """
    before, after = dict(_inputs(run_a)), dict(_inputs(run_b))
    keys = dict.fromkeys([*before, *after])
    return [
        {"key": key, "before": before.get(key), "after": after.get(key)}
        for key in keys
        if before.get(key) != after.get(key)
    ]


def _inputs(run: Run) -> Iterator[tuple[str, Any]]:
    for name in _INPUTS:
        yield from _flat(name, run.get(name))
    # The chip's file says it all; the facts taken from it would say it twice.
    yield from _flat("chip", run["chip"].get("spec", run["chip"]))


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Spell nested values with dots; entries of a list by what names them, or by their place."""
    if isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _flat(f"{key}.{name}", entry)
    elif isinstance(value, list):
        names = [_entry_name(entry, index) for index, entry in enumerate(value)]
        for index, (name, entry) in enumerate(zip(names, value, strict=True)):
            unique = name if names.count(name) == 1 else f"{name}_{index}"
            yield from _flat(f"{key}.{unique}", entry)
    else:
        yield key, value


def _entry_name(entry: Any, index: int) -> str:
    if isinstance(entry, Mapping) and "name" in entry:
        return str(entry["name"])
    if isinstance(entry, Mapping) and "activation" in entry:
        return f"{entry['activation']}_{entry.get('weight', '')}"
    return str(index)


def diff_totals(run_a: Run, run_b: Run) -> list[Row]:
    """Return totals before and after, in the units of their names, with the ratio after / before.

    Of a low / typical / high triple the typical value is compared.
    """
    rows = []
    for name, value in run_a["totals"].items():
        before, after = _typical(value), _typical(run_b["totals"].get(name))
        if before is not None and after is not None:
            ratio = after / before if before else None
            rows.append({"name": name, "before": before, "after": after, "ratio": ratio})
    return rows


def _typical(value: Any) -> int | float | None:
    if isinstance(value, Mapping):
        value = value.get("typical")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number else None


def diff_rows(run_a: Run, run_b: Run) -> list[Row]:
    """Return cycles and energy (pJ, typical) before and after, the largest change of cycles first.

    Layers are matched by name, numbers in it aside: ``layers.*.mlp.up_proj`` is one row. A group
    that one of the runs does not have counts 0 there.
    """
    before, after = _by_pattern(run_a), _by_pattern(run_b)
    nothing: Row = {"count": 0, "bound_by": "", **dict.fromkeys(_SUMS, 0)}
    rows = []
    for name in dict.fromkeys([*before, *after]):
        a, b = before.get(name, nothing), after.get(name, nothing)
        row: Row = {"name": name}
        for column in ("count", *_SUMS):
            row[f"{column}_before"], row[f"{column}_after"] = a[column], b[column]
            if column != "count":
                row[f"{column}_change"] = b[column] - a[column]
        row["bound_by_before"], row["bound_by_after"] = a["bound_by"], b["bound_by"]
        rows.append(row)
    return sorted(rows, key=lambda r: (-abs(r["cycles_change"]), -abs(r[f"{_SUMS[1]}_change"])))


def _by_pattern(run: Run) -> dict[str, Row]:
    groups: dict[str, list[Row]] = {}
    for row in layer_rows(run):
        groups.setdefault(pattern(row["name"]), []).append(row)
    return {name: _fold(rows) for name, rows in groups.items()}


def _fold(rows: Sequence[Row]) -> Row:
    bounds: dict[str, int] = {}
    for row in rows:
        bounds[row["bound_by"]] = bounds.get(row["bound_by"], 0) + row["cycles"]
    folded: Row = {name: add(row[name] for row in rows) for name in _SUMS}
    return {**folded, "count": len(rows), "bound_by": max(bounds, key=lambda b: bounds[b])}


def compare_rows(runs: Sequence[Run]) -> list[Row]:
    """Return one row per run, in the given order; see ``COMPARE_COLUMNS`` for names and units."""
    return [_compare_row(run) for run in runs]


def _compare_row(run: Run) -> Row:
    totals = run["totals"]
    per_token = totals.get("energy_per_token_j") or {}
    row = {name: run[name] for name in ("arch", "model", "recipe", "phase", "id")}
    for name in ("seconds", "utilization", "bound_by", "dram_bytes", "power_w"):
        row[name] = totals[name]
    row["tokens_per_second"] = totals.get("tokens_per_second")
    for corner in ("low", "typical", "high"):
        row[f"energy_per_token_{corner}_j"] = per_token.get(corner)
    row["energy_typical_pj"] = totals["energy_pj"]["typical"]
    row["area_typical_mm2"] = totals["area_mm2"]["typical"]
    for name in _ERRORS:
        row[name] = totals.get(name)
    ends = totals.get("exact_match_interval") or (None, None)
    row["exact_match_low"], row["exact_match_high"] = ends
    return {name: row[name] for name in COMPARE_COLUMNS}
