"""What changed between two runs, and several runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from accelsim.report.names import pattern
from accelsim.report.numerics import details_of
from accelsim.report.rows import NUMERIC_COLUMNS, Row, Run, add, layer_rows, worst

_INPUTS = ("arch", "model", "recipe", "phase", "fidelity", "sizes")

_SUMS = ("cycles", "energy_typical_pj")

COMPARE_COLUMNS = (
    "arch", "model", "recipe", "phase", "seconds", "tokens_per_second", "energy_per_token_low_j",
    "energy_per_token_typical_j", "energy_per_token_high_j", "energy_typical_pj", "utilization",
    "bound_by", "dram_bytes", "area_typical_mm2", "power_w", "id",
)  # fmt: skip
#: Columns that follow when any of the runs computed values.
COMPARE_ERRORS = (
    "numerics_mode", "sqnr_db", "sqnr_quantization_db", "sqnr_arithmetic_db", "max_abs_error",
    "kl_divergence", "top1_agreement", "exact_match", "exact_match_low", "exact_match_high",
    "exact_match_n", "fp32_exact_match", "gap_exact_match", "gap_sqnr_db",
)  # fmt: skip

#: Totals that say what a run gets wrong: they are subtracted, a ratio of them means nothing.
ERROR_TOTALS = (
    "sqnr_db", "sqnr_quantization_db", "sqnr_arithmetic_db", "max_abs_error", "kl_divergence",
    "top1_agreement", "exact_match", "exact_match_low", "exact_match_high", "exact_match_n",
)  # fmt: skip
#: What decides values: what of ``numerics`` and of its task is an input.
_VALUE_INPUTS = ("mode", "tokens", "text", "signature", "weights", "native_ops")
_TASK_INPUTS = ("name", "n", "seed")


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
    details = details_of(run)
    task = details.get("task") or {}
    yield from ((f"numerics.{name}", details.get(name)) for name in _VALUE_INPUTS)
    yield from ((f"numerics.task.{name}", task.get(name)) for name in _TASK_INPUTS)
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

    Of a low / typical / high triple the typical value is compared. ``diff_errors`` has what the
    runs get wrong.
    """
    rows = []
    for name, value in run_a["totals"].items():
        if name in ERROR_TOTALS:
            continue
        before, after = _typical(value), _typical(run_b["totals"].get(name))
        if before is not None and after is not None:
            ratio = after / before if before else None
            rows.append({"name": name, "before": before, "after": after, "ratio": ratio})
    return rows


def diff_errors(run_a: Run, run_b: Run) -> list[Row]:
    """Return what both runs get wrong: ``name``, ``before``, ``after`` and ``change``.

    Units are those of the totals; None is no value. Empty when neither run computed any. The ends
    of the score's 95 % interval stand for themselves: how sure a change of the score is cannot be
    told from two runs, which do not say which problems each answered.
    """
    before, after = _error_totals(run_a), _error_totals(run_b)
    return [
        {"name": name, "before": a, "after": b, "change": _change(a, b)}
        for name in ERROR_TOTALS
        for a, b in [(before[name], after[name])]
        if a is not None or b is not None
    ]


def _error_totals(run: Run) -> Row:
    totals = run["totals"]
    low, high = totals.get("exact_match_interval") or (None, None)
    found = {"exact_match_low": low, "exact_match_high": high}
    return {name: found[name] if name in found else totals.get(name) for name in ERROR_TOTALS}


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def same_problems(run_a: Run, run_b: Run) -> bool | None:
    """Return whether both runs answered the same problems; None when one answered none."""
    tasks = [details_of(run).get("task") for run in (run_a, run_b)]
    if not all(tasks):
        return None
    asked = [[task.get(name) for name in _TASK_INPUTS] for task in tasks if task]
    return asked[0] == asked[1]


def _typical(value: Any) -> int | float | None:
    if isinstance(value, Mapping):
        value = value.get("typical")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number else None


def diff_rows(run_a: Run, run_b: Run) -> list[Row]:
    """Return cycles and energy (pJ, typical) before and after, the largest change of cycles first.

    Layers are matched by name, numbers in it aside: ``layers.*.mlp.up_proj`` is one row. A group
    that one of the runs does not have counts 0 there. When a run computed values, the errors of
    the worst layer of each group follow, in dB; None is no error, or no value.
    """
    before, after = _by_pattern(run_a), _by_pattern(run_b)
    errors = any(NUMERIC_COLUMNS[0] in group for group in (*before.values(), *after.values()))
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
        for column in NUMERIC_COLUMNS if errors else ():
            values = a.get(column), b.get(column)
            row[f"{column}_before"], row[f"{column}_after"] = values
            row[f"{column}_change"] = _change(*values)
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
    bound = max(bounds, key=lambda b: bounds[b])
    return {**folded, "count": len(rows), "bound_by": bound, **worst(rows)}


def compare_rows(runs: Sequence[Run]) -> list[Row]:
    """Return one row per run, in the given order; see ``COMPARE_COLUMNS`` for names and units.

    ``COMPARE_ERRORS`` follow when any of the runs computed values.
    """
    rows = [_compare_row(run) for run in runs]
    if any("numerics_mode" in run["totals"] for run in runs):
        for row, run in zip(rows, runs, strict=True):
            row.update(_compare_errors(run))
    return rows


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
    return {name: row[name] for name in COMPARE_COLUMNS}


def _compare_errors(run: Run) -> Row:
    """Return what a run gets wrong; ``gap_exact_match`` is the score of fast less exact values."""
    details = details_of(run)
    gap, task = details.get("gap") or {}, details.get("task") or {}
    row: Row = {"numerics_mode": run["totals"].get("numerics_mode"), **_error_totals(run)}
    row["fp32_exact_match"] = task.get("fp32_exact_match")
    row["gap_exact_match"] = _change(gap.get("exact_match_exact"), gap.get("exact_match_fast"))
    row["gap_sqnr_db"] = gap.get("sqnr_db")
    return {name: row[name] for name in COMPARE_ERRORS}
