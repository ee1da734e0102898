"""``accelsim validate``: predictions held to what somebody else measured or computed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accelsim.cli import console, options
from accelsim.errors import InputError


def validate(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="kernels.")],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder of vectors; else $ACCELSIM_REFERENCE/numerics, else those that ship.",
        ),
    ] = None,
    predict_only: Annotated[
        bool, typer.Option("--predict-only", help="Compute, and compare with nothing.")
    ] = False,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="Where to write predictions.csv.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Compare what accelsim computes with what others did: exit 0 when every set passes."""
    from accelsim import api
    from accelsim.report.files import check_file, write_file

    options.choice("thing to validate", what, ("kernels",))
    if predict_only and as_json:
        raise InputError("--predict-only writes a CSV; --json goes with a comparison")
    if output is not None:
        check_file(Path(output))
    folder = api.vectors_folder(data)
    _announce()
    console.note(f"vectors of {folder}")
    if predict_only or output is not None:
        text = api.predict_vectors(folder)
        if output is None:
            console.print_text(text)
        else:
            write_file(Path(output), text)
    if predict_only:
        return
    found = api.validate(what, folder)
    if as_json:
        console.print_text(options.json_text(found.to_dict()))
    else:
        _show(found.to_dict())
    if not found.passed:
        raise typer.Exit(1)


def _announce() -> None:
    # Not options.announce: the kernels that time are not needed here, and need not be compiled.
    from accelsim_kernels.jit import DOOR

    if DOOR.cold():
        console.note("compiling kernels, once; this takes up to a minute ...")


def _show(found: dict[str, Any]) -> None:
    headers = ["set", "elements", "mismatches", "", "first mismatch, or why it failed"]
    cells = [
        (
            str(one["name"]),
            f"{one['rows']:,}",
            f"{one['mismatches']:,}",
            "passed" if one["passed"] else "failed",
            _why(one),
        )
        for one in found["sets"]
    ]
    console.print_table(headers, cells, numeric=("elements", "mismatches"))
    passed = sum(one["passed"] for one in found["sets"])
    style = "bold green" if found["passed"] else "bold red"
    console.print_line(f"{passed} of {len(found['sets'])} sets passed", style)


def _why(one: dict[str, Any]) -> str:
    first = one["first_mismatch"]
    if first is None:
        return one["reason"] or ""
    place = ", ".join(str(i) for i in first["index"])
    return f"{first['array']}[{place}]: {first['expected']} expected, {first['computed']} found"
