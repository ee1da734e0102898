"""``accelsim report``: saved runs shown again, side by side, or by what changed."""

from __future__ import annotations

from typing import Annotated

import typer

from accelsim.cli import console, difference, options, scores
from accelsim.cli.compare import show_rows
from accelsim.cli.simulate import show
from accelsim.errors import InputError


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
    from accelsim.report import compare_rows, read_run

    if what[0] == "diff":
        if len(what) != 3:
            raise InputError(f"diff needs two runs; found {len(what) - 1}")
        if scores.differ(what[1], what[2], as_json):
            return
        difference.show(read_run(what[1]), read_run(what[2]), as_json)
        return
    runs = [read_run(path) for path in what]
    if as_json:
        console.print_text(options.json_text({"rows": compare_rows(runs)}))
        return
    for run in runs:
        show(run)
    if len(runs) > 1:
        show_rows(compare_rows(runs))
