"""``accelsim simulate``: one model in one recipe on one chip."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli import console, interrupts, options
from accelsim.units import Range, si

if TYPE_CHECKING:
    from accelsim.graph.request import GraphRequest

#: Groups of layers that the screen shows.
_SHOWN = 16


def simulate(
    arch: Annotated[
        str, typer.Argument(metavar="[ARCH]", help="A shipped chip or a path to its YAML.")
    ] = "edge_npu",
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A shipped model, a Hugging Face folder or config.json, or package.module:function"
            "; left out: tiny, with --recipe w8a8_int8 and --numerics exact.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", help="A shipped recipe or a path; default the checkpoint's own, or bf16."
        ),
    ] = None,
    phase: options.PhaseOption = "prefill",
    batch: options.Batch = 1,
    seq_len: options.SeqLen = 512,
    context_len: options.ContextLen = None,
    logits: options.Logits = "last",
    fidelity: options.FidelityOption = "tile",
    objective: options.ObjectiveOption = "latency",
    numerics: options.Numerics = None,
    problems: options.Problems = None,
    settings: options.Settings = None,
    output_dir: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Simulate a model on a chip: cycles, energy and area, what limits them, what it gets wrong.

    With no argument: edge_npu tiny --recipe w8a8_int8 --numerics exact.
    """
    from accelsim import api
    from accelsim.report import files

    started = time.time()
    asked = request(phase, batch, seq_len, context_len, logits)
    mode = options.numerics_mode(numerics)
    values = mode is not None or model is None
    count = options.problem_count(problems, values)
    if output_dir is not None:
        files.check_folder(Path(output_dir))
    options.announce(values=values)
    with console.stages(quiet=as_json) as progress:
        result = api.simulate(
            arch,
            model,
            recipe,
            request=asked,
            fidelity=options.choice("fidelity", fidelity, options.FIDELITIES),
            objective=options.choice("objective", objective, options.OBJECTIVES),
            overrides=settings or (),
            numerics=mode,
            problems=count,
            progress=progress,
        )
    run = result.to_dict()
    interrupts.check()
    if output_dir is not None:
        made = api.provenance(["accelsim", *sys.argv[1:]], started)
        files.write_run(run, result.spans, Path(output_dir), made)
        console.note(f"wrote {output_dir}: run.json, layers.csv, report.html, the trace and plots")
    if as_json:
        console.print_text(files.run_json(run))
    else:
        show(run)


def request(
    phase: str, batch: int, seq_len: int, context_len: int | None, logits: str
) -> GraphRequest:
    """Return the request of the options.

    Raises:
        UnknownNameError: an unknown phase or choice of logits.
    """
    from accelsim.graph.request import GraphRequest

    return GraphRequest(
        phase=options.choice("phase", phase, ("prefill", "decode")),
        batch=batch,
        seq_len=seq_len,
        context_len=context_len or seq_len,
        logits=options.choice("choice of logits", logits, ("last", "all")),
    )


def show(run: Mapping[str, Any]) -> None:
    """Print a run: what limits it, its totals, its layers."""
    from accelsim.report.rows import summary

    found = summary(run)
    console.print_line(_title(run), "bold")
    console.print_line(found.headline, "bold yellow")
    console.print_line(found.hint, "dim")
    console.print_table(["", ""], _totals(run))
    _errors(run)
    _layers(run)
    checked = run["validation"]
    text = checked if isinstance(checked, str) else _checked(checked)
    console.print_line(f"\nThe model of {run['arch']} against measurements: {text}", "dim")
    console.print_line(f"run {run['id']}; -o DIR writes the report, the trace and all rows", "dim")


