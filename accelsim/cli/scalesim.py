"""``accelsim scalesim``: SCALE-Sim's inputs in, its reports out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.cli import console, options
from accelsim.errors import InputError

if TYPE_CHECKING:
    from accelsim.sim.scalesim import ScaleReports


def scalesim(
    config: Annotated[str, typer.Option("-c", "--config", help="SCALE-Sim's configuration.")],
    topology: Annotated[str, typer.Option("-t", "--topology", help="SCALE-Sim's topology CSV.")],
    output: Annotated[
        str | None,
        typer.Option("-p", "--output-dir", help="Folder; reports go into one named as the run."),
    ] = None,
    layout: Annotated[
        str | None, typer.Option("-l", "--layout", help="Taken for compatibility, and not read.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("-i", "--input", help="conv or gemm; else what the topology's header says."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option("--mode", help="compatible: SCALE-Sim's counts, oddities and all; native."),
    ] = "compatible",
) -> None:
    """Read SCALE-Sim's files and write its reports: cycles, accesses, utilization."""
    from accelsim import api
    from accelsim.graph.scalesim import KINDS
    from accelsim.report.folder import check_reports, write_reports
    from accelsim.sim.scalesim import REPORTS, read_config
    from accelsim.sim.scalesim.counts import MODES

    options.choice("mode", mode, MODES)
    if kind is not None:
        options.choice("input", kind, KINDS)
    if layout is not None and not Path(layout).is_file():
        raise InputError(f"{layout}: no such file")
    folder = None
    if output is not None:
        folder = Path(output) / read_config(config).run_name
        check_reports(folder, REPORTS)
    options.announce()
    with console.stages() as told:
        found = api.scalesim(
            config, topology, kind=kind, mode=options.choice("mode", mode, MODES), progress=told
        )
    for note in found.notes:
        console.note(note)
    if folder is not None:
        write_reports(folder, found.texts, REPORTS)
    _show(found)
    if folder is not None:
        console.note(f"wrote {', '.join(found.texts)} to {folder}")


def _show(found: ScaleReports) -> None:
    heads = ["layer", "cycles", "utilization", "mapping", "ifmap reads", "filter reads", "writes"]
    cells = [
        (
            layer.name, f"{one.cycles:,}", f"{one.overall_util:.2f} %",
            f"{one.mapping_efficiency:.2f} %", f"{one.ifmap_reads:,}", f"{one.filter_reads:,}",
            f"{one.ofmap_writes:,}",
        )
        for layer, one in zip(found.layers, found.counts, strict=True)
    ]  # fmt: skip
    console.print_table(heads, cells, numeric=heads[1:], droppable=heads[:3:-1])
    total = sum(one.cycles for one in found.counts)
    console.print_line(f"{len(cells)} layers, {total:,} cycles without stalls", "bold")
