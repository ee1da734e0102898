"""What a run gets wrong, as texts and rows: errors by cause, the score on a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelsim.report.names import percent
from accelsim.report.rows import NUMERIC_COLUMNS, Row, Run, layer_rows

#: Column of a layer → how a heading and a legend name the cause.
CAUSES: Mapping[str, str] = {
    "sqnr_quantization_db": "formats",
    "sqnr_arithmetic_db": "arithmetic",
    "sqnr_propagated_db": "all so far",
}
#: Columns of the table behind the picture of errors.
ERROR_COLUMNS = (
    "name", *CAUSES, "max_abs_error", "cycles", "cycles_share", "energy_typical_pj",
    "energy_share",
)  # fmt: skip


def decibels(value: float | None) -> str:
    """Return a ratio in dB; a dash where there is no error, or no signal."""
    return "–" if value is None else f"{value:.1f}"


def points(difference: float) -> str:
    """Return a difference of shares in points, signed."""
    return f"{100 * difference:+.1f}"


def interval(ends: Sequence[float]) -> str:
    """Return a 95 % interval of a share."""
    return f"95 % interval {100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"


def facts(run: Run) -> list[tuple[str, str]]:
    """Return names and texts of what the run gets wrong; nothing when no values were computed."""
    totals, details = run["totals"], run.get("numerics")
    if "numerics_mode" not in totals:
        return []
    found = [("values", _mode(totals, details))]
    if totals.get("sqnr_db") is not None:
        found.append(("SQNR of the logits", f"{totals['sqnr_db']:.1f} dB against FP32"))
    else:
        found.append(("SQNR of the logits", "as in FP32: no error, or no signal"))
    if "sqnr_quantization_db" in totals:
        causes = (totals["sqnr_quantization_db"], totals["sqnr_arithmetic_db"])
        formats, arithmetic = (decibels(ratio) for ratio in causes)
        found.append((
            "SQNR by cause", f"formats {formats} dB, arithmetic {arithmetic} dB (mean of layers)",
        ))  # fmt: skip
    if totals.get("max_abs_error") is not None:
        found.append(("largest error", f"{totals['max_abs_error']:.3g}"))
    if totals.get("kl_divergence") is not None:
        found.append(("KL divergence", f"{totals['kl_divergence']:.3g} nats per token"))
    if totals.get("top1_agreement") is not None:
        found.append(("top token", f"{percent(totals['top1_agreement'])} as in FP32"))
    return [*found, *_score(totals, details or {})]


def _mode(totals: Mapping[str, Any], details: Mapping[str, Any] | None) -> str:
    mode = {
        "exact": "exact, in the chip's arithmetic",
        "sampled": "sampled: exact on chosen rows and problems",
        "fast": "fast: the chip's codes in the host's floating point",
    }.get(totals["numerics_mode"], str(totals["numerics_mode"]))
    return mode if details is None else f"{mode}; {details['tokens']:,} tokens"


def _score(totals: Mapping[str, Any], details: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "exact_match" not in totals:
        return []
    share, n = totals["exact_match"], totals["exact_match_n"]
    text = f"{100 * share:.1f} %  ({interval(totals['exact_match_interval'])}; {n:,} problems)"
    found = [("exact match", f"{text} measured")]
    if task := details.get("task"):
        low, high = task["difference_interval"]
        found.append((
            "against FP32",
            f"{100 * task['fp32_exact_match']:.1f} % in FP32, {points(task['difference'])} points "
            f"({points(low)} to {points(high)}, paired)",
        ))  # fmt: skip
        found.append(("by level", "; ".join(_level(level) for level in task["levels"])))
    if gap := details.get("gap"):
        found.append((
            "gap to exact",
            f"on {gap['problems']} problems {100 * gap['exact_match_fast']:.1f} % fast, "
            f"{100 * gap['exact_match_exact']:.1f} % exact; logits {decibels(gap['sqnr_db'])} dB",
        ))  # fmt: skip
    return found


def _level(level: Mapping[str, Any]) -> str:
    mine, truth = 100 * level["exact_match"], 100 * level["fp32_exact_match"]
    return f"{level['level']}: {mine:.0f} % (FP32 {truth:.0f} %)"


def levels(run: Run) -> list[Mapping[str, Any]]:
    """Return the levels of the run's task with their scores; nothing where there is no task."""
    task = (run.get("numerics") or {}).get("task")
    return list(task["levels"]) if task else []


def error_rows(run: Run) -> list[Row]:
    """Return the layers that multiply, in order, with their errors and shares of time and energy.

    Empty when the run computed no values.
    """
    rows = layer_rows(run)
    if not rows or not all(name in rows[0] for name in NUMERIC_COLUMNS):
        return []
    cycles = sum(row["cycles"] for row in rows) or 1
    energy = sum(row["energy_typical_pj"] for row in rows) or 1.0
    found = []
    for row in rows:
        if row["executed_macs"] and any(row[cause] is not None for cause in CAUSES):
            shares = {
                "cycles_share": row["cycles"] / cycles,
                "energy_share": row["energy_typical_pj"] / energy,
            }
            whole = {**row, **shares}
            found.append({name: whole[name] for name in ERROR_COLUMNS})
    return found
