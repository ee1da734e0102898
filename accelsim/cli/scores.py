"""Scores of benchmarks as a terminal shows them, alone and beside those of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accelsim.cli import console, options

if TYPE_CHECKING:
    from accelsim.evaluate.benchmarks.result import Evaluation

_PLAIN = "no chip: torch itself computed"


def differ(before: str, after: str, as_json: bool) -> bool:
    """Show what two evaluations differ in, over the items they share; say whether they are two."""
    from accelsim.evaluate.benchmarks.result import compare, is_evaluation, read

    if not (is_evaluation(before) and is_evaluation(after)):
        return False
    compared = compare(read(after), read(before))
    if as_json:
        console.print_text(options.json_text(compared))
    else:
        show_compared(compared)
    return True


def show(found: Evaluation) -> None:
    """Print scores with their errors, and what was done to the prompts."""
    head = found.head
    chip = _PLAIN if head["arch"] is None else f"in {head['recipe']} on {head['arch']}"
    mode = "" if head["numerics_mode"] is None else f", numerics {head['numerics_mode']}"
    console.print_line(f"{head['model']}: {chip}{mode}", "bold")
    rows = [
        (task["task"], _protocol(task), *_score(one), task["arithmetic"], one["tag"])
        for task in found.tasks
        for one in task["scores"]
    ]
    numeric = ("score", "± stderr", "95 % interval", "n")
    console.print_table(
        ["task", "protocol", "metric", *numeric, "computed in", ""], rows, numeric=numeric
    )
    for task in found.tasks:
        _remarks(task)
        if task["gap"] is not None:
            _show_gap(task)
    if head["programs"] is not None:
        held = ", ".join(f"{key} {value}" for key, value in head["programs"].items())
        console.print_line(f"programs ran behind: {held}", "dim")
    console.print_line(f"run {found.id}; -o DIR writes run.json and every item", "dim")


def _protocol(task: Mapping[str, Any]) -> str:
    shots = task.get("num_fewshot")
    name = str(task["protocol"])
    return f"{name}, {shots}-shot" if name == "lm-eval" else name


def _score(one: Mapping[str, Any]) -> tuple[str, ...]:
    share = one["higher_is_better"]
    return (
        one["metric"], _number(one["value"], share), _number(one["stderr"], share),
        _range(one["interval"], share), f"{one['n']:,}",
    )  # fmt: skip


def _number(value: float | None, share: bool) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if share else f"{value:.4g}"


def _range(ends: Sequence[float] | None, share: bool) -> str:
    return "–" if ends is None else " to ".join(_number(end, share) for end in ends)


def _remarks(task: Mapping[str, Any]) -> None:
    if task["subjects"]:
        worst = min(task["subjects"], key=lambda one: one["value"])
        best = max(task["subjects"], key=lambda one: one["value"])
        console.print_line(
            f"{task['task']}: {len(task['subjects'])} subjects, weighted by their rows; "
            f"{worst['subject']} {worst['value']:.1%} to {best['subject']} {best['value']:.1%}",
            "dim",
        )  # fmt: skip
    if task.get("truncated"):
        console.print_line(
            f"{task['task']}: the beginning of {task['truncated']:,} of {task['n']:,} prompts was "
            "cut off: they are longer than the model's context", "yellow",
        )  # fmt: skip
    if task.get("max_gen_toks_stock", task.get("max_gen_toks")) != task.get("max_gen_toks"):
        console.print_line(
            f"{task['task']}: answers of at most {task['max_gen_toks']} tokens, the task's own "
            f"{task['max_gen_toks_stock']} do not fit the model's context", "yellow",
        )  # fmt: skip


def _show_gap(task: Mapping[str, Any]) -> None:
    gap = task["gap"]
    rows = [
        (
            one["metric"], _number(one["value"], one["higher_is_better"]),
            _number(one["against"], one["higher_is_better"]), _change(one),
        )
        for one in gap["metrics"]
    ]  # fmt: skip
    columns = ("exact", "fast", "exact - fast (95 % interval)")
    title = f"{task['task']}: {gap['n']} items in both, {gap['equal_answers']} answers equal"
    console.print_table(["metric", *columns], rows, title=title, numeric=columns)
    for one in gap.get("estimates", ()):
        share = one["higher_is_better"]
        console.print_line(
            f"{one['metric']} in exact arithmetic: {_number(one['value'], share)} "
            f"({_range(one['gap_interval'], share)}), {one['tag']}"
        )


def _change(one: Mapping[str, Any]) -> str:
    share = one["higher_is_better"]
    if one["difference"] is None:
        return "–"
    unit = 100 if share else 1
    ends = one["difference_interval"]
    spread = "" if ends is None else f" ({unit * ends[0]:+.4g} to {unit * ends[1]:+.4g})"
    return f"{unit * one['difference']:+.4g}{' points' if share else ''}{spread}"


def show_compared(compared: Mapping[str, Any]) -> None:
    """Print two runs side by side, their difference over the same items."""
    other = compared["against"]
    where = "in torch" if other["arch"] is None else f"in {other['recipe']} on {other['arch']}"
    console.print_line(f"\nagainst run {other['id']}: {other['model']} {where}", "bold")
    rows = []
    for task in compared["compared"]:
        for one in task["metrics"]:
            share = one["higher_is_better"]
            rows.append((
                task["task"], task["protocol"], one["metric"], _number(one["value"], share),
                _number(one["against"], share), _change(one), f"{one['n']:,}",
            ))  # fmt: skip
    columns = ("this run", "against", "difference (95 % interval)", "n")
    console.print_table(["task", "protocol", "metric", *columns], rows, numeric=columns)
    for task in compared["compared"]:
        if task["differs"]:
            console.print_line(
                f"{task['task']}: not asked alike: {', '.join(task['differs'])}", "yellow"
            )
