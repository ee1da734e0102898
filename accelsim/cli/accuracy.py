"""``accelsim validate accuracy``: a user's model against published figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli import console, options
from accelsim.errors import InputError

if TYPE_CHECKING:
    from accelsim.evaluate.benchmarks.catalog import Asked
    from accelsim.evaluate.benchmarks.result import Evaluation


Model = Annotated[
    str | None, typer.Option("--model", metavar="DIR", help="accuracy: a Hugging Face folder.")
]
Arch = Annotated[
    str | None, typer.Option("--arch", help="accuracy: the chip of rows that name a recipe.")
]
Rows = Annotated[
    str | None,
    typer.Option("--rows", metavar="DIR", help="accuracy: rows; else $ACCELSIM_REFERENCE/data."),
]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", help="accuracy: rows of each task.")
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="accuracy: run the programs of humaneval.")
]


def validate_accuracy(
    model: str | None,
    table: str | None,
    arch: str | None,
    data: str | None,
    limit: int | None,
    allow_code: bool,
    as_json: bool,
) -> None:
    """Run a model on what a table publishes of it, and say where the two differ.

    Args:
        model: a Hugging Face folder; the table knows it by the folder's name.
        table: a CSV or JSON of published figures, or a folder that holds one.
        arch: the chip that rows with a recipe run on.
        data: the folder of the benchmarks' rows.
        limit: rows of each task.
        allow_code: whether programs that the model writes may be run.
        as_json: print JSON alone.

    Raises:
        InputError: no model or table, or one that cannot be used.
    """
    from accelsim import api
    from accelsim.validate import accuracy

    if model is None or table is None:
        raise InputError(
            "validate accuracy needs --model DIR, a Hugging Face folder, and --data FILE, a table "
            f"with the columns {', '.join(accuracy.NEEDED)}; docs/evaluate.md describes it"
        )
    rows = accuracy.read_table(Path(table), Path(model).expanduser().name)
    compressed = [row for row in rows if row.recipe not in accuracy.UNCOMPRESSED]
    if compressed and arch is None:
        raise InputError(
            f"{compressed[0].where}: recipe {compressed[0].recipe!r} runs on a chip: give --arch"
        )
    with console.stages(quiet=as_json) as told:

        def evaluate(asked: Asked, recipe: str | None, dtype: str) -> Evaluation:
            on = None if recipe is None else arch
            return api.evaluate(
                model, asked, arch=on, recipe=recipe, dtype=dtype, data=data,
                allow_code=allow_code, progress=told,
            )  # fmt: skip

        found = accuracy.validate_accuracy(rows, evaluate, limit).to_dict()
    if as_json:
        console.print_text(options.json_text(found))
    else:
        _show(found)
    if not found["passed"]:
        raise typer.Exit(1)


def _show(found: Mapping[str, Any]) -> None:
    numeric = ("n", "measured", "published", "allowed")
    rows = [
        (
            str(one["name"]), f"{one['rows']:,}", _number(one["measured"], one),
            _number(one["published"], one), _number(one["tolerance"], one),
            "passed" if one["passed"] else "failed", one["reason"] or one["source"],
        )
        for one in found["sets"]
    ]  # fmt: skip
    console.print_table(["figure", *numeric, "", "source, or why it failed"], rows, numeric=numeric)
    passed = sum(one["passed"] for one in found["sets"])
    style = "bold green" if found["passed"] else "bold red"
    console.print_line(f"{passed} of {len(found['sets'])} figures agree", style)


def _number(value: float | None, one: Mapping[str, Any]) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if one["higher_is_better"] else f"{value:.4g}"
