"""``accelsim predict``: single ops, from the command line or a CSV."""

from __future__ import annotations

from typing import Annotated

import typer

from accelsim.cli import console, interrupts, options
from accelsim.errors import InputError


def predict(
    arch: options.Arch,
    op: Annotated[
        str | None, typer.Argument(metavar="[OP]", help="gemm, with M N K after it.")
    ] = None,
    sizes: Annotated[
        list[int] | None, typer.Argument(metavar="[M N K]", help="Sizes of a gemm.")
    ] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="Format of the operands.")] = "int8",
    csv: Annotated[
        str | None, typer.Option("--csv", help="A CSV of ops; see docs/predict.md for columns.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="Where to write the CSV with results.")
    ] = None,
    fidelity: options.FidelityOption = "tile",
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> None:
    """Predict single ops on a chip."""
    options.choice("fidelity", fidelity, options.FIDELITIES)
    if (csv is None) == (op is None):
        raise InputError("give either an op (gemm M N K) or --csv FILE")
    if csv is not None:
        if as_json:
            raise InputError("--json goes with a single op; a CSV's result is a CSV")
        _file(arch, csv, output, fidelity, settings or [])
    elif output is not None:
        raise InputError("-o goes with --csv; a single op is printed")
    else:
        _one(arch, op or "", sizes or [], dtype, fidelity, settings or [], as_json)


def _file(arch: str, csv: str, output: str | None, fidelity: str, settings: list[str]) -> None:
    from pathlib import Path

    from accelsim import api
    from accelsim.report.files import check_file, write_file

    if output is not None:
        check_file(Path(output))
    options.announce()
    with console.progress("predicting", _lines(csv)) as step:
        text = api.predict_file(
            arch,
            csv,
            fidelity=options.choice("fidelity", fidelity, options.FIDELITIES),
            overrides=settings,
            progress=step,
        )
    interrupts.check()
    if output is None:
        console.print_text(text)
    else:
        write_file(Path(output), text)


def _lines(csv: str) -> int:
    try:
        with open(csv, "rb") as file:
            return max(1, sum(1 for _ in file) - 1)
    except OSError:
        return 1  # predict_file says what is wrong


def _one(
    arch: str,
    op: str,
    sizes: list[int],
    dtype: str,
    fidelity: str,
    settings: list[str],
    as_json: bool,
) -> None:
    from accelsim import api
    from accelsim.sim.predict import result_cells
    from accelsim.units import si

    if op != "gemm":
        raise InputError(f"{op!r} is not predicted from the command line, only gemm; use --csv")
    if len(sizes) != 3:
        raise InputError(f"gemm needs M N K, three sizes; found {len(sizes)}")
    options.announce()
    named = dict(zip(("M", "N", "K"), sizes, strict=True))
    row = api.predict(
        arch,
        op,
        dtype,
        named,
        fidelity=options.choice("fidelity", fidelity, options.FIDELITIES),
        overrides=settings,
    )
    if as_json:
        console.print_text(
            options.json_text({"op": op, "dtype": dtype, **named, **result_cells(row)})
        )
        return
    stalls = ", ".join(f"{cause} {cycles:,}" for cause, cycles in row.stalls.items() if cycles)
    console.print_line(
        f"{row.cycles:,} cycles ({si(row.duration_ps * 1e-12, 's')}), bound by {row.bound_by}, "
        f"{row.utilization:.1%} of peak",
        "bold",
    )
    console.print_line(f"array {row.compute_cycles:,} cycles; stalls: {stalls}")
    console.print_line(
        f"energy {si(row.energy_pj.typical * 1e-12, 'J')} (low "
        f"{si(row.energy_pj.low * 1e-12, 'J')}, high {si(row.energy_pj.high * 1e-12, 'J')})"
    )
    console.print_text(row.nest)
    console.print_line(
        f"{row.mapping['evaluated']:,} plans costed; gap {100 * row.mapping['gap']:.2g} % to the "
        "best of the map space by closed form",
        "dim",
    )
