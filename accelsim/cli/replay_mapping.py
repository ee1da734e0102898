"""``accelsim replay mapping``: a mapping by hand or of another tool, beside what a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli import console, options

if TYPE_CHECKING:
    from accelsim.mapping.loopnest.replay import Replayed


def mapping(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="YAML with a layer, a hierarchy, and a mapping; without one it is only searched.",
        ),
    ],
    hierarchy: Annotated[
        str | None,
        typer.Option(
            "--hierarchy", metavar="NAME|PATH", help="Memories and array, instead of the file's."
        ),
    ] = None,
    objective: Annotated[
        str | None, typer.Option("--objective", help="energy, latency or edp.")
    ] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Search the front of energy and latency too.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Cost a mapping of a layer, and say what the best one would cost."""
    chosen = (
        None if objective is None
        else options.choice("objective", objective, ("energy", "latency", "edp"))
    )  # fmt: skip
    options.announce()
    from accelsim import api

    found = api.replay_mapping(file, hierarchy=hierarchy, objective=chosen, pareto=pareto)
    if as_json:
        console.print_text(options.json_text(found.to_dict()))
    else:
        _show(found)


def _show(found: Replayed) -> None:
    data = found.to_dict()
    sizes = " ".join(f"{dim}={size}" for dim, size in data["sizes"].items())
    console.print_line(
        f"{data['layer']}: {sizes}, {data['macs']:,} MACs on {data['hierarchy']}", "bold"
    )
    given = data["mapping"]
    if given is not None:
        _show_energy(given, "energy of the mapping")
        _show_latency(given, "latency of the mapping")
        if given["zigzag_energy_pj"] is not None:
            console.print_line(f"energy as zigzag counts: {given['zigzag_energy_pj']:,.1f} pJ")
        if given["does_not_fit"] is not None:
            console.note(f"the mapping does not fit: {given['does_not_fit']}")
    best = data["search"]
    _show_energy(best, f"energy of the best mapping for {best['objective']}")
    _show_latency(best, "latency of the best mapping")
    _show_loops(best)
    console.print_line(
        f"best {best['objective']}: within {100 * best['gap']:.2g} % of the bound of its map space "
        f"({best['nodes']} nodes solved); roofline {data['roofline_cycles']:,} cycles",
        "bold green",
    )
    if given is not None:
        more = 100 * (given["energy_pj"] / best["energy_pj"] - 1)
        slower = 100 * (given["latency_cycles"] / best["latency_cycles"] - 1)
        console.print_line(
            f"the given mapping takes {more:+.2f} % energy and {slower:+.2f} % cycles of that"
        )
    if data["pareto"]:
        rows = [(f"{p['energy_pj']:,.0f}", f"{p['latency_cycles']:,}") for p in data["pareto"]]
        numeric = ("energy pJ", "cycles")
        console.print_table(numeric, rows, title="energy and latency", numeric=numeric)


def _show_energy(costed: dict[str, Any], title: str) -> None:
    levels = list(dict.fromkeys(part["level"] for part in costed["levels"]))
    cells = {(part["level"], part["operand"]): part["energy_pj"] for part in costed["levels"]}
    total = costed["energy_pj"]
    rows = []
    for level in levels:
        parts = [cells.get((level, operand)) for operand in "IWO"]
        rows.append((level, *_row(parts, sum(p or 0.0 for p in parts), total)))
    rows.append(("multipliers", *_row([None] * 3, costed["mac_energy_pj"], total)))
    sums = [
        sum(p["energy_pj"] for p in costed["levels"] if p["operand"] == operand)
        for operand in "IWO"
    ]
    rows.append(("all", *_row(sums, total, total)))
    numeric = ("I", "W", "O", "pJ", "%")
    console.print_table(["level", *numeric], rows, title=title, numeric=numeric)


def _row(parts: list[float | None], whole: float, total: float) -> tuple[str, ...]:
    shown = ["" if part is None else f"{part:,.1f}" for part in parts]
    return (*shown, f"{whole:,.1f}", f"{100 * whole / total:.1f}" if total else "")


def _show_latency(costed: dict[str, Any], title: str) -> None:
    latency = costed["latency"]
    causes = ("fill", "compute", "stall", "drain", "skew")
    rows = [(cause, f"{latency[cause]:,.0f}") for cause in causes]
    rows.append((f"busiest port ({latency['busiest_level']})", f"{latency['busiest_port']:,.0f}"))
    rows.append((f"all, bound by {latency['bound_by']}", f"{costed['latency_cycles']:,}"))
    console.print_table(["cause", "cycles"], rows, title=title, numeric=("cycles",))


def _show_loops(best: dict[str, Any]) -> None:
    spatial = [(f"over {axis}", _loops(loops)) for axis, loops in best["spatial"].items() if loops]
    rows = [
        (f"{operand} in {level}", _loops(loops))
        for operand, levels in best["temporal"].items()
        for level, loops in levels.items()
    ]
    console.print_table(
        ["where", "loops, innermost first"], [*spatial, *rows], title="the best mapping"
    )


def _loops(loops: list[list[Any]]) -> str:
    return ", ".join(f"{dim} {_number(size)}" for dim, size in loops) or "-"


def _number(size: float) -> str:
    return f"{size:,.0f}" if float(size).is_integer() else f"{size:g}"


def register(app: typer.Typer) -> None:
    """Add the command to the group ``replay``."""
    app.command(name="mapping")(mapping)