def _title(run: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{k.replace('_', '-')} {v}" for k, v in run["sizes"].items() if v)
    about = ", ".join(text for text in (run["phase"], sizes) if text)
    return f"{run['model']} in {run['recipe']} on {run['arch']}: {about} ({run['fidelity']})"


def _totals(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    totals = run["totals"]
    rows = [
        ("time", f"{si(totals['seconds'], 's')}  ({totals['cycles']:,} cycles)"),
        ("energy", _range(totals["energy_pj"], "J", 1e-12)),
        ("power", si(totals["power_w"], "W")),
        ("area", _range(totals["area_mm2"], "mm²", 1.0)),
        ("MACs", f"{si(totals['macs'])}, executed {si(totals['executed_macs'])}"),
        ("DRAM traffic", si(totals["dram_bytes"], "B")),
    ]
    if any(layer.get("mapping") for layer in run["layers"]):
        rows.append(("plans", _plans([layer["mapping"] for layer in run["layers"]])))
    if "tokens_per_second" in totals:
        rows.insert(1, ("tokens/s", f"{totals['tokens_per_second']:,.1f}"))
        rows.insert(2, ("energy per token", _range(totals["energy_per_token_j"], "J", 1.0)))
    return rows


def _plans(found: Sequence[Mapping[str, float]]) -> str:
    """Say how good the plans are known to be, and what timing them tile by tile changed."""
    gap = max(one["gap"] for one in found)
    again = [one["regret"] for one in found if one["regret"] > 0]
    said = f"gap {100 * gap:.2g} % to the best of their map space by closed form"
    if not again:
        return said
    return f"{said}; {len(again)} ops run others, by tile up to {100 * max(again):.2g} % faster"


def _errors(run: Mapping[str, Any]) -> None:
    from accelsim.report.numerics import facts, level_facts

    if found := facts(run):
        console.print_table(["what it gets wrong", ""], [*found, *level_facts(run)])


def _range(value: Mapping[str, float], unit: str, scale: float) -> str:
    spread = Range(**value) * scale
    text = f"{si(spread.typical, unit)}  (low {si(spread.low, unit)}, high {si(spread.high, unit)})"
    return text


def _layers(run: Mapping[str, Any]) -> None:
    from accelsim.report.numerics import error_cells
    from accelsim.report.rows import grouped_rows

    rows = grouped_rows(run)
    shown = rows[:_SHOWN]
    errors = ERROR_HEADERS if rows and "sqnr_quantization_db" in rows[0] else ()
    cells = [(*_cells(row), *error_cells(row)) for row in shown]
    title = f"layers, longest first ({len(shown)} of {len(rows)} kinds)"
    title += "; SQNR in dB, of the worst layer of its kind" if errors else ""
    numeric = ("count", "cycles", "time", "of peak", "energy", *errors)
    console.print_table(
        [*_HEADERS, *errors], cells, title=title, numeric=numeric,
        droppable=_DROPPABLE_WITH_ERRORS if errors else _DROPPABLE,
    )  # fmt: skip


_HEADERS = (
    "layer", "count", "shape", "formats", "cycles", "time", "bound by", "of peak", "energy",
)  # fmt: skip
#: Columns of errors, beside those of what a layer costs.
ERROR_HEADERS = ("SQNR quant.", "arith.", "propag.")
#: What a narrow terminal does without, the first of them first.
_DROPPABLE = ("energy", "formats", "shape", "count", "of peak")
_DROPPABLE_WITH_ERRORS = (
    "formats", "shape", "of peak", "energy", "count", "cycles", "arith.", "bound by", "propag.",
)  # fmt: skip


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(row["name"]),
        str(row["count"]),
        row["shape"],
        _formats(row),
        f"{row['cycles']:,}",
        f"{row['share']:.1%}",
        row["bound_by"],
        f"{row['utilization']:.1%}" if row["executed_macs"] else "",
        si(row["energy_typical_pj"] * 1e-12, "J"),
    )


def _formats(row: Mapping[str, Any]) -> str:
    pair = f"{row['activation']} x {row['weight']}" if row["weight"] else row["activation"]
    return f"{pair} → {row['output']}"


def _checked(items: list[Mapping[str, Any]]) -> str:
    return "; ".join(
        f"{item['op']} off by {item['mean_abs_pct_error']:g} % on average ({item['dataset']}, "
        f"{item['rows']} rows, bias {item['bias']:g})"
        for item in items
    )
