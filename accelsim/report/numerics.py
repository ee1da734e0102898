"""What a run gets wrong, as texts and rows: errors by cause, the score on a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelsim.report.rows import NUMERIC_COLUMNS, SAMPLE_COLUMN, Row, Run, layer_rows

#: Column of a layer → how a heading names the cause; all three are ratios in dB.
CAUSES: Mapping[str, str] = {
    "sqnr_quantization_db": "quantization",
    "sqnr_arithmetic_db": "arithmetic",
    "sqnr_propagated_db": "propagated",
}
#: The causes that lie in the layer itself.
OWN_CAUSES = tuple(CAUSES)[:2]
#: Columns of the table behind the picture of errors.
PICTURE_COLUMNS = (
    "name", "op", *CAUSES, "max_abs_error", "cycles", "cycles_share", "energy_typical_pj",
    "energy_share",
)  # fmt: skip

_MODES = {
    "exact": "exact: every value in the chip's arithmetic",
    "sampled": "sampled: the chip's arithmetic on chosen rows, the host's on the others",
    "fast": "fast: the chip's number formats, added up in the host's floating point",
}
_NO_ERROR = "no error"
#: What the causes are averaged over: without sampling, and with it.
_AVERAGED = ("layers that multiply", "layers that multiply; products on sampled rows")


def decibels(value: float | None, stderr: float | None = None) -> str:
    """Return a ratio in dB without its unit; a dash where there is no error or no signal."""
    if value is None:
        return "–"
    return f"{value:.1f}" if stderr is None else f"{value:.1f} ±{stderr:.1g}"


def share_text(share: float) -> str:
    """Return a share as a percentage with one decimal: as fine as a score can be told."""
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def interval(ends: Sequence[float]) -> str:
    """Return the ends of an interval of shares."""
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"


def facts(run: Run) -> list[tuple[str, str]]:
    """Return names and texts of what the run gets wrong; nothing when no values were computed."""
    totals, details = run["totals"], details_of(run)
    if "numerics_mode" not in totals:
        return []
    found = [("values", _values(totals, details))]
    ratio = totals.get("sqnr_db")
    text = _NO_ERROR if ratio is None else f"{decibels(ratio)} dB"
    found.append(("SQNR", f"{text}  (final logits against FP32)"))
    causes = [(CAUSES[cause], totals[cause]) for cause in OWN_CAUSES if cause in totals]
    if causes:
        texts = (_NO_ERROR if v is None else f"{decibels(v)} dB" for _, v in causes)
        words = (f"{cause} {text}" for (cause, _), text in zip(causes, texts, strict=True))
        over = _AVERAGED[totals["numerics_mode"] == "sampled"]
        found.append(("SQNR by cause", f"{', '.join(words)}  (mean of {over})"))
    if (error := totals.get("max_abs_error")) is not None:
        found.append(("largest error", f"{error:.3g}  (of a final logit)"))
    if (divergence := totals.get("kl_divergence")) is not None:
        found.append(("KL divergence", f"{divergence:.3g} nats per token"))
    if (agreement := totals.get("top1_agreement")) is not None:
        found.append(("top-token agreement", share_text(agreement)))
    if natives := details.get("native_ops"):
        found.append(("not in the chip's arithmetic", ", ".join(natives)))
    return [*found, *_score(totals), *_gap(details), *_against_fp32(details)]


def details_of(run: Run) -> Mapping[str, Any]:
    """Return what the run says about its values; empty when none were computed."""
    return run.get("numerics") or {}


def _values(totals: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    mode = totals["numerics_mode"]
    text = _MODES.get(mode, str(mode))
    if (tokens := details.get("tokens")) is None:
        return text
    source = details.get("text")
    return f"{text}; {tokens:,} tokens" + (f" of {source}" if source else "")


def _score(totals: Mapping[str, Any]) -> list[tuple[str, str]]:
    share, ends = totals.get("exact_match"), totals.get("exact_match_interval")
    if share is None:
        return []
    about = [] if ends is None else [f"95 % interval {interval(ends)}"]
    if (count := totals.get("exact_match_n")) is not None:
        about.append(f"{count:,} problems")
    about_text = f"  ({', '.join(about)})" if about else ""
    # In these modes the score is not what the chip's bits say: the name says so too.
    mode = totals["numerics_mode"]
    name = "exact match" if mode == "exact" else f"exact match, {mode}"
    return [(name, f"{share_text(share)}{about_text}  measured")]


def _gap(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not (gap := details.get("gap")):
        return []
    ratio = gap.get("sqnr_db")
    logits = "logits equal" if ratio is None else f"logits {decibels(ratio)} dB apart"
    fast, exact = gap.get("exact_match_fast"), gap.get("exact_match_exact")
    if fast is None or exact is None:
        return [("gap to exact", logits)]
    return [(
        "gap to exact",
        f"{points(fast - exact)} points: {share_text(fast)} fast, {share_text(exact)} exact on "
        f"the same {gap['problems']:,} problems; {logits}",
    )]  # fmt: skip


def _against_fp32(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not (task := details.get("task")):
        return []
    low, high = task["difference_interval"]
    return [
        (
            "exact match in FP32",
            f"{share_text(task['fp32_exact_match'])}  (95 % interval "
            f"{interval(task['fp32_interval'])}, the same problems)",
        ),
        (
            "difference",
            f"{points(task['difference'])} points  (95 % interval {points(low)} to "
            f"{points(high)}, paired)",
        ),
    ]


def levels(run: Run) -> list[Mapping[str, Any]]:
    """Return the levels of the run's task with their scores; nothing where there is no task."""
    task = details_of(run).get("task")
    return list(task["levels"]) if task else []


def level_facts(run: Run) -> list[tuple[str, str]]:
    """Return one line per level of the run's task: its score, beside that in FP32."""
    return [
        (
            f"  level {level['level']}",
            f"{100 * level['exact_match']:5.1f} %  (FP32 "
            f"{share_text(level['fp32_exact_match'])}, {level['n']:,} problems)  {level['what']}",
        )
        for level in levels(run)
    ]


def error_rows(run: Run) -> list[Row]:
    """Return every executed op in order: its errors, and its shares of time and energy.

    Empty when the run computed no values.
    """
    rows = layer_rows(run)
    if not any(row.get(name) is not None for row in rows for name in NUMERIC_COLUMNS):
        return []
    columns = (*PICTURE_COLUMNS, *((SAMPLE_COLUMN,) if SAMPLE_COLUMN in rows[0] else ()))
    cycles = sum(row["cycles"] for row in rows) or 1
    energy = sum(row["energy_typical_pj"] for row in rows) or 1.0
    found = []
    for row in rows:
        row["cycles_share"] = row["cycles"] / cycles
        row["energy_share"] = row["energy_typical_pj"] / energy
        found.append({name: row[name] for name in columns})
    return found


def error_cells(row: Row) -> list[str]:
    """Return the ratios of a row by cause, in dB; nothing when the run computed no values."""
    return [
        decibels(row[cause], row.get(SAMPLE_COLUMN) if cause == OWN_CAUSES[0] else None)
        for cause in CAUSES
        if cause in row
    ]


def own_error(row: Row) -> tuple[float, str] | None:
    """Return the worst ratio in dB that a layer itself causes, and its cause."""
    known = [(row[cause], CAUSES[cause]) for cause in OWN_CAUSES if row[cause] is not None]
    return min(known) if known else None
