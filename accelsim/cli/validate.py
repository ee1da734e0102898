"""``accelsim validate``: predictions held to what somebody else measured or computed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accelsim.cli import accuracy, console, options
from accelsim.errors import InputError

_SUBJECTS = ("kernels", "array", "dram", "mapping", "accuracy")
#: Of them, those whose values must be equal.
_EQUAL = ("kernels", "array")
_PICTURES = (".svg", ".png", ".pdf")


def validate(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=", ".join(_SUBJECTS) + ".")],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder of measurements; else $ACCELSIM_REFERENCE. Vectors of kernels also ship.",
        ),
    ] = None,
    predict_only: Annotated[
        bool, typer.Option("--predict-only", help="Compute, and compare with nothing.")
    ] = False,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="Where to write predictions.csv.")
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option("--plot", metavar="FILE", help="Draw predicted over measured, as SVG or PNG."),
    ] = None,
    model: accuracy.Model = None,
    arch: accuracy.Arch = None,
    rows: accuracy.Rows = None,
    limit: accuracy.Limit = None,
    allow_code: accuracy.AllowCode = False,
    as_json: options.Json = False,
) -> None:
    """Compare what accelsim computes with what others did: exit 0 when every set passes."""
    from accelsim import api
    from accelsim.report.files import check_file, write_file

    options.choice("thing to validate", what, _SUBJECTS)
    if what == "accuracy":
        accuracy.validate_accuracy(model, data, arch, rows, limit, allow_code, as_json)
        return
    _check_flags(what, plot, predict_only and as_json)
    for path in filter(None, (output, plot)):
        check_file(Path(path))
    folder = api.measurements_folder(what, data)
    _announce(what)
    console.note(f"{'vectors' if what == 'kernels' else 'measurements'} of {folder}")
    text = None
    if predict_only or output is not None or what != "kernels":
        with console.stages(quiet=as_json) as told:
            text = api.predict_measurements(what, folder, told)
    if text is not None:
        if output is not None:
            write_file(Path(output), text)
        elif predict_only:
            console.print_text(text)
    if predict_only:
        return
    found = api.validate(what, folder, text)
    if plot is not None:
        api.plot_validation(found, Path(plot))
    _print(found.to_dict(), as_json)
    if not found.passed:
        raise typer.Exit(1)


def _check_flags(what: str, plot: str | None, csv_as_json: bool) -> None:
    if csv_as_json:
        raise InputError("--predict-only writes a CSV; --json goes with a comparison")
    if plot is not None and what in _EQUAL:
        raise InputError(f"--plot: what {what} compares must be equal: there is nothing to draw")
    if plot is not None and Path(plot).suffix.lower() not in _PICTURES:
        raise InputError(f"--plot: {plot} must end in {', '.join(_PICTURES)}")


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.print_text(options.json_text(found))
    else:
        _show(found)


def _announce(what: str) -> None:
    # Not options.announce: the kernels that time are not needed here, and need not be compiled.
    if what == "kernels":
        from accelsim_kernels.jit import DOOR
    else:
        from accelsim.jit import DOOR

    if DOOR.cold():
        console.note("compiling kernels, once; this takes a few minutes ...")


def _show(found: dict[str, Any]) -> None:
    exact = [one for one in found["sets"] if "mismatches" in one]
    close = [one for one in found["sets"] if "mismatches" not in one]
    if exact:
        headers = ["set", "elements", "mismatches", "", "first mismatch, or why it failed"]
        cells = [
            (
                str(one["name"]),
                f"{one['rows']:,}",
                f"{one['mismatches']:,}",
                _passed(one),
                _why(one),
            )
            for one in exact
        ]
        console.print_table(headers, cells, numeric=("elements", "mismatches"))
    if close:
        _show_close(close)
    passed = sum(one["passed"] for one in found["sets"])
    style = "bold green" if found["passed"] else "bold red"
    console.print_line(f"{passed} of {len(found['sets'])} sets passed", style)


def _show_close(sets: list[dict[str, Any]]) -> None:
    numeric = ("rows", "mean %", "median %", "bias %", "worst %")
    headers = ["set", *numeric, "", "worst row, or why it failed"]
    cells = [
        (
            str(one["name"]),
            f"{one['rows']:,}",
            _percent(one["mean_abs_pct_error"]),
            _percent(one["median_abs_pct_error"]),
            _percent(one["bias"]),
            _percent(one["worst"] and one["worst"]["error_pct"]),
            _passed(one),
            one["reason"] or _place(one["worst"]),
        )
        for one in sets
    ]
    console.print_table(headers, cells, numeric=numeric)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _passed(one: dict[str, Any]) -> str:
    return "passed" if one["passed"] else "failed"


def _place(worst: dict[str, Any] | None) -> str:
    return "" if worst is None else f"{worst['file']} row {worst['row']}"


def _why(one: dict[str, Any]) -> str:
    first = one["first_mismatch"]
    if first is None:
        return one["reason"] or ""
    if "index" not in first:
        where = f"{first['file']} row {first['row']} {first['metric']}"
        return f"{where}: {first['expected']:g} expected, {first['computed']} found"
    place = ", ".join(str(i) for i in first["index"])
    return f"{first['array']}[{place}]: {first['expected']} expected, {first['computed']} found"
