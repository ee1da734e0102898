"""``accelsim report``: saved runs shown again, side by side, or by what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from accelsim.cli import console, options
from accelsim.cli.compare import show_rows
from accelsim.cli.simulate import show
from accelsim.errors import InputError

#: Layers that a difference shows; the rest is in the JSON.
_SHOWN = 16


def report(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... | diff A B", help="Folders of runs or their run.json; or diff and two."
        ),
    ],
    as_json: options.Json = False,
) -> None:
    """Show saved runs, or what changed between two."""
    from accelsim.report import compare_rows, diff_inputs, diff_rows, diff_totals, read_run

    if what[0] == "diff":
        if len(what) != 3:
            raise InputError(f"diff needs two runs; found {len(what) - 1}")
        before, after = read_run(what[1]), read_run(what[2])
        inputs, totals = diff_inputs(before, after), diff_totals(before, after)
        layers = diff_rows(before, after)
        if as_json:
            found = {"inputs": inputs, "totals": totals, "layers": layers}
            console.print_text(options.json_text(found))
        else:
            _show_diff(inputs, totals, layers)
        return
    runs = [read_run(path) for path in what]
    if as_json:
        console.print_text(options.json_text({"rows": compare_rows(runs)}))
        return
    for run in runs:
        show(run)
    if len(runs) > 1:
        show_rows(compare_rows(runs))


def _show_diff(
    inputs: Sequence[Mapping[str, Any]],
    totals: Sequence[Mapping[str, Any]],
    layers: Sequence[Mapping[str, Any]],
) -> None:
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
