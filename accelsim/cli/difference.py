"""What changed between two runs, as ``accelsim report diff`` shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelsim.cli import console, options

Rows = Sequence[Mapping[str, Any]]

#: Layers that a difference shows; the rest is in the JSON.
_SHOWN = 16


def show(before: Mapping[str, Any], after: Mapping[str, Any], as_json: bool) -> None:
    """Print what changed between two runs: inputs, totals, layers, and what they get wrong."""
    from accelsim.report import diff_errors, diff_inputs, diff_rows, diff_totals, same_problems

    inputs, totals = diff_inputs(before, after), diff_totals(before, after)
    errors, layers = diff_errors(before, after), diff_rows(before, after)
    same = same_problems(before, after)
    if as_json:
        found: dict[str, Any] = {"inputs": inputs, "totals": totals, "layers": layers}
        if errors:
            found |= {"errors": errors, "same_problems": same}
        console.print_text(options.json_text(found))
        return
    _show_diff(inputs, totals, layers)
    if errors:
        _show_errors(errors, same)
    if all("numerics_mode" in run["totals"] for run in (before, after)):
        _show_layer_errors(layers)


def _show_diff(inputs: Rows, totals: Rows, layers: Rows) -> None:
    texts = [(str(row["key"]), str(row["before"]), str(row["after"])) for row in inputs]
    console.print_table(["what differs", "before", "after"], texts)
    console.print_table(
        ["total", "before", "after", "after / before"],
        [(row["name"], *_numbers(row), _ratio(row["ratio"])) for row in totals],
        numeric=("before", "after", "after / before"),
    )
    cells = [
        (
            str(row["name"]),
            _number(row["cycles_before"]),
            _number(row["cycles_after"]),
            f"{row['cycles_change']:+,}",
        )
        for row in layers[:_SHOWN]
    ]
    console.print_table(
        ["layer", "cycles before", "after", "change"],
        cells,
        title=f"largest changes first ({len(cells)} of {len(layers)})",
        numeric=("cycles before", "after", "change"),
    )


def _numbers(row: Mapping[str, Any]) -> tuple[str, str]:
    return _number(row["before"]), _number(row["after"])


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


#: Total → how a reader calls it, and what it is counted in.
_ERRORS = {
    "sqnr_db": ("SQNR of the logits", "dB"),
    "sqnr_quantization_db": ("  of layers: quantization", "dB"),
    "sqnr_arithmetic_db": ("  of layers: arithmetic", "dB"),
    "max_abs_error": ("largest error", ""),
    "kl_divergence": ("KL divergence (nats)", ""),
    "top1_agreement": ("top-token agreement", "%"),
    "exact_match": ("exact match (95 % interval)", "%"),
    "exact_match_n": ("problems", "n"),
}
_SAME_PROBLEMS = (
    "Both runs answered the same problems: the change is surer than the two intervals say. How "
    "sure it is cannot be told from two runs."
)
_OTHER_PROBLEMS = "The runs answered different problems: their scores differ by chance, too."


def _show_errors(errors: Rows, same: bool | None) -> None:
    rows = {row["name"]: row for row in errors}
    cells = []
    for name, (words, unit) in _ERRORS.items():
        if row := rows.get(name):
            texts = [_text(row[end], unit) for end in _ENDS]
            if name == "exact_match":
                spreads = [_interval(rows, end) for end in _ENDS]
                texts = [f"{t}{spread}" for t, spread in zip(texts, spreads, strict=True)]
            cells.append((words, *texts, _change(row["change"], unit)))
    columns = (*_ENDS, "change")
    console.print_table(["what it gets wrong", *columns], cells, numeric=columns)
    if same is not None:
        console.print_line(_SAME_PROBLEMS if same else _OTHER_PROBLEMS, "dim")


_ENDS = ("before", "after")


def _interval(rows: Mapping[str, Mapping[str, Any]], end: str) -> str:
    from accelsim.report.numerics import interval

    found = [rows.get(f"exact_match_{corner}", {}).get(end) for corner in ("low", "high")]
    known = [corner for corner in found if corner is not None]
    return f" ({interval(known)})" if len(known) == len(found) else ""


def _text(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return {
        "dB": f"{value:.1f} dB", "%": f"{100 * value:.1f} %", "n": f"{value:,}",
    }.get(unit, f"{value:.3g}")  # fmt: skip


def _change(value: float | None, unit: str) -> str:
    from accelsim.report.numerics import points

    if not value:
        return ""
    return {
        "dB": f"{value:+.1f} dB", "%": f"{points(value)} points", "n": f"{value:+,}",
    }.get(unit, f"{value:+.3g}")  # fmt: skip


def _show_layer_errors(layers: Rows) -> None:
    """Print the layers that add more noise than before, the largest growth first."""
    from accelsim.report.numerics import CAUSES, decibels

    worse = sorted((row for row in layers if _loss(row) > 0), key=_loss, reverse=True)
    if not worse:
        return
    cells = []
    for row in worse[:_SHOWN]:
        ends = [(row[f"{cause}_before"], row[f"{cause}_after"]) for cause in CAUSES]
        texts = (f"{decibels(before)} → {decibels(after)}" for before, after in ends)
        cells.append((str(row["name"]), *texts))
    console.print_table(
        ["layer", *_SQNR],
        cells,
        title=f"SQNR in dB, largest losses of their own first ({len(cells)} of {len(worse)})",
        numeric=_SQNR,
        droppable=("arith.", "propag."),
    )


_SQNR = ("quant.", "arith.", "propag.")


def _loss(row: Mapping[str, Any]) -> float:
    """Return how much more noise a layer itself adds than before, as a part of its signal."""
    from accelsim.report.numerics import OWN_CAUSES

    if not row["count_before"]:
        return 0.0
    ends = ((row.get(f"{cause}_{end}") for cause in OWN_CAUSES) for end in ("after", "before"))
    after, before = (sum(_noise(ratio) for ratio in ratios) for ratios in ends)
    return after - before


def _noise(ratio: float | None) -> float:
    """Return the noise over the signal, of a ratio in dB that a file may have made up."""
    return 0.0 if ratio is None else 10.0 ** min(-ratio / 10.0, _MOST)


_MOST = 300.0
